/**
 * The virtio-net header that travels in front of each frame (`struct virtio_net_hdr`, linux/virtio_net.h;
 * VIRTIO 1.2, 5.1.6), native endian in this legacy form of 10 bytes:
 *
 *      0       1          2         4          6            8             10
 *      | flags | gso type | hdr len | gso size | csum start | csum offset |
 */
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
const HEADER_LENGTH = 2;
const GSO_SIZE = 4;
const CSUM_START = 6;
const CSUM_OFFSET = 8;

/** Smallest Ethernet and IP header that a checksum may come behind. */
const CSUM_START_MIN = 14 + 20;
/** Smaller segments are an attack on whoever has to cut them: the kernel lost CVE-2024-43817's fight here. */
const GSO_SIZE_MIN = 8;

/**
 * True if the header in front of the frame at `at` makes sense for a frame of `length` bytes, so that a kernel
 * which trusts it can't be hurt. `ethertype` and `protocol` are those of the frame.
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
	if (gsoType === VNET_GSO_NONE) return !needsChecksum || checksumFits(frame, header, length);
	if (frame.getUint16(header + GSO_SIZE, LITTLE_ENDIAN) < GSO_SIZE_MIN) return false;
	if (frame.getUint16(header + HEADER_LENGTH, LITTLE_ENDIAN) > length) return false;
	if (!needsChecksum || !checksumFits(frame, header, length)) return false;
	return gsoMatches(gsoType & ~VNET_GSO_ECN, ethertype, protocol);
}

/** True if the sum of the frame's L4 checksum field is still to be completed by whoever sends it at last. */
export function checksumIsPartial(frame: DataView, at: number): boolean {
	return (frame.getUint8(at - VNET_HEADER + FLAGS) & VNET_NEEDS_CSUM) !== 0;
}

function checksumFits(frame: DataView, header: number, length: number): boolean {
	const start = frame.getUint16(header + CSUM_START, LITTLE_ENDIAN);
	const offset = frame.getUint16(header + CSUM_OFFSET, LITTLE_ENDIAN);
	return start >= CSUM_START_MIN && start + offset + 2 <= length;
}

function gsoMatches(type: number, ethertype: number, protocol: number): boolean {
	switch (type) {
		case VNET_GSO_TCPV4:
			return ethertype === 0x0800 && protocol === 6;
		case VNET_GSO_TCPV6:
			// Behind an extension header the protocol field names that header; the kernel finds TCP itself.
			return ethertype === 0x86dd && protocol !== 17;
		case VNET_GSO_UDP_L4:
			return protocol === 17;
		default:
			// VNET_GSO_UDP (fragmentation offload) has been gone from Linux since 4.14 and returns only to hurt.
			return false;
	}
}

/** The kernel writes the legacy header in the machine's own order. */
const LITTLE_ENDIAN = new Uint8Array(Uint16Array.of(1).buffer)[0] === 1;
