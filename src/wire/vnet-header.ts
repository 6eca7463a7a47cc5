/**
 * The virtio-net header that travels in front of each frame (`struct virtio_net_hdr`, linux/virtio_net.h;
 * VIRTIO 1.2, 5.1.6), native endian in this legacy form of 10 bytes:
 *
 *      0       1          2         4          6            8             10
 *      | flags | gso type | hdr len | gso size | csum start | csum offset |
 */
import { ETHERNET_HEADER, ETHERTYPE_IPV4, ETHERTYPE_IPV6 } from './ethernet.js';
import {
	IPV4_TOTAL_LENGTH,
	IPV6_HEADER,
	IPV6_PAYLOAD_LENGTH,
	PROTOCOL_DESTINATION_OPTIONS,
	PROTOCOL_HOP_BY_HOP,
	PROTOCOL_ROUTING,
	PROTOCOL_TCP,
	PROTOCOL_UDP,
} from './ip.js';

export const VNET_HEADER = 10;

export const VNET_NEEDS_CSUM = 1;
export const VNET_GSO_NONE = 0;
export const VNET_GSO_TCPV4 = 1;
export const VNET_GSO_UDP = 3;
export const VNET_GSO_TCPV6 = 4;
export const VNET_GSO_UDP_L4 = 5;
export const VNET_GSO_ECN = 0x80;

const FLAGS = 0;
const GSO_TYPE = 1;
export const VNET_HEADER_LENGTH = 2;
const GSO_SIZE = 4;
const CSUM_START = 6;
const CSUM_OFFSET = 8;

/** Where the checksum lies in a TCP (RFC 9293, 3.1) and in a UDP header (RFC 768). */
const TCP_CHECKSUM = 16;
const UDP_CHECKSUM = 6;
const TCP_DATA_OFFSET = 12;
const UDP_HEADER = 8;
/** Smaller segments are an attack on whoever has to cut them: the kernel lost CVE-2024-43817's fight here. */
const GSO_SIZE_MIN = 8;

/**
 * True if the header in front of the frame at `at` makes sense for a frame of `length` bytes, so that a kernel
 * which trusts it can't be hurt, nor made to change what was checked. `ethertype` and `protocol` are those of the
 * frame, whose first 34 bytes are there.
 */
export function vnetHeaderIsSane(
	frame: DataView,
	at: number,
	length: number,
	ethertype: number,
	protocol: number,
): boolean {
	const header = at - VNET_HEADER;
	const gsoType = frame.getUint8(header + GSO_TYPE);
	const needsChecksum = (frame.getUint8(header + FLAGS) & VNET_NEEDS_CSUM) !== 0;
	if (frame.getUint16(header + VNET_HEADER_LENGTH, LITTLE_ENDIAN) > length) return false;
	if (needsChecksum && !checksumFits(frame, at, length, ethertype, protocol)) return false;
	if (gsoType === VNET_GSO_NONE) return true;
	if (!needsChecksum || frame.getUint16(header + GSO_SIZE, LITTLE_ENDIAN) < GSO_SIZE_MIN) return false;
	return (
		lengthIsWhole(frame, at, length, ethertype) && gsoMatches(gsoType & ~VNET_GSO_ECN, ethertype, protocol)
	);
}

/** True if the sum of the frame's L4 checksum field is still to be completed by whoever sends it at last. */
export function checksumIsPartial(frame: DataView, at: number): boolean {
	return (frame.getUint8(at - VNET_HEADER + FLAGS) & VNET_NEEDS_CSUM) !== 0;
}

/** True if whoever sends the frame at last cuts it into segments. */
export function isSegmented(frame: DataView, at: number): boolean {
	return frame.getUint8(at - VNET_HEADER + GSO_TYPE) !== VNET_GSO_NONE;
}

/** Bytes of layer 3 in each segment but the last of a frame that is to be segmented and whose header is sane. */
export function segmentLength(frame: DataView, at: number): number {
	const transport = frame.getUint16(at - VNET_HEADER + CSUM_START, LITTLE_ENDIAN);
	const tcp = (frame.getUint8(at - VNET_HEADER + GSO_TYPE) & ~VNET_GSO_ECN) !== VNET_GSO_UDP_L4;
	const header = tcp ? (frame.getUint8(at + transport + TCP_DATA_OFFSET) >> 4) << 2 : UDP_HEADER;
	return transport - ETHERNET_HEADER + header + frame.getUint16(at - VNET_HEADER + GSO_SIZE, LITTLE_ENDIAN);
}

/** Where the header says where its sum is to be written, from the Ethernet header. For a frame with a partial one. */
export function partialChecksum(frame: DataView, at: number): { start: number; offset: number } {
	return {
		start: frame.getUint16(at - VNET_HEADER + CSUM_START, LITTLE_ENDIAN),
		offset: frame.getUint16(at - VNET_HEADER + CSUM_OFFSET, LITTLE_ENDIAN),
	};
}

/**
 * True if the two bytes that somebody will write are the checksum of a TCP or UDP header. Anywhere else they
 * would change the frame after it was judged: at 36 they are the end of an IPv6 source address, in ICMPv6 they
 * are the target of an advertisement.
 */
function checksumFits(
	frame: DataView,
	at: number,
	length: number,
	ethertype: number,
	protocol: number,
): boolean {
	const start = frame.getUint16(at - VNET_HEADER + CSUM_START, LITTLE_ENDIAN);
	const offset = frame.getUint16(at - VNET_HEADER + CSUM_OFFSET, LITTLE_ENDIAN);
	if (start + offset + 2 > length) return false;
	if (ethertype === ETHERTYPE_IPV4) {
		const transport = ETHERNET_HEADER + ((frame.getUint8(at + ETHERNET_HEADER) & 15) << 2);
		return start === transport && offset === checksumOf(protocol);
	}
	if (ethertype !== ETHERTYPE_IPV6) return false;
	let next = protocol;
	let transport = ETHERNET_HEADER + IPV6_HEADER;
	for (let depth = 0; isExtension(next); depth++) {
		if (depth === EXTENSION_HEADERS_MAX || transport + 8 > length) return false;
		next = frame.getUint8(at + transport);
		transport += (frame.getUint8(at + transport + 1) + 1) << 3;
	}
	return start === transport && offset === checksumOf(next);
}

/**
 * True if the IP header's length is that of the frame. Whoever cuts segments takes all bytes that are there, and gives
 * each segment a length that says so: behind a length that ends before the UDP header, ports would appear that nobody
 * has judged.
 */
function lengthIsWhole(frame: DataView, at: number, length: number, ethertype: number): boolean {
	const ip = at + ETHERNET_HEADER;
	const said =
		ethertype === ETHERTYPE_IPV4
			? frame.getUint16(ip + IPV4_TOTAL_LENGTH)
			: IPV6_HEADER + frame.getUint16(ip + IPV6_PAYLOAD_LENGTH);
	return said === length - ETHERNET_HEADER;
}

/** As many as are walked to find neighbour discovery. */
const EXTENSION_HEADERS_MAX = 8;

function checksumOf(protocol: number): number {
	if (protocol === PROTOCOL_TCP) return TCP_CHECKSUM;
	return protocol === PROTOCOL_UDP ? UDP_CHECKSUM : -1;
}

function isExtension(protocol: number): boolean {
	return (
		protocol === PROTOCOL_HOP_BY_HOP ||
		protocol === PROTOCOL_ROUTING ||
		protocol === PROTOCOL_DESTINATION_OPTIONS
	);
}

function gsoMatches(type: number, ethertype: number, protocol: number): boolean {
	switch (type) {
		case VNET_GSO_TCPV4:
			return ethertype === ETHERTYPE_IPV4 && protocol === PROTOCOL_TCP;
		case VNET_GSO_TCPV6:
			// Behind an extension header the protocol field names that header; the kernel finds TCP itself.
			return ethertype === ETHERTYPE_IPV6 && protocol !== PROTOCOL_UDP;
		case VNET_GSO_UDP_L4:
			return protocol === PROTOCOL_UDP;
		default:
			// VNET_GSO_UDP (fragmentation offload) has been gone from Linux since 4.14 and returns only to hurt.
			return false;
	}
}

/** The kernel writes the legacy header in the machine's own order. */
const LITTLE_ENDIAN = new Uint8Array(Uint16Array.of(1).buffer)[0] === 1;
