/**
 * Mode l3s has the host forward between its guests and its other devices, so forwarding is turned on for the two
 * devices concerned, and for those alone wherever the kernel can. What was set before is kept (in the state file, so
 * that a crash doesn't lose it), and set again when the mode ends.
 *
 * IPv6 can forward for single devices only since Linux 6.17 (`force_forwarding`). Before that there is one switch for
 * all of them, and turning it on makes the kernel throw away the routes that it has from router advertisements,
 * except on devices with `accept_ra` 2 (addrconf_fixup_forwarding in net/ipv6/addrconf.c): the host would lose its
 * IPv6. That is refused, as libvirt refuses it.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { IpvtapError } from '../../errors.js';
import { getLink } from '../../sys/netlink/link.js';
import { listRoutes, RT_TABLE_MAIN } from '../../sys/netlink/route.js';
import { type ForwardingHost, planForwarding, type SavedSettings } from './forwarding-plan.js';
import { setSysctl } from './host-slave.js';

/**
 * Turns forwarding on. @param known what an earlier run has saved and not restored. @param save called before
 * anything is changed. @throws IpvtapError `conflict`, `permission`; then everything is as it was.
 */
export function enableForwarding(
	master: string,
	slave: string,
	known: SavedSettings,
	save: (saved: SavedSettings) => void,
): SavedSettings {
	const plan = planForwarding(master, slave, thisHost).filter(([path, value]) => read(path) !== value);
	const saved: Record<string, string> = { ...known };
	for (const [path] of plan) {
		if (!path.includes(`/${slave}/`)) saved[path] ??= read(path) ?? '0';
		// The one switch for all devices also resets each one's own.
		if (path === 'ipv6/conf/all/forwarding') {
			for (const device of thisHost.devices()) {
				const own = `ipv6/conf/${device}/forwarding`;
				if (read(own) === '1') saved[own] ??= '1';
			}
		}
	}
	save(saved);
	for (const [path, value] of plan) {
		setSysctl(path, value);
		if (read(path) === value) continue;
		restoreForwarding(saved);
		save({});
		throw new IpvtapError(
			'permission',
			`can't use mode l3s on ${master}: /proc/sys/net/${path} can't be set`,
			{
				hint: 'is /proc/sys read-only, as in a container? Set it from outside, or use mode l3',
			},
		);
	}
	return saved;
}

/** Sets again what was set before; what is gone with its device is no matter. */
export function restoreForwarding(saved: SavedSettings): void {
	for (const [path, value] of Object.entries(saved)) setSysctl(path, value);
}

function read(path: string): string | undefined {
	try {
		return readFileSync(`/proc/sys/net/${path}`, 'utf8').trim();
	} catch {
		return undefined;
	}
}

const thisHost: ForwardingHost = {
	read,
	devices: () => readdirSync('/proc/sys/net/ipv6/conf').filter(name => name !== 'all' && name !== 'default'),
	advertised: () => {
		const routes = listRoutes({ table: RT_TABLE_MAIN, family: 'inet6', protocol: RTPROT_RA });
		const names = routes.flatMap(({ ifindex }) =>
			ifindex === undefined ? [] : (getLink(ifindex)?.name ?? []),
		);
		return [...new Set(names)];
	},
};

/** linux/rtnetlink.h */
const RTPROT_RA = 9;
