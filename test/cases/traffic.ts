/** The frames that the table is made of, between stations of the standard world, right unless told otherwise. */
import {
	advertisement,
	arp,
	ethernet,
	type Ipv4Header,
	type Ipv6Header,
	icmpv6,
	ipv4,
	ipv6,
	type Link,
	type NdOption,
	nonce,
	octets,
	routerSolicitation,
	solicitation,
	sourceLinkLayer,
	targetLinkLayer,
	type Upper,
	udp,
} from '../helpers/frames.js';
import { BROADCAST, type Station } from '../helpers/world.js';

const NOBODY4 = '0.0.0.0';
const NOBODY6 = '::';
export const ALL_NODES = 'ff02::1';
export const ALL_ROUTERS = 'ff02::2';

/** UDP over IPv4 (or what is given) from one station to another, MACs as both would expect. */
export function packet4(
	from: Station,
	to: Station,
	link: Partial<Link> = {},
	upper: Upper = udp(),
	header: Partial<Ipv4Header> = {},
): Uint8Array {
	return ethernet(
		{ source: from.mac, destination: to.mac, ...link },
		ipv4({ source: from.ipv4, destination: to.ipv4, ...header }, upper),
	);
}

export function packet6(
	from: Station,
	to: Station,
	link: Partial<Link> = {},
	upper: Upper = udp(),
	header: Partial<Ipv6Header> = {},
): Uint8Array {
	return ethernet(
		{ source: from.mac, destination: to.mac, ...link },
		ipv6({ source: from.ipv6, destination: to.ipv6, ...header }, upper),
	);
}

/** IPv4 to a group, or to everybody. */
export function multicast4(
	from: Station,
	group: string,
	link: Partial<Link> = {},
	upper: Upper = udp(5353, 5353),
	header: Partial<Ipv4Header> = {},
): Uint8Array {
	return ethernet(
		{ source: from.mac, destination: groupMac4(group), ...link },
		ipv4({ source: from.ipv4, destination: group, ttl: 1, ...header }, upper),
	);
}

export function multicast6(
	from: Station,
	group: string,
	link: Partial<Link> = {},
	upper: Upper = udp(5353, 5353),
	header: Partial<Ipv6Header> = {},
): Uint8Array {
	return ethernet(
		{ source: from.mac, destination: groupMac6(group), ...link },
		ipv6({ source: from.linkLocal, destination: group, hopLimit: 255, ...header }, upper),
	);
}

/** Who has `target`? `senderMac` is the one inside, as MAC-NAT rewrites both. */
export function arpRequest(
	from: Station,
	target: string,
	{ source = from.mac, destination = BROADCAST }: Partial<Link> = {},
	sender = from.ipv4,
	senderMac = source,
): Uint8Array {
	return ethernet({ source, destination }, arp({ operation: 1, senderMac, sender, target }));
}

/** A probe (RFC 5227): who has `target`, asked by nobody. */
export function arpProbe(from: Station, target: string, link: Partial<Link> = {}): Uint8Array {
	return arpRequest(from, target, link, NOBODY4);
}

export function arpReply(
	from: Station,
	to: Station,
	{ source = from.mac, destination = to.mac }: Partial<Link> = {},
	targetMac = destination,
	sender = from.ipv4,
): Uint8Array {
	return ethernet(
		{ source, destination },
		arp({ operation: 2, senderMac: source, sender, targetMac, target: to.ipv4 }),
	);
}

/** Gratuitous ARP: the sender about itself, to everybody. */
export function announcement(from: Station, link: Partial<Link> = {}, operation = 1): Uint8Array {
	const { source, destination } = { source: from.mac, destination: BROADCAST, ...link };
	return ethernet(
		{ source, destination },
		arp({ operation, senderMac: source, sender: from.ipv4, target: from.ipv4 }),
	);
}

/** Neighbour solicitation to the solicited-node group of `target`, with the MAC of the link's source inside. */
export function solicit(
	from: Station,
	target: string,
	link: Partial<Link> = {},
	header: Partial<Ipv6Header> = {},
	options?: readonly NdOption[],
): Uint8Array {
	const group = solicitedNode(target);
	const { source, destination } = { source: from.mac, destination: groupMac6(group), ...link };
	return ethernet(
		{ source, destination },
		ipv6(
			{ source: from.linkLocal, destination: group, hopLimit: 255, ...header },
			solicitation(target, options ?? [sourceLinkLayer(source)]),
		),
	);
}

/** Solicitation sent to the target itself, to see whether it is still there (NUD). */
export function solicitUnicast(from: Station, to: Station, link: Partial<Link> = {}): Uint8Array {
	return solicit(from, to.linkLocal, { destination: to.mac, ...link }, { destination: to.linkLocal });
}

/** Duplicate address detection: asked by nobody, no link-layer address (RFC 4862, 5.4.2). */
export function detectDuplicate(from: Station, target: string, link: Partial<Link> = {}): Uint8Array {
	return solicit(from, target, link, { source: NOBODY6 }, [nonce()]);
}

export function advertise(
	from: Station,
	to: Station,
	target = from.linkLocal,
	link: Partial<Link> = {},
	header: Partial<Ipv6Header> = {},
	options?: readonly NdOption[],
): Uint8Array {
	const { source, destination } = { source: from.mac, destination: to.mac, ...link };
	return ethernet(
		{ source, destination },
		ipv6(
			{ source: from.linkLocal, destination: to.linkLocal, hopLimit: 255, ...header },
			advertisement(target, options ?? [targetLinkLayer(source)]),
		),
	);
}

/** Unsolicited advertisement to all nodes. */
export function advertiseToAll(
	from: Station,
	target = from.linkLocal,
	link: Partial<Link> = {},
	options?: readonly NdOption[],
): Uint8Array {
	const { source, destination } = { source: from.mac, destination: groupMac6(ALL_NODES), ...link };
	return ethernet(
		{ source, destination },
		ipv6(
			{ source: from.linkLocal, destination: ALL_NODES, hopLimit: 255 },
			advertisement(target, options ?? [targetLinkLayer(source)], 0x20),
		),
	);
}

export function solicitRouters(
	from: Station,
	link: Partial<Link> = {},
	header: Partial<Ipv6Header> = {},
): Uint8Array {
	const { source, destination } = { source: from.mac, destination: groupMac6(ALL_ROUTERS), ...link };
	return ethernet(
		{ source, destination },
		ipv6(
			{ source: from.linkLocal, destination: ALL_ROUTERS, hopLimit: 255, ...header },
			routerSolicitation([sourceLinkLayer(source)]),
		),
	);
}

/** What a guest without an address broadcasts first. */
export function dhcpDiscover(from: Station, link: Partial<Link> = {}): Uint8Array {
	return ethernet(
		{ source: from.mac, destination: BROADCAST, ...link },
		ipv4({ source: NOBODY4, destination: '255.255.255.255' }, udp(68, 67, new Uint8Array(240))),
	);
}

/** MLDv2 report (RFC 3810, 5.2) for a solicited-node group. */
export function mldReport(group: string): Upper {
	return icmpv6(143, Uint8Array.of(0, 0, 0, 1, 4, 0, 0, 0, ...octets(group)));
}

/** RFC 1112, 6.4; the limited broadcast address is for all stations. */
export function groupMac4(group: string): string {
	if (group === '255.255.255.255' || !/^2(2[4-9]|3\d)\./.test(group)) return BROADCAST;
	const [, second = 0, third = 0, fourth = 0] = octets(group);
	return `01:00:5e:${[second & 0x7f, third, fourth].map(pair).join(':')}`;
}

/** RFC 2464, 7. */
export function groupMac6(group: string): string {
	return `33:33:${Array.from(octets(group).slice(12), pair).join(':')}`;
}

/** RFC 4291, 2.7.1. */
export function solicitedNode(address: string): string {
	const [a, b, c] = Array.from(octets(address).slice(13), pair);
	return `ff02::1:ff${a}:${b}${c}`;
}

function pair(byte: number): string {
	return byte.toString(16).padStart(2, '0');
}
