/**
 * Netlink on paper (netlink(7), Documentation/userspace-api/netlink/intro.rst). Pure: bytes in, bytes out.
 *
 *     nlmsghdr   u32 length | u16 type | u16 flags | u32 sequence | u32 port      16 bytes, in the length
 *     body       a fixed struct of the family, then attributes
 *     rtattr     u16 length | u16 type | payload                                  4 bytes, in the length
 *
 * Messages and attributes start on multiples of 4; the padding is not counted in the length. Everything is in
 * the machine's byte order unless a name here says `be`.
 */
import { endianness } from 'node:os';
import { IpvtapError } from '../../errors.js';

export interface Message {
	type: number;
	flags: number;
	sequence: number;
	/** Port id of the socket that the message answers; 0 in notifications. */
	port: number;
	/** What follows the nlmsghdr; shares memory with the datagram. */
	body: Buffer;
}

/** One message, padded so that another may follow. */
export function encodeMessage(type: number, flags: number, sequence: number, body: Uint8Array): Buffer {
	const bytes = Buffer.alloc(align(NLMSG_HEADER + body.length));
	bytes.set(u32(NLMSG_HEADER + body.length), 0);
	bytes.set(u16(type), 4);
	bytes.set(u16(flags), 6);
	bytes.set(u32(sequence), 8);
	bytes.set(body, NLMSG_HEADER);
	return bytes;
}

/** The messages of one datagram. @throws IpvtapError `failed` if a length runs past the end. */
export function* decodeMessages(datagram: Buffer): Generator<Message> {
	for (let at = 0; at < datagram.length; ) {
		const length = at + NLMSG_HEADER <= datagram.length ? readU32(datagram, at) : 0;
		if (length < NLMSG_HEADER || at + length > datagram.length) throw malformed('message', length, at);
		yield {
			type: readU16(datagram, at + 4),
			flags: readU16(datagram, at + 6),
			sequence: readU32(datagram, at + 8),
			port: readU32(datagram, at + 12),
			body: datagram.subarray(at + NLMSG_HEADER, at + length),
		};
		at += align(length);
	}
}

/** One attribute; several payloads are laid one after another, so nested attributes are payloads too. */
export function attribute(type: number, ...payload: Uint8Array[]): Buffer {
	let length = RTATTR_HEADER;
	for (const part of payload) length += part.length;
	if (length > 0xffff) throw malformed('attribute', length, 0);
	const bytes = Buffer.alloc(align(length));
	bytes.set(u16(length), 0);
	bytes.set(u16(type), 2);
	let at = RTATTR_HEADER;
	for (const part of payload) {
		bytes.set(part, at);
		at += part.length;
	}
	return bytes;
}

/** An attribute made of attributes, marked so; kernels before 5.2 ignore the mark. */
export function nested(type: number, ...attributes: Uint8Array[]): Buffer {
	return attribute(type | NLA_F_NESTED, ...attributes);
}

/**
 * The attributes from `offset` to the end, by type and without the two flag bits; of one that is repeated, the last.
 * @throws IpvtapError `failed` if a length runs past the end.
 */
export function attributes(bytes: Buffer, offset = 0): Map<number, Buffer> {
	const found = new Map<number, Buffer>();
	for (let at = offset; at + RTATTR_HEADER <= bytes.length; ) {
		const length = readU16(bytes, at);
		if (length < RTATTR_HEADER || at + length > bytes.length) throw malformed('attribute', length, at);
		found.set(readU16(bytes, at + 2) & NLA_TYPE_MASK, bytes.subarray(at + RTATTR_HEADER, at + length));
		at += align(length);
	}
	return found;
}

/** The verdict in an NLMSG_ERROR, or in the NLMSG_DONE that ends a dump. */
export interface Acknowledgement {
	/** 0 or a positive errno. */
	errno: number;
	/** The kernel's own sentence about what it didn't like (extended ack), if it has one. */
	text: string | undefined;
}

/**
 * NLMSG_ERROR is i32 -errno | nlmsghdr of the request | its body unless NLM_F_CAPPED | attributes if
 * NLM_F_ACK_TLVS. NLMSG_DONE is i32 -errno | attributes if NLM_F_ACK_TLVS.
 */
export function readAcknowledgement({ type, flags, body }: Message): Acknowledgement {
	const errno = body.length >= 4 ? 0 - readI32(body, 0) : 0;
	if ((flags & NLM_F_ACK_TLVS) === 0) return { errno, text: undefined };
	let offset = 4;
	if (type === NLMSG_ERROR) {
		offset += (flags & NLM_F_CAPPED) === 0 ? align(readU32(body, 4)) : NLMSG_HEADER;
	}
	const text = attributes(body, offset).get(NLMSGERR_ATTR_MSG);
	return { errno, text: text === undefined ? undefined : readText(text) };
}

export function u8(value: number): Uint8Array {
	return Uint8Array.of(value);
}

export function u16(value: number): Buffer {
	const bytes = Buffer.allocUnsafe(2);
	littleEndian ? bytes.writeUInt16LE(value) : bytes.writeUInt16BE(value);
	return bytes;
}

/** Negative numbers are taken as two's complement, so this serves s32 as well. */
export function u32(value: number): Buffer {
	const bytes = Buffer.allocUnsafe(4);
	littleEndian ? bytes.writeUInt32LE(value >>> 0) : bytes.writeUInt32BE(value >>> 0);
	return bytes;
}

/** NUL-terminated. */
export function text(value: string): Buffer {
	return Buffer.from(`${value}\0`);
}

export function readU16(bytes: Buffer, at: number): number {
	return littleEndian ? bytes.readUInt16LE(at) : bytes.readUInt16BE(at);
}

export function readU32(bytes: Buffer, at: number): number {
	return littleEndian ? bytes.readUInt32LE(at) : bytes.readUInt32BE(at);
}

export function readI32(bytes: Buffer, at: number): number {
	return readU32(bytes, at) | 0;
}

/** Exact up to 2^53: at 100 Gbit/s a byte counter takes eight days short of nine years to get there. */
export function readU64(bytes: Buffer, at: number): number {
	return Number(littleEndian ? bytes.readBigUInt64LE(at) : bytes.readBigUInt64BE(at));
}

export function readText(bytes: Buffer): string {
	const end = bytes.indexOf(0);
	return bytes.toString('utf8', 0, end < 0 ? bytes.length : end);
}

function align(length: number): number {
	return (length + 3) & ~3;
}

function malformed(what: string, length: number, at: number): IpvtapError {
	return new IpvtapError('failed', `netlink: ${what} of ${length} bytes at offset ${at} does not fit`);
}

const littleEndian = endianness() === 'LE';

// linux/netlink.h
export const NLMSG_NOOP = 1;
export const NLMSG_ERROR = 2;
export const NLMSG_DONE = 3;
export const NLM_F_REQUEST = 0x01;
export const NLM_F_ACK = 0x04;
export const NLM_F_DUMP_INTR = 0x10;
export const NLM_F_DUMP = 0x300;
export const NLM_F_REPLACE = 0x100;
export const NLM_F_EXCL = 0x200;
export const NLM_F_CREATE = 0x400;
const NLM_F_CAPPED = 0x100;
const NLM_F_ACK_TLVS = 0x200;
const NLMSGERR_ATTR_MSG = 1;
const NLA_F_NESTED = 0x8000;
const NLA_TYPE_MASK = 0x3fff;
const NLMSG_HEADER = 16;
const RTATTR_HEADER = 4;
