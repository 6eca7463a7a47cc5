/**
 * The extension headers of an IPv6 packet (RFC 8200, 4), walked to what lies behind them. A filter that reads only
 * offset 40 doesn't see what a receiver acts on, so whoever guards a protocol asks here.
 */
import {
	IPV6_HEADER,
	IPV6_NEXT_HEADER,
	PROTOCOL_DESTINATION_OPTIONS,
	PROTOCOL_FRAGMENT,
	PROTOCOL_HOP_BY_HOP,
	PROTOCOL_ROUTING,
} from './ip.js';

/** A chain that can't be followed to its end, though a receiver might. */
export const CHAIN_HIDDEN = -1;
/** Nothing stands behind the headers that anybody would act on: a later fragment, or headers cut short. */
export const CHAIN_EMPTY = -2;
/** More of the packet comes with other fragments. */
export const CHAIN_FRAGMENT = 256;
/** How many bits below an offset. */
export const CHAIN_OFFSET = 9;

/**
 * Where the upper-layer header of the packet at `at` lies and what it is: offset << CHAIN_OFFSET | protocol, plus
 * CHAIN_FRAGMENT if this is the first of several pieces; or CHAIN_HIDDEN or CHAIN_EMPTY. The offset is the packet's own
 * (in that of a whole ring the result would be too large for a small integer, and an object for each frame), and may lie
 * at `end` or behind it, when nothing is left for that header.
 * @param end where the payload ends.
 */
export function upperLayer(frame: DataView, at: number, end: number): number {
	let next = frame.getUint8(at + IPV6_NEXT_HEADER);
	let header = at + IPV6_HEADER;
	let fragmented = false;
	for (let depth = 0; isExtension(next); depth++) {
		if (depth === EXTENSION_HEADERS_MAX) return CHAIN_HIDDEN;
		// RFC 7112: a first fragment must show all headers, or nobody can say what it begins.
		if (header + 8 > end) return fragmented ? CHAIN_HIDDEN : CHAIN_EMPTY;
		const isFragment = next === PROTOCOL_FRAGMENT;
		// A later fragment is harmless alone: what it would complete was dropped with its first.
		if (isFragment && (frame.getUint16(header + 2) & FRAGMENT_OFFSET) !== 0) return CHAIN_EMPTY;
		fragmented ||= isFragment;
		next = frame.getUint8(header);
		header += isFragment ? 8 : (frame.getUint8(header + 1) + 1) << 3;
	}
	return ((header - at) << CHAIN_OFFSET) | (fragmented ? CHAIN_FRAGMENT : 0) | next;
}

/** Nobody honest sends more, but Linux and the BSDs walk more: beyond this anything may hide, so nothing passes. */
const EXTENSION_HEADERS_MAX = 8;
/** Of the 16 bits behind the first two of a fragment header; in units of 8 bytes, so 0 means the first (RFC 8200, 4.5). */
const FRAGMENT_OFFSET = 0xfff8;

export function isExtension(header: number): boolean {
	return (
		header === PROTOCOL_HOP_BY_HOP ||
		header === PROTOCOL_ROUTING ||
		header === PROTOCOL_FRAGMENT ||
		header === PROTOCOL_DESTINATION_OPTIONS
	);
}
