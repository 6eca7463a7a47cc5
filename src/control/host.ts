/** What the host's own addresses and routes say about a request. */
import { IpvtapError } from '../errors.js';
import { listAddresses } from '../sys/netlink/address.js';
import { getLink } from '../sys/netlink/link.js';
import { defaultRouteInterface, listRoutes, RT_TABLE_MAIN, RTPROT_IPVTAP } from '../sys/netlink/route.js';
import type { Registry } from './registry.js';

/** The host's own addresses and its gateways' are nobody's to claim. @throws IpvtapError `conflict`. */
export function checkClaimable(addresses: string[]): void {
	if (addresses.length === 0) return;
	const own = listAddresses().find(({ address }) => addresses.includes(address));
	if (own) {
		throw new IpvtapError(
			'conflict',
			`the address ${own.address} is in use: it is the host's own, on ${nameOf(own.ifindex)}`,
			{
				hint: 'choose an address for the guest that nobody on the LAN has',
			},
		);
	}
	// Ours, of which there is one for each guest, have no gateway.
	const route = listRoutes({ table: RT_TABLE_MAIN, notProtocol: RTPROT_IPVTAP }).find(
		({ gateway }) => gateway !== undefined && addresses.includes(gateway),
	);
	if (route) {
		throw new IpvtapError(
			'conflict',
			`the address ${route.gateway} is in use: it is the gateway to ${route.dst}`,
			{
				hint: 'choose an address for the guest that nobody on the LAN has',
			},
		);
	}
}

/** For requests that name no master: the one that is up, or the default route's. @throws IpvtapError `not-found`. */
export function defaultMaster(registry: Registry): string {
	const [only, ...others] = registry.masters();
	if (only && others.length === 0) return only.name;
	const ifindex = defaultRouteInterface();
	const name = ifindex === undefined ? undefined : getLink(ifindex)?.name;
	if (name !== undefined) return name;
	throw new IpvtapError('not-found', 'no master is given, and there is no default route to tell which', {
		hint: 'name the interface that leads to your LAN: --master IFACE; see: ip -br link',
	});
}

function nameOf(ifindex: number): string {
	return getLink(ifindex)?.name ?? `interface ${ifindex}`;
}
