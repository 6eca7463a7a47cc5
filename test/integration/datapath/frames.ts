/** Frames by their fields, for tests that say byte for byte what a guest sends. */
import { Buffer } from 'node:buffer';
import ipaddr from 'ipaddr.js';

export const broadcastMac = 'ff:ff:ff:ff:ff:ff';

/** 14 bytes of header in front of a payload. Nothing is padded: a TAP carries short frames. */
export function ethernet(destination: string, source: string, type: number, payload: Uint8Array): Buffer {
	return Buffer.concat([mac(destination), mac(source), u16(type), payload]);
}

/** A VLAN tag behind the two MACs. */
export function tagged(frame: Buffer, tci: number, tpid = 0x8100): Buffer {
	return Buffer.concat([frame.subarray(0, 12), u16(tpid), u16(tci), frame.subarray(12)]);
}

export interface Ipv4Fields {
	source: string;
	destination: string;
	protocol?: number;
	ttl?: number;
	/** Flags and offset as they stand in the header. */
	fragment?: number;
	/** A multiple of four bytes. */
	options?: Uint8Array;
	/** In place of what the payload's length makes it. */
	totalLength?: number;
	versionIhl?: number;
	checksum?: number;
}

export function ipv4(fields: Ipv4Fields, payload: Uint8Array = new Uint8Array(8)): Buffer {
	const options = fields.options ?? new Uint8Array();
	const header = Buffer.alloc(20 + options.length);
	header[0] = fields.versionIhl ?? 0x40 | (header.length >> 2);
	header.writeUInt16BE(fields.totalLength ?? header.length + payload.length, 2);
	header.writeUInt16BE(fields.fragment ?? 0, 6);
	header[8] = fields.ttl ?? 64;
	header[9] = fields.protocol ?? 17;
	header.set(address(fields.source), 12);
	header.set(address(fields.destination), 16);
	header.set(options, 20);
	header.writeUInt16BE(fields.checksum ?? checksum(header), 10);
	return Buffer.concat([header, payload]);
}

export interface Ipv6Fields {
	source: string;
	destination: string;
	next?: number;
	hopLimit?: number;
	payloadLength?: number;
}

export function ipv6(fields: Ipv6Fields, payload: Uint8Array = new Uint8Array(8)): Buffer {
	const header = Buffer.alloc(40);
	header[0] = 0x60;
	header.writeUInt16BE(fields.payloadLength ?? payload.length, 4);
	header[6] = fields.next ?? 17;
	header[7] = fields.hopLimit ?? 64;
	header.set(address(fields.source), 8);
	header.set(address(fields.destination), 24);
	return Buffer.concat([header, payload]);
}

/** An extension header of 8 bytes: nothing but padding, and what comes next. */
export function extension(next: number): Buffer {
	return Buffer.from([next, 0, 1, 4, 0, 0, 0, 0]);
}

/** A fragment header (RFC 8200, 4.5). */
export function fragment(next: number, offsetAndFlags = 0, id = 1): Buffer {
	return Buffer.concat([Buffer.from([next, 0]), u16(offsetAndFlags), u32(id)]);
}

/** A datagram with its checksum; `between` are the addresses it goes with. */
export function udp(from: number, to: number, data: Uint8Array, between?: [string, string]): Buffer {
	const header = Buffer.concat([u16(from), u16(to), u16(8 + data.length), u16(0)]);
	const whole = Buffer.concat([header, data]);
	if (between) whole.writeUInt16BE(checksum(pseudo(between, 17, whole.length), whole) || 0xffff, 6);
	return whole;
}

/** A segment without options. Its checksum is the pseudo-header's sum alone, as for a partial one, without `between` 0. */
export function tcp(from: number, to: number, data: Uint8Array, between?: [string, string]): Buffer {
	const header = Buffer.concat([
		u16(from),
		u16(to),
		u32(1),
		u32(1),
		Buffer.from([0x50, 0x10]),
		u16(65535),
		u32(0),
	]);
	const whole = Buffer.concat([header, data]);
	if (between) whole.writeUInt16BE(~checksum(pseudo(between, 6, whole.length)) & 0xffff, 16);
	return whole;
}

export function icmpEcho(sequence = 1, data: Uint8Array = Buffer.from('ipvtap test')): Buffer {
	const whole = Buffer.concat([Buffer.from([8, 0, 0, 0]), u16(1), u16(sequence), data]);
	whole.writeUInt16BE(checksum(whole), 2);
	return whole;
}

/** ICMPv6 with its checksum: type, code, and what follows the checksum. */
export function icmpv6(between: [string, string], type: number, code: number, body: Uint8Array): Buffer {
	const whole = Buffer.concat([Buffer.from([type, code, 0, 0]), body]);
	whole.writeUInt16BE(checksum(pseudo(between, 58, whole.length), whole), 2);
	return whole;
}

/** The ICMPv6 body of a solicitation or advertisement: flags, target, and one link-layer address option. */
export function neighbour(flags: number, target: string, option?: { type: number; mac: string }): Buffer {
	const parts = [u32(flags), address(target)];
	if (option) parts.push(Buffer.from([option.type, 1]), mac(option.mac));
	return Buffer.concat(parts);
}

/** The ICMPv6 body of a router advertisement with a lifetime of half an hour. */
export function routerAdvertisement(sourceMac: string): Buffer {
	return Buffer.concat([
		Buffer.from([64, 0]),
		u16(1800),
		u32(0),
		u32(0),
		Buffer.from([1, 1]),
		mac(sourceMac),
	]);
}

export interface ArpFields {
	operation: number;
	senderMac: string;
	sender: string;
	targetMac?: string;
	target: string;
}

export function arp({ operation, senderMac, sender, targetMac, target }: ArpFields): Buffer {
	return Buffer.concat([
		Buffer.from([0, 1, 8, 0, 6, 4]),
		u16(operation),
		mac(senderMac),
		address(sender),
		mac(targetMac ?? '00:00:00:00:00:00'),
		address(target),
	]);
}

export interface VnetFields {
	flags?: number;
	gsoType?: number;
	headerLength?: number;
	gsoSize?: number;
	csumStart?: number;
	csumOffset?: number;
}

/** struct virtio_net_hdr, 10 bytes, in this machine's order as QEMU's guests on it have it. */
export function vnet(fields: VnetFields): Buffer {
	const header = Buffer.alloc(10);
	header[0] = fields.flags ?? 0;
	header[1] = fields.gsoType ?? 0;
	const words = [fields.headerLength, fields.gsoSize, fields.csumStart, fields.csumOffset];
	const view = new DataView(header.buffer, header.byteOffset);
	for (const [index, word] of words.entries()) view.setUint16(2 + 2 * index, word ?? 0, littleEndian);
	return header;
}

/** RFC 1071 over the parts, each but the last of even length. */
export function checksum(...parts: readonly Uint8Array[]): number {
	const bytes = Buffer.concat(parts);
	let sum = 0;
	for (let at = 0; at + 1 < bytes.length; at += 2) sum += bytes.readUInt16BE(at);
	if (bytes.length % 2 === 1) sum += bytes[bytes.length - 1]! << 8;
	while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
	return ~sum & 0xffff;
}

export function pseudo([from, to]: [string, string], protocol: number, length: number): Buffer {
	return Buffer.concat([address(from), address(to), u32(length), u32(protocol)]);
}

export function mac(text: string): Buffer {
	return Buffer.from(text.replaceAll(':', ''), 'hex');
}

export function macText(bytes: Uint8Array): string {
	return Buffer.from(bytes)
		.toString('hex')
		.replace(/..(?!$)/g, '$&:');
}

export function address(text: string): Buffer {
	return Buffer.from(ipaddr.parse(text).toByteArray());
}

function u16(value: number): Buffer {
	const bytes = Buffer.alloc(2);
	bytes.writeUInt16BE(value & 0xffff);
	return bytes;
}

function u32(value: number): Buffer {
	const bytes = Buffer.alloc(4);
	bytes.writeUInt32BE(value >>> 0);
	return bytes;
}

const littleEndian = new Uint8Array(Uint16Array.of(1).buffer)[0] === 1;
