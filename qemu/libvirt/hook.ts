/**
 * What libvirt tells its hook of a domain, and what becomes of it. The script in /etc/libvirt/hooks/qemu.d
 * (hook-script.ts) only carries it to the daemon, since libvirt stands still until its hook has ended, and there is
 * nothing else here that starts as fast as what is running already.
 */
import type { Device, DomainRequest } from '../../src/control/domain-nics.js';
import type { Domains } from '../../src/control/domains.js';
import { IpvtapError } from '../../src/errors.js';
import { type Declaration, readDeclaration } from './declaration.js';
import { type Domain, type DomainInterface, parseDomain } from './domain.js';
import { endReason, isKept } from './end-reason.js';

export interface HookCall {
	/** The domain. It is called what libvirt calls it; a hook before ours may have changed the XML. */
	name: string;
	operation: string;
	/** Of an end, since libvirt 10.5: why. */
	extra: string;
	xml: string;
}

/** @param text a line for each of the domain, the operation and the extra argument, and the domain's XML behind them. */
export function readHookCall(text: string): HookCall {
	const [name = '', operation = '', extra = '', ...xml] = text.split('\n');
	if (name === '' || name.length > 255 || name.includes('/'))
		throw new IpvtapError('usage', 'bad request: it begins with no name of a domain');
	return { name, operation, extra, xml: xml.join('\n') };
}

/** Within `serial`. @throws IpvtapError with the XML path of what is at fault. */
export async function obeyHook(domains: Domains, { name, operation, extra, xml }: HookCall): Promise<void> {
	const domain = parseDomain(xml);
	const declaration = readDeclaration(domain) ?? { nics: [], faults: [] };
	const undeclared = undeclaredDevices(domain, declaration);
	if (declaration.nics.length + declaration.faults.length + undeclared.length === 0) return;
	if (!/^[0-9a-f-]{36}$/i.test(domain.uuid))
		throw new IpvtapError('failed', "read the domain's XML: it has no <uuid>");
	const state = begins.get(operation) ?? (ends.includes(operation) ? keptState(name, extra) : undefined);
	if (state !== undefined) await domains.put(name, requestOf(name, domain, state, declaration, undeclared));
	else if (ends.includes(operation)) await domains.remove(name, endReason(name, extra));
	else
		throw new IpvtapError(
			'usage',
			`bad request: libvirt has no operation '${operation.slice(0, 80)}' for us`,
		);
}

const begins = new Map<string, DomainRequest['state']>([
	['prepare', 'starting'],
	['migrate', 'incoming'],
	['started', 'running'],
	['reconnect', 'running'],
]);

const ends = ['stopped', 'release'];

/** Of a domain whose QEMU has ended, but whose guest hasn't. */
function keptState(name: string, extra: string): 'saved' | 'migrated' | undefined {
	const reason = endReason(name, extra);
	return isKept(reason) ? reason : undefined;
}

/** NICs that may have been plugged in by `attach --domain`: libvirt is to leave their TAPs as they are. */
function undeclaredDevices({ interfaces }: Domain, { nics }: Declaration): Device[] {
	const isDeclared = (target: string) => nics.some(nic => nic.target === target);
	return interfaces.flatMap(({ path: at, type, target, managed, mac, alias }: DomainInterface): Device[] => {
		const isAnothers = type !== 'ethernet' || managed !== 'no' || target === undefined || mac === undefined;
		if (isAnothers || isDeclared(target)) return [];
		return [{ at, target, mac: mac.toLowerCase(), ...(alias === undefined ? {} : { alias }) }];
	});
}

function requestOf(
	name: string,
	{ uuid }: Domain,
	state: DomainRequest['state'],
	{ nics, faults }: Declaration,
	undeclared: Device[],
): DomainRequest {
	if (faults.length > 0) {
		throw new IpvtapError('usage', faults.join('\nipvtap: and '), {
			hint: `virsh edit ${name}; what may be declared is in docs/libvirt.md`,
		});
	}
	const isBeginning = state === 'starting' || state === 'incoming';
	// A TAP that libvirt is about to make must not be there yet; it is taken over once the domain runs.
	const wanted = nics.map(({ madeByLibvirt, ...nic }) =>
		madeByLibvirt && isBeginning ? { ...nic, present: false } : nic,
	);
	return { uuid, state, nics: wanted, undeclared };
}
