/**
 * What libvirt runs when a domain that declares NICs of ours starts, ends or is found again, by way of the small
 * script in /etc/libvirt/hooks/qemu.d (hook-script.ts):
 *
 *     hook.js DOMAIN OPERATION SUB-OPERATION EXTRA     the domain's XML on stdin
 *
 * libvirt stands still meanwhile and takes whatever comes on stdout for the domain's new XML. So: nothing on stdout,
 * a deadline of our own, no question back to libvirt, which would wait for itself; and nothing imported that takes
 * time to load. A failure of `prepare`, `migrate` and `started` stops the domain, with what we say on stderr shown by
 * virsh. After `reconnect` it would kill a running guest, and ends can't be refused: they succeed, always.
 */
import { readFileSync, writeSync } from 'node:fs';
import { asIpvtapError, IpvtapError } from '../../src/errors.js';
import { type Declaration, readDeclaration } from './declaration.js';
import { type Domain, parseDomain } from './domain.js';
import { endReason } from './end-reason.js';
import { tell } from './tell.js';

const mayFail = ['prepare', 'migrate', 'started'];
const deadlineMs = 2000;

const [name = '', operation = '', , extra = '-'] = process.argv.slice(2);
const deadline = setTimeout(() => {
	const late = new IpvtapError('timed-out', `ipvtapd did not answer in ${deadlineMs / 1000} s`, {
		hint: 'see its log, and whether it still runs: ipvtap list',
	});
	end(complain(late));
}, deadlineMs);
deadline.unref();
end(await main().catch(complain));

/** @returns the exit status. */
async function main(): Promise<number> {
	const domain = parseDomain(readFileSync(0, 'utf8'));
	const declaration = readDeclaration(domain);
	// A domain is called what libvirt calls it; a hook before us in the chain may have changed the XML.
	if (declaration) await act({ ...domain, name }, declaration);
	return 0;
}

async function act(domain: Domain, declaration: Declaration): Promise<void> {
	switch (operation) {
		case 'prepare':
			return put(domain, 'starting', declaration);
		case 'migrate':
			return put(domain, 'incoming', declaration);
		case 'started':
			// It was there a moment ago: if it isn't now, it is being restarted.
			return put(domain, 'running', declaration, { patienceMs: deadlineMs - 300 });
		case 'reconnect':
			return put(domain, 'running', declaration);
		case 'stopped':
		case 'release':
			return ended(domain, declaration);
	}
}

async function ended(domain: Domain, declaration: Declaration): Promise<void> {
	const reason = endReason(name, extra);
	if (reason === 'saved' || reason === 'migrated') return put(domain, reason, declaration);
	await tell('DELETE', `${pathOf(name)}${reason === 'failed' ? '?failed=true' : ''}`);
}

async function put(
	{ name: domain, uuid }: Domain,
	state: string,
	{ nics, faults }: Declaration,
	options: { patienceMs?: number } = {},
): Promise<void> {
	if (faults.length > 0) {
		const [first, ...others] = faults;
		const more = others.map(fault => `\nipvtap: and ${fault}`).join('');
		throw new IpvtapError('usage', `${first}${more}`, {
			hint: `virsh edit ${domain}; what may be declared is in docs/libvirt.md`,
		});
	}
	const begins = state === 'starting' || state === 'incoming';
	// A TAP that libvirt is about to make must not be there yet; it is taken over once the domain runs.
	const wanted = nics.map(({ madeByLibvirt, ...nic }) =>
		madeByLibvirt && begins ? { ...nic, present: false } : nic,
	);
	await tell('PUT', pathOf(domain), { uuid, state, nics: wanted }, options);
}

function pathOf(domain: string): string {
	return `/v1/domains/${encodeURIComponent(domain)}`;
}

function complain(thrown: unknown): number {
	const { message, hint } = asIpvtapError(thrown);
	const hinted = hint === undefined ? '' : `\nhint: ${hint}`;
	writeSync(2, `ipvtap: ${operation} ${name}: ${message}${hinted}\n`);
	return mayFail.includes(operation) ? 1 : 0;
}

function end(status: number): never {
	process.exit(status);
}
