/**
 * Whole frames from their fields, lengths and checksums made right: for what ipvtap is asked to try, not for the
 * frame path. A frame is made inside out: `ethernet(link, ipv4(header, udp(…)))`. Addresses and MACs are texts
 * that have been checked; a group's MAC follows from its address.
 */
import ipaddr from 'ipaddr.js';
import { sumOf } from './checksum.js';
import {
	BOOT_REQUEST,
	DHCP_CHADDR,
	DHCP_CIADDR,
	DHCP_CLIENT_PORT,
	DHCP_COOKIE,
	DHCP_DISCOVER,
	DHCP_HARDWARE,
	DHCP_MAGIC,
	DHCP_OP,
	DHCP_OPTIONS,
	DHCP_REQUEST,
	DHCP_SERVER_PORT,
	DHCP_XID,
	OPTION_END,
	OPTION_MESSAGE_TYPE,
} from './dhcp.js';
import { ETHERTYPE_ARP, ETHERTYPE_IPV4, ETHERTYPE_IPV6 } from './ethernet.js';
import {
	IPV4_CHECKSUM,
	PROTOCOL_HOP_BY_HOP,
	PROTOCOL_ICMPV6,
	PROTOCOL_IGMP,
	PROTOCOL_TCP,
	PROTOCOL_UDP,
} from './ip.js';
import { OPTION_SOURCE_LINK_LAYER, OPTION_TARGET_LINK_LAYER } from './ndp.js';

/** What lies behind the Ethernet header. */
export interface Packet {
	type: number;
	bytes: Uint8Array;
}

/** What lies behind the IP header. */
export interface Payload {
	protocol: number;
	bytes: Uint8Array;
	/** Offset of a checksum that covers all of it and the pseudo-header; absent if there is none, or it stands. */
	checksum?: number;
	/** The IP header carries a router alert (RFC 2113, RFC 2711), so that who listens in looks at it. */
	alert?: boolean;
}

export interface Ends {
	source: string;
	destination: string;
	/** TTL or hop limit: 64 where none is given. */
	ttl?: number | undefined;
}

export function ethernet(link: { source: string; destination: string }, { type, bytes }: Packet): Uint8Array {
	return joined(macBytes(link.destination), macBytes(link.source), u16(type), bytes);
}

/** Both addresses are of one family, which decides. */
export function ip(ends: Ends, payload: Payload): Packet {
	return ends.source.includes(':') ? ipv6(ends, payload) : ipv4(ends, payload);
}

export function udp(from: number, to: number, data: Uint8Array = text('ipvtap trace')): Payload {
	const bytes = joined(u16(from), u16(to), u16(8 + data.length), u16(0), data);
	return { protocol: PROTOCOL_UDP, bytes, checksum: 6 };
}

/** The first segment of a connection: SYN, no options. */
export function tcp(from: number, to: number): Payload {
	const bytes = joined(u16(from), u16(to), u32(1), u32(0), [0x50, 0x02], u16(65535), u32(0));
	return { protocol: PROTOCOL_TCP, bytes, checksum: 16 };
}

/** An echo request. */
export function ping(family: 4 | 6): Payload {
	const body = joined(u16(1), u16(1), text('ipvtap trace'));
	return family === 6 ? icmpv6(128, body) : icmpv4(8, body);
}

/** Any other protocol: eight zero bytes of it. */
export function other(protocol: number): Payload {
	return { protocol, bytes: new Uint8Array(8) };
}

/** IGMPv2 membership report (RFC 2236, 2). */
export function igmpReport(group: string): Payload {
	const report = { protocol: PROTOCOL_IGMP, bytes: joined([0x16, 0, 0, 0], octets(group)), checksum: 2 };
	return { ...summed(report), alert: true };
}

/** MLDv2 report that a group is listened to, whoever sends (RFC 3810, 5.2: CHANGE_TO_EXCLUDE_MODE of nobody). */
export function mldReport(group: string): Payload {
	return { ...icmpv6(143, joined(u16(0), u16(1), [4, 0, 0, 0], octets(group))), alert: true };
}

/** @param mac of the asker; none in duplicate address detection. */
export function solicitation(target: string, mac?: string): Payload {
	return icmpv6(135, joined(u32(0), octets(target), option(OPTION_SOURCE_LINK_LAYER, mac)));
}

/** @param solicited an answer, as against an announcement. */
export function advertisement(target: string, mac: string, solicited: boolean): Payload {
	const flags = solicited ? 0x60 : 0x20;
	return icmpv6(136, joined([flags, 0, 0, 0], octets(target), option(OPTION_TARGET_LINK_LAYER, mac)));
}

export function routerSolicitation(mac?: string): Payload {
	return icmpv6(133, joined(u32(0), option(OPTION_SOURCE_LINK_LAYER, mac)));
}

/** Lifetime half an hour, no prefix. */
export function routerAdvertisement(mac: string): Payload {
	return icmpv6(134, joined([64, 0], u16(1800), u32(0), u32(0), option(OPTION_SOURCE_LINK_LAYER, mac)));
}

export interface ArpFields {
	operation: number;
	senderMac: string;
	sender: string;
	targetMac?: string | undefined;
	target: string;
}

export function arp({ operation, senderMac, sender, targetMac = ZERO_MAC, target }: ArpFields): Packet {
	const kind = [0, 1, 8, 0, 6, 4];
	const bytes = joined(
		kind,
		u16(operation),
		macBytes(senderMac),
		octets(sender),
		macBytes(targetMac),
		octets(target),
	);
	return { type: ETHERTYPE_ARP, bytes };
}

/** DHCPDISCOVER, or the DHCPREQUEST by which a client that has `renewed` renews it. */
export function dhcpRequest(mac: string, renewed?: string): Payload {
	const bytes = new Uint8Array(DHCP_OPTIONS + 60);
	const view = new DataView(bytes.buffer);
	view.setUint8(DHCP_OP, BOOT_REQUEST);
	view.setUint16(DHCP_HARDWARE, 0x0106);
	view.setUint32(DHCP_XID, 0x7ace7ace);
	if (renewed !== undefined) bytes.set(octets(renewed), DHCP_CIADDR);
	bytes.set(macBytes(mac), DHCP_CHADDR);
	view.setUint32(DHCP_COOKIE, DHCP_MAGIC);
	bytes.set(
		[OPTION_MESSAGE_TYPE, 1, renewed === undefined ? DHCP_DISCOVER : DHCP_REQUEST, OPTION_END],
		DHCP_OPTIONS,
	);
	return udp(DHCP_CLIENT_PORT, DHCP_SERVER_PORT, bytes);
}

/** True for multicast groups and the limited broadcast address. */
export function isGroupAddress(address: string): boolean {
	const range = ipaddr.parse(address).range();
	return range === 'multicast' || range === 'broadcast';
}

/** RFC 1112, 6.4, and RFC 2464, 7; everybody's for the limited broadcast. */
export function groupMac(group: string): string {
	const bytes = octets(group);
	if (bytes.length === 16) return macText([0x33, 0x33, ...bytes.slice(12)]);
	if (bytes[0] === 255) return BROADCAST_MAC;
	return macText([0x01, 0x00, 0x5e, (bytes[1] as number) & 0x7f, bytes[2] as number, bytes[3] as number]);
}

/** RFC 4291, 2.7.1. */
export function solicitedNode(address: string): string {
	const bytes = octets('ff02::1:ff00:0');
	bytes.set(octets(address).slice(13), 13);
	return (ipaddr.fromByteArray([...bytes]) as ipaddr.IPv6).toRFC5952String();
}

export const BROADCAST_MAC = 'ff:ff:ff:ff:ff:ff';
const ZERO_MAC = '00:00:00:00:00:00';

function ipv4({ source, destination, ttl = 64 }: Ends, payload: Payload): Packet {
	const addresses = joined(octets(source), octets(destination));
	const { protocol, bytes } = summed(payload, addresses);
	const options = payload.alert ? [0x94, 4, 0, 0] : [];
	const length = 20 + options.length;
	const first = [0x40 | (length >> 2), 0];
	const header = joined(
		first,
		u16(length + bytes.length),
		u32(0),
		[ttl, protocol],
		u16(0),
		addresses,
		options,
	);
	const view = new DataView(header.buffer);
	view.setUint16(IPV4_CHECKSUM, ~sumOf(view, 0, header.length) & 0xffff);
	return { type: ETHERTYPE_IPV4, bytes: joined(header, bytes) };
}

function ipv6({ source, destination, ttl = 64 }: Ends, payload: Payload): Packet {
	const addresses = joined(octets(source), octets(destination));
	const { protocol, bytes } = summed(payload, addresses);
	// Router alert, value 0, and two bytes of padding.
	const chain = payload.alert ? [protocol, 0, 5, 2, 0, 0, 1, 0] : [];
	const next = payload.alert ? PROTOCOL_HOP_BY_HOP : protocol;
	const header = joined(u32(0x60000000), u16(chain.length + bytes.length), [next, ttl], addresses);
	return { type: ETHERTYPE_IPV6, bytes: joined(header, chain, bytes) };
}

function icmpv4(type: number, body: Uint8Array): Payload {
	return summed({ protocol: 1, bytes: joined([type, 0, 0, 0], body), checksum: 2 });
}

function icmpv6(type: number, body: Uint8Array): Payload {
	return { protocol: PROTOCOL_ICMPV6, bytes: joined([type, 0, 0, 0], body), checksum: 2 };
}

/** With its checksum filled in; without addresses there is no pseudo-header under it. */
function summed({ protocol, bytes, checksum }: Payload, addresses?: Uint8Array): Payload {
	if (checksum === undefined) return { protocol, bytes };
	const pseudo = addresses === undefined ? [] : joined(addresses, u32(bytes.length), u32(protocol));
	const whole = joined(pseudo, bytes);
	const sum = ~sumOf(new DataView(whole.buffer), 0, whole.length) & 0xffff;
	const copy = bytes.slice();
	// RFC 768: a sum of zero is sent as all ones, as zero says that there is none.
	copy.set(u16(sum === 0 && protocol === PROTOCOL_UDP ? 0xffff : sum), checksum);
	return { protocol, bytes: copy };
}

function option(type: number, mac: string | undefined): Uint8Array {
	return mac === undefined ? new Uint8Array(0) : joined([type, 1], macBytes(mac));
}

function octets(address: string): Uint8Array {
	return Uint8Array.from(ipaddr.parse(address).toByteArray());
}

function macBytes(mac: string): Uint8Array {
	return Uint8Array.from(mac.split(':'), pair => Number.parseInt(pair, 16));
}

function macText(bytes: number[]): string {
	return bytes.map(byte => byte.toString(16).padStart(2, '0')).join(':');
}

function joined(...parts: ArrayLike<number>[]): Uint8Array {
	return Uint8Array.from(parts.flatMap(part => Array.from(part)));
}

function u16(value: number): number[] {
	return [(value >> 8) & 0xff, value & 0xff];
}

function u32(value: number): number[] {
	return [...u16(value >>> 16), ...u16(value & 0xffff)];
}

function text(characters: string): Uint8Array {
	return new TextEncoder().encode(characters);
}
