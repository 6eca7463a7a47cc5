/**
 * Which addresses nobody here owns and yet no guest may come to own by using them. Whoever owns an address gets
 * what host and guests send to it, so a guest that could claim any address at all could be anybody's name server.
 *
 *   off-link         outside the prefixes that are on the LAN: those of the host's routes through the master, and
 *                    those that routers advertise. Link-local addresses are always on it, but for those by which clouds
 *                    serve metadata, which hosts find by their routers. While nothing is known of a family, everything
 *                    of it is claimable
 *   gateway-address  a router that advertises itself (the host's own gateways are the address book's business)
 *   ip-spoof         made of another slave's MAC, or the master's: that machine will want it (RFC 4291, 2.5.1); or all
 *                    machines' of an IPv4 subnet, its last address or its first: the host must hear what is sent there
 *
 * Pure: no clock, no I/O.
 */
import { ETHERNET_HEADER } from '../../wire/ethernet.js';
import {
	IPV6_HEADER,
	IPV6_HOP_LIMIT,
	IPV6_PAYLOAD_LENGTH,
	IPV6_SOURCE,
	isLinkLocal6,
} from '../../wire/ip.js';
import { ndOptionsAt, ROUTER_ADVERTISEMENT } from '../../wire/ndp.js';
import { GRANTED } from '../address-book.js';
import { addressText, keyOf } from '../address-key.js';
import type { PortState } from '../port-state.js';
import { drop, EDGE_HOST } from '../verdict.js';

/** A LAN has a handful; whoever advertises more than these is not believed. */
const ROUTERS_MAX = 16;
const PREFIXES_MAX = 64;

const DROP_IP_SPOOF = drop('ip-spoof');
const DROP_GATEWAY = drop('gateway-address');
const DROP_OFF_LINK = drop('off-link');

export interface Heard {
	/** `fe80::1/128`, and until when that holds, milliseconds since 1970. */
	routers: { prefix: string; until: number }[];
	prefixes: { prefix: string; until: number }[];
}

interface Prefix {
	bytes: Uint8Array;
	length: number;
	/** Milliseconds since 1970. */
	until: number;
}

export class Claimable {
	#routed: Prefix[] = [];
	#advertised: Prefix[] = [];
	/** Link-local addresses of routers, each with a prefix length of 128. */
	#routers: Prefix[] = [];

	/** What the host's routes say is on the link. @param prefixes `192.0.2.0/24`, in place of those before. */
	setPrefixes(prefixes: readonly string[]): void {
		this.#routed = prefixes.map(prefix => fromWords({ prefix, until: Number.POSITIVE_INFINITY }));
	}

	/** What routers have said, for another to be brought to the same state. */
	get heard(): Heard {
		return { routers: this.#routers.map(inWords), prefixes: this.#advertised.map(inWords) };
	}

	/** In place of what was heard before. */
	setHeard({ routers, prefixes }: Heard): void {
		this.#routers = routers.map(fromWords);
		this.#advertised = prefixes.map(fromWords);
	}

	/** Takes note of a router advertisement from the wire, whose options are known to be whole (RFC 4861, 4.2). */
	advertised(frame: DataView, at: number, now: number): void {
		const ip = at + ETHERNET_HEADER;
		if (frame.getUint8(ip + IPV6_HOP_LIMIT) !== 255 || !isLinkLocal6(frame, ip + IPV6_SOURCE)) return;
		const icmp = ip + IPV6_HEADER;
		const router = { bytes: copyOf(frame, ip + IPV6_SOURCE), length: 128 };
		this.#routers = noted(this.#routers, router, now, frame.getUint16(icmp + ROUTER_LIFETIME), ROUTERS_MAX);
		const end = icmp + frame.getUint16(ip + IPV6_PAYLOAD_LENGTH);
		for (let option = icmp + ndOptionsAt(ROUTER_ADVERTISEMENT); option < end; ) {
			const units = frame.getUint8(option + 1);
			if (frame.getUint8(option) === OPTION_PREFIX && units === 4) {
				const prefix = {
					bytes: copyOf(frame, option + PREFIX),
					length: Math.min(128, frame.getUint8(option + 2)),
				};
				const seconds = frame.getUint32(option + PREFIX_LIFETIME);
				this.#advertised = noted(this.#advertised, prefix, now, seconds, PREFIXES_MAX);
			}
			option += units << 3;
		}
	}

	/**
	 * Why the slave may not claim the address that lies at `at`, as a verdict, or GRANTED.
	 * @param now milliseconds since 1970.
	 */
	refusal(state: PortState, frame: DataView, at: number, family: 4 | 6, edge: number, now: number): number {
		if (family === 6) {
			if (isOfOthersMac(state, frame, at, edge)) return DROP_IP_SPOOF;
			if (holds(this.#routers, frame, at, 16, now)) return DROP_GATEWAY;
			if (isLinkLocal6(frame, at)) return GRANTED;
		} else if (frame.getInt32(at) >>> 8 === IPV4_METADATA) return DROP_OFF_LINK;
		else if (frame.getUint16(at) === IPV4_LINK_LOCAL) return GRANTED;
		const bytes = family === 4 ? 4 : 16;
		const known = [...this.#routed, ...this.#advertised].filter(
			prefix => prefix.bytes.length === bytes && prefix.until > now,
		);
		if (known.length === 0) return GRANTED;
		if (!holds(known, frame, at, bytes, now)) return DROP_OFF_LINK;
		return family === 4 && isEverybodys(known, frame, at, now) ? DROP_IP_SPOOF : GRANTED;
	}
}

/** From the start of the ICMPv6 message, seconds; from the start of the option. */
const ROUTER_LIFETIME = 6;
const OPTION_PREFIX = 3;
const PREFIX_LIFETIME = 4;
const PREFIX = 16;
/** 169.254/16 (RFC 3927). */
const IPV4_LINK_LOCAL = 0xa9fe;
/** 169.254.169/24: 254 gives a machine its credentials, 253 and 123 are for DNS and time. */
const IPV4_METADATA = 0xa9fea9;

function inWords({ bytes, length, until }: Prefix): { prefix: string; until: number } {
	return { prefix: `${addressText(new DataView(bytes.buffer), 0, 6)}/${length}`, until };
}

function fromWords({ prefix, until }: { prefix: string; until: number }): Prefix {
	const [address = '', length] = prefix.split('/');
	const { bytes } = keyOf(address);
	return {
		bytes: new Uint8Array(bytes.buffer),
		length: length === undefined ? bytes.byteLength * 8 : Number(length),
		until,
	};
}

/** With the one that has been heard of anew, and without it if it says that its time is over. */
function noted(
	all: readonly Prefix[],
	{ bytes, length }: Pick<Prefix, 'bytes' | 'length'>,
	now: number,
	seconds: number,
	max: number,
): Prefix[] {
	const others = all.filter(
		one =>
			one.until > now && !(one.length === length && one.bytes.every((byte, index) => byte === bytes[index])),
	);
	if (seconds === 0 || others.length >= max) return others;
	return [...others, { bytes, length, until: now + seconds * 1000 }];
}

function holds(
	prefixes: readonly Prefix[],
	frame: DataView,
	at: number,
	bytes: number,
	now: number,
): boolean {
	return prefixes.some(prefix => {
		if (prefix.bytes.length !== bytes || prefix.until <= now) return false;
		const whole = prefix.length >> 3;
		for (let index = 0; index < whole; index++) {
			if (frame.getUint8(at + index) !== prefix.bytes[index]) return false;
		}
		const rest = prefix.length & 7;
		return rest === 0 || (frame.getUint8(at + whole) ^ (prefix.bytes[whole] as number)) >> (8 - rest) === 0;
	});
}

/**
 * Whether the smallest of the subnets that hold the address has it as its broadcast address, of old or of today (RFC 1122,
 * 3.2.1.3); where there are but two addresses, each is a machine's (RFC 3021).
 */
function isEverybodys(subnets: readonly Prefix[], frame: DataView, at: number, now: number): boolean {
	const holding = subnets.filter(subnet => holds([subnet], frame, at, 4, now));
	const length = Math.max(...holding.map(subnet => subnet.length));
	const ones = length > 30 ? 0 : 0xffffffff >>> length;
	const host = (frame.getUint32(at) & ones) >>> 0;
	return ones !== 0 && (host === 0 || host === ones);
}

/** Whether the interface identifier is made of another's MAC: its halves around ff:fe, its seventh bit inverted. */
function isOfOthersMac(state: PortState, frame: DataView, at: number, edge: number): boolean {
	if (frame.getUint16(at + 11) !== 0xfffe) return false;
	const high = frame.getUint16(at + 8) ^ 0x0200;
	const low = (frame.getUint8(at + 10) << 24) | (frame.getUint32(at + 12) & 0xffffff);
	const isOf = (other: number): boolean =>
		other !== edge && state.macHigh[other] === high && state.macLow[other] === low;
	if (isOf(EDGE_HOST)) return true;
	for (let index = 0; index < state.slaveCount; index++) {
		if (isOf(state.slaves[index] as number)) return true;
	}
	return false;
}

function copyOf(frame: DataView, at: number): Uint8Array {
	return Uint8Array.from({ length: 16 }, (_, index) => frame.getUint8(at + index));
}
