/** A domain's NICs in their several forms: as they are declared, as slaves, and as what remains of these. */
import { vhostAvailable } from '../../qemu/vhost.js';
import { asIpvtapError, IpvtapError } from '../errors.js';
import { getLink } from '../sys/netlink/link.js';
import { type LimitRequest, mergeLimits } from './limits.js';
import type { DomainState, Flag, Mode, Permission } from './model.js';
import { checkSlaveName } from './names.js';
import { permitted } from './permissions.js';
import type { MasterRecord, NicRecord, SlaveRecord } from './registry.js';
import { checkSupported } from './supported.js';

/** What a hook says of a domain. */
export interface DomainRequest {
	uuid: string;
	state: DomainState;
	nics: NicRequest[];
	/** NICs that its XML has and doesn't declare, with TAPs that aren't libvirt's; those of others among them. */
	undeclared: Device[];
}

export interface Device {
	/** Its place in the domain's XML. */
	at: string;
	target: string;
	mac: string;
	alias?: string;
}

export interface NicRequest {
	/** Where the domain's XML declares it, for messages. */
	at: string;
	/** Name of the TAP. The slave's is the same without `ipvt-`. */
	target: string;
	master: string;
	mode?: Mode;
	flag?: Flag;
	addresses: string[];
	learn?: boolean;
	allow?: Permission[];
	limits?: LimitRequest;
	mac: string;
	mtu?: number;
	queues: number;
	vhost?: boolean;
	alias?: string;
	/** Has the domain an interface for it? Otherwise one may be plugged in later. */
	present: boolean;
	/** It isn't declared, but was plugged in: as what. */
	plugged?: NicRecord;
}

/** @throws IpvtapError for a name that no slave can have. */
export function declaredNic({
	target,
	master,
	mac,
	addresses,
	learn,
	allow,
	queues,
	limits,
}: NicRequest): NicRecord {
	return {
		name: checkSlaveName(target.replace(/^ipvt-/, '')),
		ifname: target,
		master,
		mac,
		addresses,
		learn: learn ?? addresses.length === 0,
		...permitted(allow),
		queues,
		...(limits === undefined ? {} : { limits: mergeLimits(undefined, limits) }),
	};
}

/**
 * NICs that the domain was given while it ran (`attach --domain`), and that its metadata doesn't declare. They are in its
 * XML from then on, and in what libvirt writes down when it is saved: without their TAPs it would refuse to restore it.
 * What they are to be, only we know.
 *
 * @returns those of `known`, the first of each name, that the XML still has.
 */
export function pluggedNics({ undeclared }: DomainRequest, known: readonly NicRecord[]): NicRequest[] {
	return undeclared.flatMap(({ at, target, mac, alias }): NicRequest[] => {
		const plugged = known.find(nic => nic.ifname === target && nic.mac === mac);
		if (!plugged) return [];
		const { master, addresses, queues } = plugged;
		const name = alias === undefined ? {} : { alias };
		return [
			{
				...{ at, target, master, addresses, mac, queues, present: true, ...name },
				plugged: { ...plugged, plugged: true },
			},
		];
	});
}

/** What remains of a slave when its TAP has gone. */
export function nicOf(slave: SlaveRecord): NicRecord {
	const { name, ifname, master, mac, addresses, learn, allow, queues, limits } = slave;
	return {
		...{ name, ifname, master, mac, addresses, learn, queues },
		...(allow === undefined ? {} : { allow }),
		...(limits === undefined ? {} : { limits }),
	};
}

/** @throws IpvtapError for what libvirt would fail at later, and say less about. */
export function checkDevice({ target, vhost }: NicRequest): void {
	if (getLink(target)?.carrier) {
		throw new IpvtapError('conflict', `the TAP ${target} is in use: somebody has it open already`, {
			hint: `see who: grep -l 'iff:.*${target}' /proc/[0-9]*/fdinfo/*; or choose another <target dev>`,
		});
	}
	if (vhost && !vhostAvailable()) {
		throw new IpvtapError(
			'usage',
			`the <driver name> of ${target}: found 'vhost', allowed: 'qemu' or none, since /dev/vhost-net doesn't open`,
			{ hint: 'sudo modprobe vhost_net, or leave it out: libvirt then uses vhost where it can' },
		);
	}
}

/**
 * A NIC that was plugged in on another host, or that we were told to forget, has no TAP, and libvirt will make none.
 * @throws IpvtapError, which says more than libvirt would.
 */
export function checkKnown({ nics, undeclared }: DomainRequest): void {
	for (const { at, target, mac } of undeclared) {
		const isOurs = target.startsWith('ipvt-');
		if (!isOurs || nics.some(nic => nic.target === target) || getLink(target)) continue;
		const name = target.slice('ipvt-'.length);
		throw new IpvtapError(
			'failed',
			`${at}: there is no TAP ${target}, the domain doesn't declare it, and nothing is known of it here`,
			{
				hint: `declare it, unplug it first, or make it: ipvtap attach ${name} --master MASTER --mac ${mac} [--ip ADDRESS]`,
			},
		);
	}
}

/**
 * Mode and flag are the master's: a domain may say them, but not change them for everybody else.
 * @param is the master; undefined while it isn't up. @throws IpvtapError.
 */
export function checkMaster({ at, master, mode, flag }: NicRequest, is: MasterRecord | undefined): void {
	const wishes = { ...(mode === undefined ? {} : { mode }), ...(flag === undefined ? {} : { flag }) };
	checkSupported(wishes, is);
	for (const [key, wanted] of Object.entries({ mode, flag })) {
		const has = is?.[key as 'mode' | 'flag'];
		if (wanted === undefined || has === undefined || has === wanted) continue;
		throw new IpvtapError(
			'conflict',
			`${at}/@${key}: found '${wanted}', allowed: '${has}', which ${master} has`,
			{
				hint: `change the domain, or the master for all of its slaves: ipvtap set ${master} --${key} ${wanted}`,
			},
		);
	}
}

/** @param most the master's, in bytes; undefined while it isn't open. @throws IpvtapError `usage`. */
export function checkMtu({ target, master, mtu }: NicRequest, most: number | undefined): void {
	if (mtu === undefined || most === undefined || mtu <= most) return;
	throw new IpvtapError(
		'usage',
		`the <mtu> of ${target}: found '${mtu}', allowed: at most ${most}, as ${master} has`,
		{
			hint: `lower it, or raise the master's: ip link set ${master} mtu ${mtu}`,
		},
	);
}

/** What went wrong, with the place in the domain's XML unless it is there already. */
export async function located(nic: NicRequest, task: () => Promise<void>): Promise<void> {
	try {
		await task();
	} catch (thrown) {
		const error = asIpvtapError(thrown);
		if (error.message.startsWith('/')) throw error;
		throw new IpvtapError(error.code, `${nic.at}: ${error.message}`, {
			...(error.hint === undefined ? {} : { hint: error.hint }),
			cause: thrown,
		});
	}
}
