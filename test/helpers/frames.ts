/**
 * Builders of byte-exact frames with right lengths and checksums, and mutators that spoil them on purpose. A
 * frame is made inside out: `ethernet(link, ipv4(header, udp(…)))`. Nothing here uses the code under test.
 */
import ipaddr from 'ipaddr.js';

export interface Link {
	source: string;
	destination: string;
	/** 802.1Q tags, outermost first. */
	tags?: readonly { type?: number; tci: number }[];
}

/** What lies behind the Ethernet header. */
export interface Packet {
	type: number;
	bytes: Uint8Array;
}

/** Bytes that a transport's checksum covers besides its own. */
type PseudoHeader = (protocol: number, length: number) => Uint8Array;

/** What lies behind the IP header; made when the addresses under its checksum are known. */
export interface Upper {
	protocol: number;
	build(pseudo: PseudoHeader): Uint8Array;
}

export interface Ipv4Header {
	source: string;
	destination: string;
	ttl?: number;
	/** Flags and fragment offset: 0x2000 is "more fragments". */
	fragment?: number;
	options?: Uint8Array;
	/** Lies, where given. */
	version?: number;
	headerWords?: number;
	totalLength?: number;
}

/** An IPv6 extension header; `build` is told what comes next. */
export interface Extension {
	header: number;
	build(next: number): Uint8Array;
}

export interface Ipv6Header {
	source: string;
	destination: string;
	hopLimit?: number;
	extensions?: readonly Extension[];
	/** Lies, where given. */
	version?: number;
	payloadLength?: number;
}

export interface ArpFields {
	operation: number;
	senderMac: string;
	sender: string;
	targetMac?: string;
	target: string;
	/** Lies, where given: hardware type, protocol type, address lengths. */
	prefix?: readonly number[];
}

export interface NdOption {
	type: number;
	/** Without type and length; padded to a multiple of 8 together with them. */
	data: Uint8Array;
	/** In units of 8 bytes; a lie, where given. */
	length?: number;
}

export function ethernet({ source, destination, tags = [] }: Link, { type, bytes }: Packet): Uint8Array {
	const tagged = tags.map(tag => [...u16(tag.type ?? 0x8100), ...u16(tag.tci)]);
	return bytesOf(mac(destination), mac(source), ...tagged, u16(type), bytes);
}

export function ipv4(header: Ipv4Header, upper: Upper): Packet {
	const { source, destination, ttl = 64, fragment = 0, options = new Uint8Array(0) } = header;
	const addresses = bytesOf(octets(source), octets(destination));
	const payload = upper.build((protocol, length) => bytesOf(addresses, [0, protocol], u16(length)));
	const words = 5 + options.length / 4;
	const total = header.totalLength ?? words * 4 + payload.length;
	const first = ((header.version ?? 4) << 4) | (header.headerWords ?? words);
	const head = bytesOf([first, 0], u16(total), u16(0x1234), u16(fragment), [ttl, upper.protocol], [0, 0]);
	const whole = bytesOf(head, addresses, options);
	whole.set(u16(internetChecksum(whole)), 10);
	return { type: 0x0800, bytes: bytesOf(whole, payload) };
}

export function ipv6(header: Ipv6Header, upper: Upper): Packet {
	const { source, destination, hopLimit = 64, extensions = [] } = header;
	const addresses = bytesOf(octets(source), octets(destination));
	const payload = upper.build((protocol, length) =>
		bytesOf(addresses, u16(0), u16(length), [0, 0, 0, protocol]),
	);
	const nexts = [...extensions.map(extension => extension.header), upper.protocol];
	const chain = bytesOf(...extensions.map((extension, index) => extension.build(nexts[index + 1] as number)));
	const length = header.payloadLength ?? chain.length + payload.length;
	const version = [(header.version ?? 6) << 4, 0, 0, 0];
	return {
		type: 0x86dd,
		bytes: bytesOf(version, u16(length), [nexts[0] as number, hopLimit], addresses, chain, payload),
	};
}

export function arp(fields: ArpFields): Packet {
	const prefix = fields.prefix ?? [0, 1, 8, 0, 6, 4];
	const sender = bytesOf(mac(fields.senderMac), octets(fields.sender));
	const target = bytesOf(mac(fields.targetMac ?? '00:00:00:00:00:00'), octets(fields.target));
	return { type: 0x0806, bytes: bytesOf(prefix, u16(fields.operation), sender, target) };
}

/** Any ethertype at all. */
export function other(type: number, bytes: Uint8Array = new Uint8Array(46)): Packet {
	return { type, bytes };
}

export function udp(from = 40000, to = 9, data: Uint8Array = text('ipvtap')): Upper {
	return {
		protocol: 17,
		build(pseudo) {
			const length = 8 + data.length;
			const datagram = bytesOf(u16(from), u16(to), u16(length), u16(0), data);
			// RFC 768: a sum of zero is sent as all ones, because zero says that there is none.
			datagram.set(u16(internetChecksum(bytesOf(pseudo(17, length), datagram)) || 0xffff), 6);
			return datagram;
		},
	};
}

export function tcp(from = 40000, to = 80, data: Uint8Array = text('ipvtap')): Upper {
	return summed(
		6,
		16,
		bytesOf(u16(from), u16(to), new Array(8).fill(1), [0x50, 0x18], u16(512), u16(0), u16(0), data),
	);
}

/** ICMP echo request; its checksum has no pseudo-header. */
export function icmp(type = 8, data: Uint8Array = text('ipvtap')): Upper {
	const message = bytesOf([type, 0], u16(0), u16(7), u16(1), data);
	message.set(u16(internetChecksum(message)), 2);
	return raw(1, message);
}

/** IGMPv2 membership report, or the message of another type. */
export function igmp(group: string, type = 0x16): Upper {
	return igmpMessage(bytesOf([type, 0], u16(0), octets(group)));
}

/** A group record of IGMPv3 and MLDv2. */
export interface GroupRecord {
	type: number;
	group: string;
	sources?: readonly string[];
	/** Bytes, a multiple of 4. */
	auxiliary?: number;
}

/** IGMPv3 membership report. @param count a lie, where given. */
export function igmpReport(records: readonly GroupRecord[], count = records.length): Upper {
	return igmpMessage(bytesOf([0x22, 0], u16(0), u16(0), u16(count), ...records.map(groupRecord)));
}

/** MLDv2 report. @param count a lie, where given. */
export function mldReportOf(records: readonly GroupRecord[], count = records.length): Upper {
	return icmpv6(143, bytesOf(u16(0), u16(count), ...records.map(groupRecord)));
}

/** An MLDv1 report, or another message of its form. */
export function mldMessage(group: string, type = 131): Upper {
	return icmpv6(type, bytesOf(new Uint8Array(4), octets(group)));
}

/** The IPv4 option that IGMP is sent with. */
export const routerAlert = Uint8Array.of(148, 4, 0, 0);

function groupRecord({ type, group, sources = [], auxiliary = 0 }: GroupRecord): Uint8Array {
	const head = bytesOf([type, auxiliary / 4], u16(sources.length), octets(group));
	return bytesOf(head, ...sources.map(octets), new Uint8Array(auxiliary));
}

function igmpMessage(message: Uint8Array): Upper {
	message.set(u16(internetChecksum(message)), 2);
	return raw(2, message);
}

export function icmpv6(type: number, body: Uint8Array = bytesOf(u16(7), u16(1), text('ipvtap'))): Upper {
	return summed(58, 2, bytesOf([type, 0], u16(0), body));
}

export function solicitation(target: string, options: readonly NdOption[] = []): Upper {
	return icmpv6(135, bytesOf(new Uint8Array(4), octets(target), ...options.map(ndOption)));
}

/** @param flags the first byte: 0x80 router, 0x40 solicited, 0x20 override. */
export function advertisement(target: string, options: readonly NdOption[] = [], flags = 0x60): Upper {
	return icmpv6(136, bytesOf([flags, 0, 0, 0], octets(target), ...options.map(ndOption)));
}

export function routerSolicitation(options: readonly NdOption[] = []): Upper {
	return icmpv6(133, bytesOf(new Uint8Array(4), ...options.map(ndOption)));
}

export function routerAdvertisement(options: readonly NdOption[] = []): Upper {
	return icmpv6(134, bytesOf([64, 0], u16(1800), new Uint8Array(8), ...options.map(ndOption)));
}

export function redirect(target: string, destination: string, options: readonly NdOption[] = []): Upper {
	return icmpv6(
		137,
		bytesOf(new Uint8Array(4), octets(target), octets(destination), ...options.map(ndOption)),
	);
}

export const sourceLinkLayer = (address: string): NdOption => ({ type: 1, data: mac(address) });
export const targetLinkLayer = (address: string): NdOption => ({ type: 2, data: mac(address) });
/** RFC 3971, 5.3.2: what enhanced duplicate address detection puts beside the link-layer address. */
export const nonce = (): NdOption => ({ type: 14, data: Uint8Array.of(1, 2, 3, 4, 5, 6) });

/** Any protocol, no checksum made. */
export function raw(protocol: number, bytes: Uint8Array = new Uint8Array(0)): Upper {
	return { protocol, build: () => bytes };
}

/** What an upper layer's bytes are between two addresses: for cutting them into fragments. */
export function upperBytes(source: string, destination: string, upper: Upper): Uint8Array {
	return ipv6({ source, destination }, upper).bytes.slice(40);
}

/** Hop-by-hop options (0) with a router alert, destination options (60), and a routing header (43) of 8 bytes. */
/** With a router alert, as MLD is sent. */
export const hopByHop: Extension = { header: 0, build: next => Uint8Array.of(next, 0, 5, 2, 0, 0, 1, 0) };
export const destinationOptions: Extension = {
	header: 60,
	build: next => Uint8Array.of(next, 0, 1, 4, 0, 0, 0, 0),
};
export const routing: Extension = { header: 43, build: next => Uint8Array.of(next, 0, 4, 0, 0, 0, 0, 0) };

/** @param offset bytes, a multiple of 8. */
export function fragmentHeader(offset: number, more: boolean): Extension {
	return { header: 44, build: next => bytesOf([next, 0], u16(offset | (more ? 1 : 0)), [0, 0, 0, 42]) };
}

export function withDestination(frame: Uint8Array, address: string): Uint8Array {
	return patched(frame, 0, mac(address));
}

export function withSource(frame: Uint8Array, address: string): Uint8Array {
	return patched(frame, 6, mac(address));
}

export function patched(frame: Uint8Array, at: number, bytes: ArrayLike<number>): Uint8Array {
	const copy = frame.slice();
	copy.set(bytes, at);
	return copy;
}

/** The first `length` bytes: what is left when the rest gets lost. */
export function cut(frame: Uint8Array, length: number): Uint8Array {
	return frame.slice(0, length);
}

/** Padded with zeros, as every frame of less than 60 bytes is on a real wire. */
export function padded(frame: Uint8Array, length = 60): Uint8Array {
	return bytesOf(frame, new Uint8Array(Math.max(0, length - frame.length)));
}

/** RFC 1071, in the plainest way: add the words, fold at the end, complement. */
export function internetChecksum(bytes: Uint8Array): number {
	let sum = 0n;
	for (let index = 0; index < bytes.length; index += 2) {
		sum += BigInt(((bytes[index] as number) << 8) | (bytes[index + 1] ?? 0));
	}
	while (sum > 0xffffn) sum = (sum & 0xffffn) + (sum >> 16n);
	return 0xffff - Number(sum);
}

export function mac(address: string): Uint8Array {
	return Uint8Array.from(address.split(':'), pair => Number.parseInt(pair, 16));
}

export function octets(address: string): Uint8Array {
	return Uint8Array.from(ipaddr.parse(address).toByteArray());
}

export function text(characters: string): Uint8Array {
	return new TextEncoder().encode(characters);
}

export function bytesOf(...parts: readonly ArrayLike<number>[]): Uint8Array {
	const bytes = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
	let offset = 0;
	for (const part of parts) {
		bytes.set(part, offset);
		offset += part.length;
	}
	return bytes;
}

export function u16(value: number): number[] {
	return [(value >> 8) & 0xff, value & 0xff];
}

function summed(protocol: number, checksum: number, message: Uint8Array): Upper {
	return {
		protocol,
		build(pseudo) {
			const copy = message.slice();
			copy.set(u16(internetChecksum(bytesOf(pseudo(protocol, copy.length), copy))), checksum);
			return copy;
		},
	};
}

function ndOption({ type, data, length }: NdOption): Uint8Array {
	const units = Math.ceil((data.length + 2) / 8);
	return padded(bytesOf([type, length ?? units], data), units * 8);
}
