/**
 * IPv6 neighbour discovery (RFC 4861) inside ICMPv6: which message a packet carries, wherever its extension
 * headers hide it, and where its link-layer address option lies.
 */
import {
	IPV6_HEADER,
	IPV6_NEXT_HEADER,
	IPV6_PAYLOAD_LENGTH,
	PROTOCOL_DESTINATION_OPTIONS,
	PROTOCOL_FRAGMENT,
	PROTOCOL_HOP_BY_HOP,
	PROTOCOL_ICMPV6,
	PROTOCOL_ROUTING,
} from './ip.js';

export const ROUTER_SOLICITATION = 133;
export const ROUTER_ADVERTISEMENT = 134;
export const NEIGHBOUR_SOLICITATION = 135;
export const NEIGHBOUR_ADVERTISEMENT = 136;
export const REDIRECT = 137;

/** Offsets from the ICMPv6 header, bytes. */
export const ICMPV6_CHECKSUM = 2;
export const ND_FLAGS = 4;
export const ND_TARGET = 8;

export const OPTION_SOURCE_LINK_LAYER = 1;
export const OPTION_TARGET_LINK_LAYER = 2;

/** Neighbour discovery in a shape that no honest host sends: fragmented, or behind other headers. */
export const ND_HIDDEN = -1;
/** Neighbour discovery too short for its type, or with options that run past its end. */
export const ND_MALFORMED = -2;

/**
 * Type of the neighbour discovery message in the IPv6 packet at `at`, 0 if it carries none, ND_HIDDEN or
 * ND_MALFORMED. The packet's own lengths have been checked. RFC 6980 forbids fragmenting ND; behind any other
 * extension header a receiver would still act on it while a filter that reads only offset 40 would not see it.
 */
export function ndType(frame: DataView, at: number): number {
	const end = at + IPV6_HEADER + frame.getUint16(at + IPV6_PAYLOAD_LENGTH);
	let next = frame.getUint8(at + IPV6_NEXT_HEADER);
	if (next === PROTOCOL_ICMPV6) return plainType(frame, at + IPV6_HEADER, end);
	let header = at + IPV6_HEADER;
	for (let depth = 0; depth < EXTENSION_HEADERS_MAX && isExtension(next); depth++) {
		if (header + 8 > end) return 0;
		// A later fragment shows no ICMPv6 header at all, and could complete one: RFC 7112 makes it illegal for ND.
		if (next === PROTOCOL_FRAGMENT) {
			return frame.getUint8(header) === PROTOCOL_ICMPV6 && couldBeNd(frame, header + 8, end) ? ND_HIDDEN : 0;
		}
		next = frame.getUint8(header);
		header += (frame.getUint8(header + 1) + 1) << 3;
	}
	return next === PROTOCOL_ICMPV6 && couldBeNd(frame, header, end) ? ND_HIDDEN : 0;
}

/** Linux and the BSDs walk more, but nobody sends more: beyond this the packet passes as not being ND. */
const EXTENSION_HEADERS_MAX = 8;

function isExtension(header: number): boolean {
	return (
		header === PROTOCOL_HOP_BY_HOP ||
		header === PROTOCOL_ROUTING ||
		header === PROTOCOL_FRAGMENT ||
		header === PROTOCOL_DESTINATION_OPTIONS
	);
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
	while (option + 8 <= end) {
		const length = frame.getUint8(option + 1) << 3;
		// RFC 4861, 4.6: an option of length 0 makes the whole packet invalid.
		if (length === 0) return false;
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
