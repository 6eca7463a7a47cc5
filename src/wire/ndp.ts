/**
 * IPv6 neighbour discovery (RFC 4861) inside ICMPv6: which message a packet carries, wherever its extension
 * headers hide it, and where its link-layer address option lies.
 */
import { IPV6_HEADER, IPV6_NEXT_HEADER, IPV6_PAYLOAD_LENGTH, PROTOCOL_ICMPV6 } from './ip.js';
import { CHAIN_HIDDEN, CHAIN_OFFSET, upperLayer } from './ipv6-extension.js';

export const ROUTER_SOLICITATION = 133;
export const ROUTER_ADVERTISEMENT = 134;
export const NEIGHBOUR_SOLICITATION = 135;
export const NEIGHBOUR_ADVERTISEMENT = 136;
export const REDIRECT = 137;

/** Offsets from the ICMPv6 header, bytes. */
export const ICMPV6_CHECKSUM = 2;
export const ND_FLAGS = 4;
export const ND_TARGET = 8;
/** Flags of an advertisement (RFC 4861, 4.4). */
export const ND_ROUTER = 0x80000000;
export const ND_SOLICITED = 0x40000000;
export const ND_OVERRIDE = 0x20000000;

export const OPTION_SOURCE_LINK_LAYER = 1;
export const OPTION_TARGET_LINK_LAYER = 2;

/** Neighbour discovery, or what could be, in a shape that no honest host sends: fragmented, or behind other headers. */
export const ND_HIDDEN = -1;
/** Neighbour discovery too short for its type, or with options that run past its end or contradict each other. */
export const ND_MALFORMED = -2;

/**
 * Type of the neighbour discovery message in the IPv6 packet at `at`, 0 if it carries none, ND_HIDDEN or
 * ND_MALFORMED. The packet's own lengths have been checked. RFC 6980 forbids fragmenting ND; behind any other
 * extension header a receiver would still act on it while a filter that reads only offset 40 would not see it.
 */
export function ndType(frame: DataView, at: number): number {
	const end = at + IPV6_HEADER + frame.getUint16(at + IPV6_PAYLOAD_LENGTH);
	if (frame.getUint8(at + IPV6_NEXT_HEADER) === PROTOCOL_ICMPV6)
		return plainType(frame, at + IPV6_HEADER, end);
	const upper = upperLayer(frame, at, end);
	if (upper < 0) return upper === CHAIN_HIDDEN ? ND_HIDDEN : 0;
	const header = at + (upper >> CHAIN_OFFSET);
	return (upper & 255) === PROTOCOL_ICMPV6 && couldBeNd(frame, header, end) ? ND_HIDDEN : 0;
}

function couldBeNd(frame: DataView, at: number, end: number): boolean {
	return at >= end || isNdType(frame.getUint8(at));
}

function plainType(frame: DataView, at: number, end: number): number {
	if (at >= end) return ND_MALFORMED;
	const type = frame.getUint8(at);
	if (!isNdType(type)) return 0;
	return optionsFit(frame, at + ndOptionsAt(type), end) ? type : ND_MALFORMED;
}

function isNdType(type: number): boolean {
	return type >= ROUTER_SOLICITATION && type <= REDIRECT;
}

/** Where the options of a message begin, from its ICMPv6 header (RFC 4861, 4.1 to 4.5). */
export function ndOptionsAt(type: number): number {
	if (type === ROUTER_SOLICITATION) return 8;
	if (type === ROUTER_ADVERTISEMENT) return 16;
	return type === REDIRECT ? 40 : 24;
}

function optionsFit(frame: DataView, at: number, end: number): boolean {
	let option = at;
	let seen = 0;
	while (option + 8 <= end) {
		const type = frame.getUint8(option);
		const length = frame.getUint8(option + 1) << 3;
		// RFC 4861, 4.6: an option of length 0 makes the whole packet invalid.
		if (length === 0) return false;
		if (type === OPTION_SOURCE_LINK_LAYER || type === OPTION_TARGET_LINK_LAYER) {
			// Of two MACs one would be checked and rewritten, and perhaps the other believed.
			if ((seen & type) !== 0) return false;
			seen |= type;
		}
		option += length;
	}
	return option === end;
}

/**
 * Offset of the six-byte address in the first option of `type` in the ND message at `icmp` (ends at `end`),
 * or 0 if it has none. The options have been checked.
 */
export function linkLayerOption(frame: DataView, icmp: number, end: number, type: number): number {
	let option = icmp + ndOptionsAt(frame.getUint8(icmp));
	while (option < end) {
		if (frame.getUint8(option) === type) return option + 2;
		option += frame.getUint8(option + 1) << 3;
	}
	return 0;
}
