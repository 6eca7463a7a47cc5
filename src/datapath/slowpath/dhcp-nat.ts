/**
 * DHCPv4 through one MAC. A server that sees many clients behind the master's MAC answers to that MAC; whose
 * answer it is, the transaction id tells.
 *
 *   out   chaddr := the master's MAC, so that a server can answer in unicast and an access point that compares
 *         chaddr with the source MAC lets it pass. What tells guests apart is the client identifier; a client
 *         that sends none gets one, made of its own MAC (RFC 2132, 9.14).
 *   in    by transaction id to the guest, chaddr := its own MAC again, our client identifier turned to padding.
 *
 * A server that looks at chaddr alone offers a guest the host's address, or another guest's. Then that guest's
 * later requests keep its own chaddr and ask for a broadcast answer (RFC 2131, 4.1) instead.
 */
import { type Mapping, mapShared, unmap } from '../../sys/memory.js';
import { pseudoHeader4, sumOf } from '../../wire/checksum.js';
import {
	BOOT_REQUEST,
	DHCP_CHADDR,
	DHCP_FLAG_BROADCAST,
	DHCP_FLAGS,
	DHCP_OP,
	DHCP_XID,
	DHCP_YIADDR,
	findOption,
	isDhcp,
	OPTION_CLIENT_ID,
	OPTION_END,
	OPTION_PAD,
	UDP_CHECKSUM,
	UDP_HEADER,
	UDP_LENGTH,
} from '../../wire/dhcp.js';
import { ETH_SOURCE, ETHERNET_HEADER, macEquals, writeMac } from '../../wire/ethernet.js';
import { IPV4_CHECKSUM, IPV4_SOURCE, IPV4_TOTAL_LENGTH, ipv4Payload, PROTOCOL_UDP } from '../../wire/ip.js';
import { VNET_HEADER } from '../../wire/vnet-header.js';
import type { PortState } from '../port-state.js';
import { type Region, regionOf } from '../transmit.js';
import { drop, EDGE_WIRE, EDGES_MAX } from '../verdict.js';
import { clientIdentity } from './dhcp-identity.js';
import { Identities, type Identity } from './identities.js';

export interface Transaction {
	readonly edge: number;
	/** What the client calls itself. */
	readonly identity: Identity;
	/** Whether the client identifier is ours, and so must not come back to the guest. */
	readonly identified: boolean;
	/** Milliseconds of the clock that the caller keeps. */
	readonly since: number;
}

/** A client gives up, and takes a new transaction id, well before (RFC 2131, 4.1: 64 s between tries at the most). */
const TRANSACTION_MS = 120_000;
/** Transactions of one guest that may be open: more than one only while a client restarts. */
const TRANSACTIONS_MAX = 8;
/** Type, length, hardware type, MAC. */
const CLIENT_ID = 9;
/** The largest request that a client id still fits behind: longer ones are sent as they are. */
const ROOM = 4096;

const DROP_MALFORMED = drop('malformed');
const DROP_DHCP_SPOOF = drop('dhcp-spoof');
const DROP_DHCP_CONFLICT = drop('dhcp-conflict');

export class DhcpNat {
	readonly #memory: Mapping = mapShared(ROOM);
	/** Where the rewritten request lies until the next one is made. */
	readonly region: Region = regionOf(this.#memory);
	readonly at = 32;
	readonly #transactions = new Map<number, Transaction>();
	readonly #identities = new Identities();
	/** 1 where the server has been seen to ignore client identifiers. */
	readonly #broadcasts = new Uint8Array(EDGES_MAX);

	/**
	 * Makes the wire's copy of a guest's request, in `region`. @returns its length, or the verdict that drops it.
	 * @param now milliseconds.
	 */
	request(state: PortState, frame: DataView, at: number, length: number, edge: number, now: number): number {
		const udp = ipv4Payload(frame, at + ETHERNET_HEADER);
		const bootp = udp + UDP_HEADER;
		const end = udp + frame.getUint16(udp + UDP_LENGTH);
		if (end > at + length || !isDhcp(frame, bootp, end - bootp)) return DROP_MALFORMED;
		const high = state.macHigh[edge] as number;
		const low = state.macLow[edge] as number;
		const own = macEquals(frame, bootp + DHCP_CHADDR, high, low);
		if (!own || frame.getUint8(bootp + DHCP_OP) !== BOOT_REQUEST) return DROP_DHCP_SPOOF;
		const terminator = findOption(frame, bootp, end, OPTION_END);
		// RFC 2131, 3: the last option is OPTION_END, and without it nothing can be put behind the others.
		if (terminator === 0 || length + CLIENT_ID > ROOM - this.at) return DROP_MALFORMED;
		const name = clientIdentity(state, frame, bootp, end, edge);
		const identity = name === undefined ? undefined : this.#identities.claim(edge, name, now);
		if (!identity) return DROP_DHCP_SPOOF;
		const identified = findOption(frame, bootp, end, OPTION_CLIENT_ID) === 0;
		if (!this.#open(frame.getUint32(bootp + DHCP_XID), { edge, identity, identified, since: now }))
			return DROP_DHCP_SPOOF;

		const to = this.region.frame;
		// The virtio header in front stays zero: the checksum is made whole below.
		copy(frame, at, to, this.at, length);
		const moved = this.at - at;
		writeMac(to, this.at + ETH_SOURCE, state.masterHigh, state.masterLow);
		if (this.#broadcasts[edge] === 1) {
			to.setUint16(bootp + moved + DHCP_FLAGS, DHCP_FLAG_BROADCAST);
		} else {
			writeMac(to, bootp + moved + DHCP_CHADDR, state.masterHigh, state.masterLow);
			if (identified)
				return Math.max(length, identify(to, this.at, terminator + moved, end + moved, high, low));
		}
		finish(to, this.at);
		return length;
	}

	/** Which guest's request a server's reply answers, or undefined if it is no guest's. */
	transactionOf(state: PortState, frame: DataView, at: number, length: number): Transaction | undefined {
		const udp = ipv4Payload(frame, at + ETHERNET_HEADER);
		const bootp = udp + UDP_HEADER;
		const end = udp + frame.getUint16(udp + UDP_LENGTH);
		if (end > at + length || !isDhcp(frame, bootp, end - bootp)) return undefined;
		const transaction = this.#transactions.get(frame.getUint32(bootp + DHCP_XID));
		if (!transaction || macEquals(frame, bootp + DHCP_CHADDR, state.masterHigh, state.masterLow))
			return transaction;
		const { edge } = transaction;
		const own = macEquals(
			frame,
			bootp + DHCP_CHADDR,
			state.macHigh[edge] as number,
			state.macLow[edge] as number,
		);
		return own ? transaction : undefined;
	}

	/** Rewrites a server's reply in place for its guest. @returns the guest's edge, or a verdict that drops it. */
	reply(state: PortState, frame: DataView, at: number, { edge, identified }: Transaction): number {
		const udp = ipv4Payload(frame, at + ETHERNET_HEADER);
		const bootp = udp + UDP_HEADER;
		const end = udp + frame.getUint16(udp + UDP_LENGTH);
		const high = state.macHigh[edge] as number;
		const low = state.macLow[edge] as number;
		const owner = state.ipv4.find(frame.getInt32(bootp + DHCP_YIADDR));
		if (owner !== EDGE_WIRE && owner !== edge) {
			this.#broadcasts[edge] = 1;
			return DROP_DHCP_CONFLICT;
		}
		writeMac(frame, bootp + DHCP_CHADDR, high, low);
		if (identified) padClientId(frame, bootp, end);
		writeMac(frame, at, high, low);
		frame.setUint16(at - VNET_HEADER, 0);
		finish(frame, at);
		return edge;
	}

	/** Forgets a slave that has gone. */
	forget(edge: number): void {
		this.#broadcasts[edge] = 0;
		this.#identities.forget(edge);
		for (const [id, transaction] of this.#transactions) {
			if (transaction.edge === edge) this.#transactions.delete(id);
		}
	}

	close(): void {
		unmap(this.#memory);
	}

	/** @returns false if another guest has a transaction of this id: it would get, or take, what isn't its own. */
	#open(id: number, transaction: Transaction): boolean {
		const { edge, since } = transaction;
		const open = this.#transactions.get(id);
		if (open && open.edge !== edge && since - open.since < TRANSACTION_MS) return false;
		this.#transactions.delete(id);
		let own = 0;
		// The newest are last: of a guest's own, the oldest give way.
		for (const [other, { edge: of }] of [...this.#transactions].reverse()) {
			if (of === edge && ++own >= TRANSACTIONS_MAX) this.#transactions.delete(other);
		}
		this.#transactions.set(id, transaction);
		return true;
	}
}

/** Puts a client identifier in the place of OPTION_END, and that behind it. @returns bytes of the frame that this needs. */
function identify(
	frame: DataView,
	at: number,
	terminator: number,
	end: number,
	high: number,
	low: number,
): number {
	frame.setUint16(terminator, (OPTION_CLIENT_ID << 8) | (CLIENT_ID - 2));
	frame.setUint8(terminator + 2, 1);
	writeMac(frame, terminator + 3, high, low);
	frame.setUint8(terminator + CLIENT_ID, OPTION_END);
	// Clients pad to BOOTP's 300 bytes: often the identifier fits where the padding was.
	const grown = Math.max(0, terminator + CLIENT_ID + 1 - end);
	const ip = at + ETHERNET_HEADER;
	const udp = ipv4Payload(frame, at + ETHERNET_HEADER);
	const total = frame.getUint16(ip + IPV4_TOTAL_LENGTH);
	frame.setUint16(ip + IPV4_TOTAL_LENGTH, Math.max(total, end + grown - ip));
	frame.setUint16(udp + UDP_LENGTH, frame.getUint16(udp + UDP_LENGTH) + grown);
	finish(frame, at);
	return end + grown - at;
}

function padClientId(frame: DataView, bootp: number, end: number): void {
	const option = findOption(frame, bootp, end, OPTION_CLIENT_ID);
	if (option === 0) return;
	const length = frame.getUint8(option + 1) + 2;
	for (let offset = 0; offset < length; offset++) frame.setUint8(option + offset, OPTION_PAD);
}

/** Makes both checksums whole. */
function finish(frame: DataView, at: number): void {
	const ip = at + ETHERNET_HEADER;
	const udp = ipv4Payload(frame, ip);
	const length = frame.getUint16(udp + UDP_LENGTH);
	frame.setUint16(ip + IPV4_CHECKSUM, 0);
	frame.setUint16(ip + IPV4_CHECKSUM, ~sumOf(frame, ip, udp - ip) & 0xffff);
	frame.setUint16(udp + UDP_CHECKSUM, 0);
	const sum = sumOf(frame, udp, length, pseudoHeader4(frame, ip + IPV4_SOURCE, length, PROTOCOL_UDP));
	// A sum of zero is sent as all ones: zero would say that there is none (RFC 768).
	frame.setUint16(udp + UDP_CHECKSUM, ~sum & 0xffff || 0xffff);
}

function copy(from: DataView, fromAt: number, to: DataView, toAt: number, length: number): void {
	for (let offset = 0; offset < length; offset++) to.setUint8(toAt + offset, from.getUint8(fromAt + offset));
}
