/** Frames as plain objects, for the naive forwarder: everything is copied, hexadecimal, and easy to look at. */
import { hex } from './describe.js';

interface Parsed {
	link: { source: string; destination: string; group: boolean };
}

export interface ArpPacket extends Parsed {
	kind: 'arp';
	operation: number;
	senderMac: string;
	sender: string;
	targetMac: string;
	target: string;
}

export interface Ipv4Packet extends Parsed {
	kind: 'ipv4';
	source: string;
	destination: string;
	toGroup: boolean;
	igmp: boolean;
	/** Between a DHCP client and a server, not a fragment. */
	dhcp: 'request' | 'reply' | undefined;
	/** Destination port of UDP, as far as the packet shows it: later fragments don't. */
	udpTo: number | undefined;
	/** Cut short or fragmented, so that it can't be read as DHCP. */
	piece: boolean;
	/** Destination port of UDP whose header the packet's length leaves out, though the frame has it. */
	hiddenTo: number | undefined;
}

/** Neighbour discovery that can be read. Offsets are from the start of the frame. */
export interface Nd {
	type: number;
	/** Empty for messages without one. */
	target: string;
	/** The option that says where the sender is. */
	linkLayer?: { at: number; mac: string };
}

export interface Ipv6Packet extends Parsed {
	kind: 'ipv6';
	source: string;
	destination: string;
	toGroup: boolean;
	fromNobody: boolean;
	hopLimit: number;
	/** Destination port of UDP, wherever its header lies. */
	udpTo: number | undefined;
	/** A DHCPv6 message that only clients send. */
	asks: boolean;
	/** Behind extension headers; `ports`: so that not even its ports are to be seen. */
	hides: boolean | 'ports';
	/** Bytes of UDP, its header included. */
	udpLength: number;
	firstHeader: number;
	nd?: Nd | 'hidden' | 'malformed';
}

export type AnyPacket =
	| ArpPacket
	| Ipv4Packet
	| Ipv6Packet
	| (Parsed & { kind: 'vlan' })
	| (Parsed & { kind: 'other' })
	| (Parsed & { kind: 'broken'; type: number });

/** @param frame 14 bytes at least. */
export function parse(frame: Uint8Array): AnyPacket {
	const link = {
		destination: hex(frame.slice(0, 6)),
		source: hex(frame.slice(6, 12)),
		group: ((frame[0] as number) & 1) === 1,
	};
	const type = number(frame, 12, 2);
	const rest = frame.slice(14);
	if (type === 0x8100 || type === 0x88a8) return { kind: 'vlan', link };
	const packet = { 2048: ipv4, 2054: arp, 34525: ipv6 }[type];
	if (!packet) return { kind: 'other', link };
	const fields = packet(rest);
	return fields ? ({ ...fields, link } as AnyPacket) : { kind: 'broken', link, type };
}

function arp(bytes: Uint8Array): Omit<ArpPacket, 'link'> | undefined {
	if (bytes.length < 28 || hex(bytes.slice(0, 6)) !== '000108000604') return undefined;
	return {
		kind: 'arp',
		operation: number(bytes, 6, 2),
		senderMac: hex(bytes.slice(8, 14)),
		sender: hex(bytes.slice(14, 18)),
		targetMac: hex(bytes.slice(18, 24)),
		target: hex(bytes.slice(24, 28)),
	};
}

function ipv4(bytes: Uint8Array): Omit<Ipv4Packet, 'link'> | undefined {
	if (bytes.length < 20 || (bytes[0] as number) >> 4 !== 4) return undefined;
	const header = ((bytes[0] as number) & 15) * 4;
	const total = number(bytes, 2, 2);
	if (header < 20 || total < header || total > bytes.length) return undefined;
	const payload = bytes.slice(header, total);
	const fragmented = (number(bytes, 6, 2) & 0x3fff) !== 0;
	const ports = bytes[9] === 17 && !fragmented && payload.length >= 248 ? hex(payload.slice(0, 4)) : '';
	const first = (number(bytes, 6, 2) & 0x1fff) === 0;
	return {
		kind: 'ipv4',
		udpTo: bytes[9] === 17 && first && payload.length >= 8 ? number(payload, 2, 2) : undefined,
		piece: fragmented || payload.length < 248,
		hiddenTo:
			bytes[9] === 17 && first && payload.length < 8 && bytes.length >= header + 8
				? number(bytes, header + 2, 2)
				: undefined,
		source: hex(bytes.slice(12, 16)),
		destination: hex(bytes.slice(16, 20)),
		// 224.0.0.0/4, and 240.0.0.0/4 with the broadcast address in it.
		toGroup: (bytes[16] as number) >= 224,
		igmp: bytes[9] === 2,
		dhcp: ports === '00440043' ? 'request' : ports === '00430044' ? 'reply' : undefined,
	};
}

function ipv6(bytes: Uint8Array): Omit<Ipv6Packet, 'link'> | undefined {
	if (bytes.length < 40 || (bytes[0] as number) >> 4 !== 6) return undefined;
	const length = number(bytes, 4, 2);
	const firstHeader = bytes[6] as number;
	const jumbogram = length === 0 && firstHeader === 0;
	if (jumbogram || 40 + length > bytes.length) return undefined;
	const found = discovery(firstHeader, bytes.slice(40, 40 + length));
	return {
		kind: 'ipv6',
		source: hex(bytes.slice(8, 24)),
		destination: hex(bytes.slice(24, 40)),
		toGroup: bytes[24] === 0xff,
		fromNobody: bytes.slice(8, 24).every(byte => byte === 0),
		hopLimit: bytes[7] as number,
		firstHeader,
		...dhcp6(firstHeader, bytes.slice(40, 40 + length)),
		...(found === undefined ? {} : { nd: found }),
	};
}

/** What a packet says to DHCPv6, directly or behind extension headers. */
function dhcp6(
	firstHeader: number,
	payload: Uint8Array,
): Pick<Ipv6Packet, 'udpTo' | 'asks' | 'hides' | 'udpLength'> {
	const none = { udpTo: undefined, asks: false, hides: false, udpLength: 0 } as const;
	let next = firstHeader;
	let rest = payload;
	let hides = false;
	let piece = false;
	for (let depth = 0; [0, 43, 44, 60].includes(next); depth++) {
		if (depth === DEPTH || rest.length < 8) return none;
		if (next === 44 && number(rest, 2, 2) >> 3 !== 0) return none;
		const length = next === 44 ? 8 : ((rest[1] as number) + 1) * 8;
		piece ||= next === 44;
		next = rest[0] as number;
		rest = rest.slice(length);
		hides = true;
	}
	if (next !== 17) return none;
	if (rest.length < 8) return { ...none, hides: piece && 'ports' };
	const asks = rest.length > 8 && [1, 3, 4, 5, 6, 8, 9, 11].includes(rest[8] as number);
	return { udpTo: number(rest, 2, 2), asks, hides, udpLength: rest.length };
}

/** Headers that are walked before the answer is "nobody sends that". */
const DEPTH = 8;

function discovery(firstHeader: number, payload: Uint8Array): Ipv6Packet['nd'] {
	if (firstHeader === 58) return message(payload);
	let next = firstHeader;
	let rest = payload;
	let firstFragment = false;
	for (let depth = 0; [0, 43, 44, 60].includes(next); depth++) {
		if (depth === DEPTH) return 'hidden';
		// RFC 7112: a first fragment that hides what comes after its headers is not legal.
		if (rest.length < 8) return firstFragment ? 'hidden' : undefined;
		if (next === 44) {
			if (number(rest, 2, 2) >> 3 !== 0) return undefined;
			firstFragment = true;
			next = rest[0] as number;
			rest = rest.slice(8);
		} else {
			next = rest[0] as number;
			rest = rest.slice(((rest[1] as number) + 1) * 8);
		}
	}
	const couldBe = rest.length === 0 || isDiscovery(rest[0] as number);
	return next === 58 && couldBe ? 'hidden' : undefined;
}

function message(bytes: Uint8Array): Ipv6Packet['nd'] {
	if (bytes.length === 0) return 'malformed';
	const type = bytes[0] as number;
	if (!isDiscovery(type)) return undefined;
	const fixed = { 133: 8, 134: 16, 135: 24, 136: 24, 137: 40 }[type] as number;
	if (bytes.length < fixed) return 'malformed';
	const wanted = type === 136 ? 2 : 1;
	const seen: { type: number; at: number }[] = [];
	for (let at = fixed; at < bytes.length; ) {
		const length = bytes.length - at >= 8 ? (bytes[at + 1] as number) * 8 : 0;
		if (length === 0 || at + length > bytes.length) return 'malformed';
		seen.push({ type: bytes[at] as number, at });
		at += length;
	}
	for (const linkLayer of [1, 2]) {
		if (seen.filter(option => option.type === linkLayer).length > 1) return 'malformed';
	}
	const option = seen.find(candidate => candidate.type === wanted);
	const target = type === 135 || type === 136 ? hex(bytes.slice(8, 24)) : '';
	if (!option) return { type, target };
	return {
		type,
		target,
		linkLayer: { at: 54 + option.at + 2, mac: hex(bytes.slice(option.at + 2, option.at + 8)) },
	};
}

function isDiscovery(type: number): boolean {
	return type >= 133 && type <= 137;
}

function number(bytes: Uint8Array, at: number, length: number): number {
	return Number.parseInt(hex(bytes.slice(at, at + length)), 16);
}
