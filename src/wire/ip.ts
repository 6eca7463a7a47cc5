/**
 * IPv4 (RFC 791), IPv6 (RFC 8200) and ARP (RFC 826) headers. Offsets count from the first byte of the header,
 * which lies at `at + ETHERNET_HEADER`; the length functions return 0 for a header that claims more than is there.
 */
export const IPV4_HEADER_MIN = 20;
export const IPV4_TOTAL_LENGTH = 2;
export const IPV4_FRAGMENT = 6;
export const IPV4_TTL = 8;
export const IPV4_PROTOCOL = 9;
export const IPV4_CHECKSUM = 10;
export const IPV4_SOURCE = 12;
export const IPV4_DESTINATION = 16;

export const IPV6_HEADER = 40;
export const IPV6_PAYLOAD_LENGTH = 4;
export const IPV6_NEXT_HEADER = 6;
export const IPV6_HOP_LIMIT = 7;
export const IPV6_SOURCE = 8;
export const IPV6_DESTINATION = 24;

/** An ARP packet for IPv4 over Ethernet: 28 bytes. */
export const ARP_LENGTH = 28;
export const ARP_OPERATION = 6;
export const ARP_SENDER_MAC = 8;
export const ARP_SENDER_IP = 14;
export const ARP_TARGET_MAC = 18;
export const ARP_TARGET_IP = 24;
export const ARP_REQUEST = 1;
export const ARP_REPLY = 2;

// https://www.iana.org/assignments/protocol-numbers
export const PROTOCOL_HOP_BY_HOP = 0;
export const PROTOCOL_IGMP = 2;
export const PROTOCOL_TCP = 6;
export const PROTOCOL_UDP = 17;
export const PROTOCOL_ROUTING = 43;
export const PROTOCOL_FRAGMENT = 44;
export const PROTOCOL_ICMPV6 = 58;
export const PROTOCOL_NONE = 59;
export const PROTOCOL_DESTINATION_OPTIONS = 60;

/**
 * Length of an IPv4 header, or 0 if version, header length or total length don't fit `length` bytes.
 * Bytes behind the total length are Ethernet padding and are allowed.
 */
export function ipv4HeaderLength(frame: DataView, at: number, length: number): number {
	if (length < IPV4_HEADER_MIN) return 0;
	const first = frame.getUint8(at);
	const header = (first & 15) << 2;
	const total = frame.getUint16(at + IPV4_TOTAL_LENGTH);
	return first >> 4 === 4 && header >= IPV4_HEADER_MIN && total >= header && total <= length ? header : 0;
}

/** Where what the IPv4 packet at `at` carries begins, behind its options. The header has been checked. */
export function ipv4Payload(frame: DataView, at: number): number {
	return at + ((frame.getUint8(at) & 15) << 2);
}

/** True if an IPv6 header and the payload that it claims fit `length` bytes. Jumbograms (RFC 2675) don't. */
export function ipv6Fits(frame: DataView, at: number, length: number): boolean {
	if (length < IPV6_HEADER || frame.getUint8(at) >> 4 !== 6) return false;
	const payload = frame.getUint16(at + IPV6_PAYLOAD_LENGTH);
	if (payload === 0 && frame.getUint8(at + IPV6_NEXT_HEADER) === PROTOCOL_HOP_BY_HOP) return false;
	return payload + IPV6_HEADER <= length;
}

/** True for ARP that maps IPv4 to Ethernet; every other kind has no business on a LAN of today. */
export function isEthernetArp(frame: DataView, at: number, length: number): boolean {
	// Hardware type 1, protocol type 0x0800, then address lengths 6 and 4.
	return length >= ARP_LENGTH && frame.getInt32(at) === 0x00010800 && frame.getUint16(at + 4) === 0x0604;
}

/** 224.0.0.0/4 and 240.0.0.0/4, limited broadcast included: nothing that one guest could own. */
export function isIpv4Group(address: number): boolean {
	return address >>> 28 >= 14;
}

/** True if the 16 bytes at `at` are `::`. */
export function isUnspecified6(frame: DataView, at: number): boolean {
	return (
		(frame.getInt32(at) | frame.getInt32(at + 4) | frame.getInt32(at + 8) | frame.getInt32(at + 12)) === 0
	);
}

/** fe80::/10 (RFC 4291, 2.5.6). */
export function isLinkLocal6(frame: DataView, at: number): boolean {
	return (frame.getUint16(at) & 0xffc0) === 0xfe80;
}

/** Copies the 16 bytes of an IPv6 address. */
export function copyAddress6(from: DataView, fromAt: number, to: DataView, toAt: number): void {
	for (let offset = 0; offset < 16; offset += 4) to.setInt32(toAt + offset, from.getInt32(fromAt + offset));
}

/** Writes ff02::1, all nodes on the link. */
export function writeAllNodes(frame: DataView, at: number): void {
	for (let offset = 0; offset < 16; offset += 4) frame.setInt32(at + offset, 0);
	frame.setUint16(at, 0xff02);
	frame.setUint8(at + 15, 1);
}

/** The 16 bytes of the link-local address that a machine makes of its MAC: a modified EUI-64 behind fe80::/64 (RFC 4291, 2.5.1). */
export function linkLocalOf({ high, low }: { high: number; low: number }): DataView {
	const address = new DataView(new ArrayBuffer(16));
	address.setUint16(0, 0xfe80);
	address.setUint16(8, high ^ 0x0200);
	address.setUint8(10, low >>> 24);
	address.setUint16(11, 0xfffe);
	address.setUint8(13, (low >>> 16) & 0xff);
	address.setUint16(14, low & 0xffff);
	return address;
}
