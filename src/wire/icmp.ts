/**
 * ICMP errors (RFC 792, RFC 4443): about which packets one may be sent, and how it looks. Offsets named `ip` are of
 * the IP header whose lengths have been checked.
 */
import { sumOf, writeIcmpv6Checksum } from './checksum.js';
import {
	copyAddress6,
	IPV4_CHECKSUM,
	IPV4_DESTINATION,
	IPV4_FRAGMENT,
	IPV4_HEADER_MIN,
	IPV4_PROTOCOL,
	IPV4_SOURCE,
	IPV4_TOTAL_LENGTH,
	IPV4_TTL,
	IPV6_DESTINATION,
	IPV6_HEADER,
	IPV6_HOP_LIMIT,
	IPV6_NEXT_HEADER,
	IPV6_PAYLOAD_LENGTH,
	IPV6_SOURCE,
	ipv4Payload,
	isUnspecified6,
	PROTOCOL_DESTINATION_OPTIONS,
	PROTOCOL_FRAGMENT,
	PROTOCOL_HOP_BY_HOP,
	PROTOCOL_ICMPV6,
	PROTOCOL_ROUTING,
} from './ip.js';

export interface IcmpError {
	type: number;
	code: number;
	/** What the next hop takes, in "fragmentation needed" and "packet too big"; else 0. */
	mtu: number;
}

// https://www.iana.org/assignments/icmp-parameters, https://www.iana.org/assignments/icmpv6-parameters
export const ICMP_UNREACHABLE = 3;
export const ICMP_NET_UNREACHABLE = 0;
export const ICMP_HOST_UNREACHABLE = 1;
export const ICMP_FRAGMENTATION_NEEDED = 4;
export const ICMP_PROHIBITED = 13;
export const ICMP_TIME_EXCEEDED = 11;
export const ICMPV6_UNREACHABLE = 1;
export const ICMPV6_NO_ROUTE = 0;
export const ICMPV6_PROHIBITED = 1;
export const ICMPV6_BEYOND_SCOPE = 2;
export const ICMPV6_ADDRESS_UNREACHABLE = 3;
export const ICMPV6_TOO_BIG = 2;
export const ICMPV6_TIME_EXCEEDED = 3;

/**
 * RFC 1122, 3.2.2: never about an ICMP error, nor about a fragment other than the first, nor to who isn't one host.
 * (About multicast neither, but nobody routes that.)
 */
export function mayComplain4(frame: DataView, ip: number): boolean {
	const source = frame.getUint8(ip + IPV4_SOURCE);
	if (source === 0 || source === 127 || source >= 224) return false;
	if ((frame.getUint16(ip + IPV4_FRAGMENT) & FRAGMENT_OFFSET) !== 0) return false;
	if (frame.getUint8(ip + IPV4_PROTOCOL) !== PROTOCOL_ICMP) return true;
	const icmp = ipv4Payload(frame, ip);
	if (icmp >= ip + frame.getUint16(ip + IPV4_TOTAL_LENGTH)) return false;
	const type = frame.getUint8(icmp);
	// As icmp_send in net/ipv4/icmp.c: what isn't known might be an error as well.
	return type <= 18 && !isError4(type);
}

/** RFC 4443, 2.4 (e): never about an ICMPv6 error or a redirect, whatever headers are before it, nor to nobody. */
export function mayComplain6(frame: DataView, ip: number): boolean {
	if (isUnspecified6(frame, ip + IPV6_SOURCE) || frame.getUint8(ip + IPV6_SOURCE) === 0xff) return false;
	const end = ip + IPV6_HEADER + frame.getUint16(ip + IPV6_PAYLOAD_LENGTH);
	let next = frame.getUint8(ip + IPV6_NEXT_HEADER);
	let header = ip + IPV6_HEADER;
	for (let depth = 0; isExtension(next); depth++) {
		if (depth === EXTENSION_HEADERS_MAX || header + 8 > end) return false;
		const isFragment = next === PROTOCOL_FRAGMENT;
		if (isFragment && (frame.getUint16(header + 2) & FRAGMENT_OFFSET6) !== 0) return false;
		next = frame.getUint8(header);
		header += isFragment ? 8 : (frame.getUint8(header + 1) + 1) << 3;
	}
	if (next !== PROTOCOL_ICMPV6) return true;
	return header < end && frame.getUint8(header) >= 128 && frame.getUint8(header) !== REDIRECT6;
}

/** True for an ICMP redirect that isn't hidden in a fragment. */
export function isRedirect4(frame: DataView, ip: number): boolean {
	const icmp = ipv4Payload(frame, ip);
	return (
		frame.getUint8(ip + IPV4_PROTOCOL) === PROTOCOL_ICMP &&
		(frame.getUint16(ip + IPV4_FRAGMENT) & FRAGMENT_OFFSET) === 0 &&
		icmp < ip + frame.getUint16(ip + IPV4_TOTAL_LENGTH) &&
		frame.getUint8(icmp) === REDIRECT4
	);
}

/**
 * Writes the IPv4 packet with an error about the packet at `ip` of `about`, to who sent that, at `to` of `frame`:
 *
 *     | IPv4, 20 bytes | type | code | checksum | 0 (2) | MTU (2) | the packet's beginning … |
 *
 * 576 bytes at the most (RFC 1812, 4.3.2.3). @returns its length.
 */
export function writeError4(
	about: DataView,
	ip: number,
	error: IcmpError,
	source: number,
	frame: DataView,
	to: number,
): number {
	const quoted = Math.min(
		about.getUint16(ip + IPV4_TOTAL_LENGTH),
		ERROR4_MAX - IPV4_HEADER_MIN - ICMP_HEADER,
	);
	const length = IPV4_HEADER_MIN + ICMP_HEADER + quoted;
	const icmp = to + IPV4_HEADER_MIN;
	// RFC 1812, 4.3.2.5: precedence 6, internetwork control; the rest of the type of service as it was.
	frame.setUint16(to, 0x4500 | 0xc0 | (about.getUint8(ip + 1) & 0x1e));
	frame.setUint16(to + IPV4_TOTAL_LENGTH, length);
	// It is never cut, so it needs no identification (RFC 6864).
	frame.setUint32(to + 4, 0x4000);
	frame.setUint8(to + IPV4_TTL, HOP_LIMIT);
	frame.setUint8(to + IPV4_PROTOCOL, PROTOCOL_ICMP);
	frame.setUint16(to + IPV4_CHECKSUM, 0);
	frame.setInt32(to + IPV4_SOURCE, source);
	frame.setInt32(to + IPV4_DESTINATION, about.getInt32(ip + IPV4_SOURCE));
	frame.setUint16(to + IPV4_CHECKSUM, ~sumOf(frame, to, IPV4_HEADER_MIN) & 0xffff);
	writeMessage(about, ip, quoted, error, frame, icmp);
	frame.setUint16(icmp + ICMP_CHECKSUM, ~sumOf(frame, icmp, ICMP_HEADER + quoted) & 0xffff);
	return length;
}

/**
 * The same for IPv6, where the MTU has 32 bits; 1280 bytes at the most (RFC 4443, 2.4 (c)).
 * @param source 16 bytes.
 */
export function writeError6(
	about: DataView,
	ip: number,
	error: IcmpError,
	source: DataView,
	frame: DataView,
	to: number,
): number {
	const whole = IPV6_HEADER + about.getUint16(ip + IPV6_PAYLOAD_LENGTH);
	const quoted = Math.min(whole, ERROR6_MAX - IPV6_HEADER - ICMP_HEADER);
	const icmp = to + IPV6_HEADER;
	frame.setUint32(to, 0x60000000);
	frame.setUint16(to + IPV6_PAYLOAD_LENGTH, ICMP_HEADER + quoted);
	frame.setUint8(to + IPV6_NEXT_HEADER, PROTOCOL_ICMPV6);
	frame.setUint8(to + IPV6_HOP_LIMIT, HOP_LIMIT);
	copyAddress6(source, 0, frame, to + IPV6_SOURCE);
	copyAddress6(about, ip + IPV6_SOURCE, frame, to + IPV6_DESTINATION);
	writeMessage(about, ip, quoted, error, frame, icmp);
	const length = ICMP_HEADER + quoted;
	writeIcmpv6Checksum(frame, to, icmp, length);
	return IPV6_HEADER + length;
}

function writeMessage(
	about: DataView,
	ip: number,
	quoted: number,
	{ type, code, mtu }: IcmpError,
	frame: DataView,
	icmp: number,
): void {
	frame.setUint8(icmp, type);
	frame.setUint8(icmp + 1, code);
	frame.setUint16(icmp + ICMP_CHECKSUM, 0);
	frame.setUint32(icmp + 4, mtu);
	for (let offset = 0; offset < quoted; offset++) {
		frame.setUint8(icmp + ICMP_HEADER + offset, about.getUint8(ip + offset));
	}
}

/** unreachable, source quench, redirect, time exceeded, parameter problem */
function isError4(type: number): boolean {
	return (
		type === ICMP_UNREACHABLE ||
		type === 4 ||
		type === REDIRECT4 ||
		type === ICMP_TIME_EXCEEDED ||
		type === 12
	);
}

function isExtension(header: number): boolean {
	return (
		header === PROTOCOL_HOP_BY_HOP ||
		header === PROTOCOL_ROUTING ||
		header === PROTOCOL_FRAGMENT ||
		header === PROTOCOL_DESTINATION_OPTIONS
	);
}

export const PROTOCOL_ICMP = 1;
const ICMP_HEADER = 8;
const ICMP_CHECKSUM = 2;
const REDIRECT4 = 5;
const REDIRECT6 = 137;
const ERROR4_MAX = 576;
const ERROR6_MAX = 1280;
const HOP_LIMIT = 64;
const FRAGMENT_OFFSET = 0x1fff;
const FRAGMENT_OFFSET6 = 0xfff8;
/** As many as are walked elsewhere to find neighbour discovery. */
const EXTENSION_HEADERS_MAX = 8;
