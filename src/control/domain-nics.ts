/** A domain's NICs in their several forms: as they are declared, as slaves, and as what remains of these. */
import { vhostAvailable } from '../../qemu/vhost.js';
import { IpvtapError } from '../errors.js';
import { getLink } from '../sys/netlink/link.js';
import type { DomainRequest, NicRequest } from './domains.js';
import { mergeLimits } from './limits.js';
import { checkSlaveName } from './names.js';
import { permitted } from './permissions.js';
import type { DeclaredNic, SlaveRecord } from './registry.js';

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
}: NicRequest): DeclaredNic {
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
export function pluggedNics({ undeclared }: DomainRequest, known: readonly DeclaredNic[]): NicRequest[] {
	return undeclared.flatMap(({ at, target, mac, alias }): NicRequest[] => {
		const plugged = known.find(nic => nic.ifname === target && nic.mac === mac);
		if (!plugged) return [];
		const { master, addresses, queues } = plugged;
		const name = alias === undefined ? {} : { alias };
		return [{ at, target, master, addresses, mac, queues, ...name, present: true, plugged }];
	});
}

/** What remains of a slave when its TAP has gone. */
export function nicOf(slave: SlaveRecord): DeclaredNic {
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
