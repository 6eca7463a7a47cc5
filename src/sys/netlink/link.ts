/** Network devices: look, change, make a veth pair, delete (rtnetlink(7), net/core/rtnetlink.c). */
import { IpvtapError } from '../../errors.js';
import { unless } from './error.js';
import {
	IFF_MULTICAST,
	IFF_NOARP,
	IFF_PROMISC,
	IFF_UP,
	IFLA_ADDRESS,
	IFLA_AF_SPEC,
	IFLA_ALT_IFNAME,
	IFLA_IFALIAS,
	IFLA_IFNAME,
	IFLA_INFO_DATA,
	IFLA_INFO_KIND,
	IFLA_LINKINFO,
	IFLA_MTU,
	type Link,
	parseLink,
} from './link-message.js';
import { attribute, NLM_F_CREATE, NLM_F_EXCL, nested, text, u8, u16, u32 } from './message.js';
import { dump, request } from './socket.js';
import { macBytes } from './text.js';

export * from './link-message.js';

/** The device of that name (alternative names too) or ifindex; undefined if there is none. @throws NetlinkError. @syscalls netlink */
export function getLink(device: string | number): Link | undefined {
	let link: Link | undefined;
	unless(['ENODEV'], () => {
		const [message] = request(`look up ${device}`, RTM_GETLINK, 0, ifinfomsg(device, 0, 0));
		link = message && parseLink(message);
	});
	return link;
}

/** As `getLink`. @throws also IpvtapError `not-found` */
export function requireLink(device: string | number): Link {
	const link = getLink(device);
	if (link !== undefined) return link;
	throw new IpvtapError('not-found', `look up ${device}: there is no such network device`, {
		hint: 'see: ip link',
	});
}

/** All devices of the namespace, in no particular order. @throws NetlinkError. @syscalls netlink */
export function listLinks(): Link[] {
	return dump('list the network devices', RTM_GETLINK, ifinfomsg(0, 0, 0))
		.map(parseLink)
		.filter(link => link !== undefined);
}

/** What to change; what is absent stays. */
export interface LinkChanges {
	up?: boolean;
	mtu?: number;
	mac?: string;
	/** A new name; Linux before 6.2 wants the device down for it. */
	name?: string;
	/** IFF_NOARP: the device resolves nobody, the MAC of every next hop is the device's own. */
	noarp?: boolean;
	promisc?: boolean;
	/** IFF_MULTICAST: programs that speak to groups on every such device leave out one without it. */
	multicast?: boolean;
	/** Never make an IPv6 link-local address. Nothing to do, and no error, where IPv6 is off. */
	addrGenModeNone?: true;
	alias?: string;
}

/**
 * Changes a device, in an order that always works: `up: false` comes first, because a new name or MAC may want the
 * device down; then the attributes, the MTU before `addrGenModeNone`, since below 1280 bytes there is no IPv6 to set
 * anything of; `up: true` last, since the kernel turns to IFLA_AF_SPEC only after the flags, when the link-local
 * address would exist. A device whose MTU rises from below 1280 must be down for the same reason: IPv6 comes back to
 * it with its defaults.
 * @throws NetlinkError: `not-found`, `conflict` (name taken, device must be down), `permission`, `failed`; the changes
 * before the refused one stay. @syscalls netlink
 */
export function setLink(device: string | number, changes: LinkChanges): void {
	const { up, mtu, mac, name, noarp, promisc, multicast, addrGenModeNone, alias } = changes;
	// Beside a new name the old one can't say which device is meant.
	const target = name === undefined ? device : requireLink(device).ifindex;
	const send = (flags: FlagBits, attributes: Uint8Array[]) => {
		if (flags.mask === 0 && attributes.length === 0) return;
		const body = Buffer.concat([ifinfomsg(target, flags.value, flags.mask), ...attributes]);
		request(`change ${device}`, RTM_SETLINK, 0, body);
	};
	const attributes = [
		...(mac === undefined ? [] : [attribute(IFLA_ADDRESS, macBytes(mac))]),
		...(mtu === undefined ? [] : [attribute(IFLA_MTU, u32(mtu))]),
		...(name === undefined ? [] : [attribute(IFLA_IFNAME, text(name))]),
		...(alias === undefined ? [] : [attribute(IFLA_IFALIAS, text(alias))]),
	];
	if (up === false) send(flagBits(false), []);
	if (addrGenModeNone === true) {
		send(flagBits(), attributes.splice(0));
		// EAFNOSUPPORT: the device has no IPv6, so there is nothing to switch off.
		unless(['EAFNOSUPPORT'], () => send(flagBits(), [noAddressGeneration()]));
	}
	send(flagBits(up || undefined, noarp, promisc, multicast), attributes);
}

/** @returns false if there was no such device. @throws NetlinkError. @syscalls netlink */
export function deleteLink(device: string | number): boolean {
	return unless(['ENODEV'], () => request(`delete ${device}`, RTM_DELLINK, 0, ifinfomsg(device, 0, 0)));
}

/**
 * Deletes many devices for the price of one: the kernel waits for all processors (some 20 ms) once in all, not once
 * each. They are gathered in a device group, which is then deleted; those that are gone already don't matter.
 * @throws NetlinkError, with EOPNOTSUPP if one is hardware or `lo`: then none is deleted. @syscalls netlink
 */
export function deleteLinks(ifindexes: readonly number[]): void {
	const move = (group: number) => {
		for (const ifindex of ifindexes) {
			const body = Buffer.concat([ifinfomsg(ifindex, 0, 0), attribute(IFLA_GROUP, u32(group))]);
			unless(['ENODEV'], () => request(`delete device ${ifindex}`, RTM_SETLINK, 0, body));
		}
	};
	move(DOOMED_GROUP);
	try {
		const body = Buffer.concat([ifinfomsg(0, 0, 0), attribute(IFLA_GROUP, u32(DOOMED_GROUP))]);
		unless(['ENODEV'], () => request('delete devices', RTM_DELLINK, 0, body));
	} catch (error) {
		move(DEFAULT_GROUP);
		throw error;
	}
}

export interface VethOptions {
	name: string;
	peer: string;
	/** Bytes of layer 3, of both ends. */
	mtu?: number;
	mac?: string;
	peerMac?: string;
}

/** Makes two devices, both down, of which each receives what the other sends. @throws NetlinkError: `conflict` if a name is taken. @syscalls netlink */
export function createVeth({ name, peer, mtu, mac, peerMac }: VethOptions): void {
	const end = (ifname: string, address: string | undefined) => [
		attribute(IFLA_IFNAME, text(ifname)),
		...(mtu === undefined ? [] : [attribute(IFLA_MTU, u32(mtu))]),
		...(address === undefined ? [] : [attribute(IFLA_ADDRESS, macBytes(address))]),
	];
	const body = Buffer.concat([
		ifinfomsg(0, 0, 0),
		...end(name, mac),
		nested(
			IFLA_LINKINFO,
			attribute(IFLA_INFO_KIND, text('veth')),
			nested(IFLA_INFO_DATA, nested(VETH_INFO_PEER, ifinfomsg(0, 0, 0), ...end(peer, peerMac))),
		),
	]);
	request(`create veth ${name}`, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, body);
}

function noAddressGeneration(): Buffer {
	const mode = attribute(IFLA_INET6_ADDR_GEN_MODE, u8(IN6_ADDR_GEN_MODE_NONE));
	return nested(IFLA_AF_SPEC, nested(AF_INET6, mode));
}

/** Flags to set in `value`, those and the ones to clear in `mask`; undefined leaves a flag alone. */
interface FlagBits {
	value: number;
	mask: number;
}

function flagBits(up?: boolean, noarp?: boolean, promisc?: boolean, multicast?: boolean): FlagBits {
	const bits = { value: 0, mask: 0 };
	const wanted = [up, noarp, promisc, multicast];
	[IFF_UP, IFF_NOARP, IFF_PROMISC, IFF_MULTICAST].forEach((bit, index) => {
		if (wanted[index] !== undefined) bits.mask |= bit;
		if (wanted[index] === true) bits.value |= bit;
	});
	return bits;
}

/** struct ifinfomsg {u8 family, u8 pad, u16 type, i32 index, u32 flags, u32 change}, and the name if there is no index. */
function ifinfomsg(device: string | number, flags: number, change: number): Buffer {
	const index = typeof device === 'number' ? device : 0;
	const head = Buffer.concat([u8(0), u8(0), u16(0), u32(index), u32(flags), u32(change)]);
	if (typeof device === 'number') return head;
	// The kernel takes at most 15 bytes as a name; anything longer can only be an alternative one.
	const type = Buffer.byteLength(device) > 15 ? IFLA_ALT_IFNAME : IFLA_IFNAME;
	return Buffer.concat([head, attribute(type, text(device))]);
}

// linux/rtnetlink.h, linux/if_link.h, linux/veth.h
const RTM_NEWLINK = 16;
const RTM_DELLINK = 17;
const RTM_GETLINK = 18;
const RTM_SETLINK = 19;
const IFLA_GROUP = 27;
const DEFAULT_GROUP = 0;
/** `ipvt` in ASCII: no group that a person would choose. */
const DOOMED_GROUP = 0x69707674;
const IFLA_INET6_ADDR_GEN_MODE = 8;
const IN6_ADDR_GEN_MODE_NONE = 1;
const VETH_INFO_PEER = 1;
const AF_INET6 = 10;
