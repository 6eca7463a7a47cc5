/**
 * Theory of operation. The slow path is handed the frames that need thought, one at a time:
 *
 *   claim    the source is nobody's: the address book decides, and if the slave owns it now, decide again
 *   dhcp     requests get the master's MAC inside, replies go by transaction id and make leases
 *   answer   ARP and ND for the host's addresses, in the host's place
 *   fan out  a copy for each edge on this machine that gets one, then, rewritten, one for the wire
 *
 * It owns the address book; what changes there goes to the forwarder and to control. Copies point at the one
 * frame where it lies, so a broadcast to a hundred slaves is a hundred iovecs and no copying. The wire's copy
 * is rewritten in place, after the others have been sent. It has no thread, no socket and no clock of its own:
 * thread.ts gives it those, and tests give it others.
 */
import { ETHERNET_HEADER, isGroupDestination } from '../../wire/ethernet.js';
import { IPV4_DESTINATION } from '../../wire/ip.js';
import { AddressBook, type BookEntry, type Quota } from '../address-book.js';
import { addressText, keyOf } from '../address-key.js';
import { type Counters, DROPS, IGNORED, REPLICATED, STRIDE } from '../counters.js';
import { claimedAddress } from '../forward/claim.js';
import { forward } from '../forward/forward.js';
import type { Command, Report, StateChange } from '../messages.js';
import type { PortState } from '../port-state.js';
import { COPY, type Region } from '../transmit.js';
import {
	drop,
	EDGE_HOST,
	EDGE_SLAVES,
	EDGE_WIRE,
	EDGES_MAX,
	IGNORE,
	SLOW_ANSWER,
	SLOW_CLAIM,
	SLOW_DHCP,
} from '../verdict.js';
import { Answerer } from './answer.js';
import { leaseOf, releasedAddress } from './dhcp-lease.js';
import { DhcpNat } from './dhcp-nat.js';
import { fanout, leavesForWire } from './fanout.js';
import { writeGroupMac } from './group-mac.js';
import { rewriteForWire } from './rewrite.js';
import { clearAutonomous, isRouterAdvertisement } from './router-advertisement.js';

const DROP_IP_SPOOF = drop('ip-spoof');
const DROP_UNKNOWN_DESTINATION = drop('unknown-destination');

/** Where frames leave: a TransmitBatch, or what stands in for one. */
export interface FrameSink {
	readonly full: boolean;
	/** The frame stays as it is until `flush`. @param ingress edge that it came from, or COPY. */
	add(region: Region, at: number, length: number, edge: number, ingress: number): void;
	flush(): void;
}

export interface SlowPathOptions {
	/** Its own copy of the port's state; nobody else may change it. */
	state: PortState;
	counters: Counters;
	sink: FrameSink;
	/** Milliseconds since 1970; must not go back. */
	now: () => number;
	/** Takes a change to whoever follows, this port's own `state` included. */
	change: (change: StateChange) => void;
	report: (report: Report) => void;
	quota?: Quota;
}

/** What control may ask of the slow path itself; threads end, and rings are replaced, elsewhere. */
export type SlowPathCommand = Exclude<Command, { kind: 'stop' | 'replace-ring' }>;

export class SlowPath {
	readonly #options: SlowPathOptions;
	readonly #state: PortState;
	readonly #book: AddressBook;
	readonly #sink: FrameSink;
	readonly #counters: Counters;
	readonly #answerer = new Answerer();
	readonly #dhcp = new DhcpNat();
	/** When the next lease ends, milliseconds since 1970. */
	#nextExpiry: number | undefined;
	readonly #receivers = new Uint16Array(EDGES_MAX);

	constructor(options: SlowPathOptions) {
		this.#options = options;
		this.#state = options.state;
		this.#counters = options.counters;
		this.#sink = options.sink;
		this.#book = new AddressBook((entry, change) => this.#addressChanged(entry, change), options.quota);
	}

	/**
	 * Takes a frame all the way. @returns what came of it in the end: a verdict, SLOW_… for what was copied,
	 * answered or passed on rewritten.
	 */
	handle(region: Region, at: number, length: number, ingress: number): number {
		const { frame } = region;
		let verdict = forward(this.#state, frame, at, length, ingress);
		if (verdict === SLOW_CLAIM) {
			this.#claim(frame, at, ingress);
			verdict = forward(this.#state, frame, at, length, ingress);
			// An advertisement claims its target after its source.
			if (verdict === SLOW_CLAIM && this.#claim(frame, at, ingress)) {
				verdict = forward(this.#state, frame, at, length, ingress);
			}
			if (verdict === SLOW_CLAIM) verdict = DROP_IP_SPOOF;
		}
		if (verdict === SLOW_DHCP) verdict = this.#handleDhcp(frame, at, length, ingress);
		const entry = ingress * STRIDE;
		// The master's MAC, or the last slave, may have gone since the forwarder decided.
		if (verdict === IGNORE) (this.#counters[entry + IGNORED] as number)++;
		else if (verdict < 0) (this.#counters[entry + DROPS - verdict] as number)++;
		else if (verdict < EDGES_MAX) this.#sink.add(region, at, length, verdict, ingress);
		else {
			(this.#counters[entry + REPLICATED] as number)++;
			if (verdict === SLOW_ANSWER) this.#answer(frame, at, ingress);
			else if (verdict !== SLOW_DHCP) this.#fanOut(region, at, length, ingress);
		}
		return verdict;
	}

	/** @returns why it can't be, or undefined. */
	obey(command: SlowPathCommand): string | undefined {
		switch (command.kind) {
			case 'change':
				if (command.change.kind === 'slave-removed') {
					this.#book.releaseAll(command.change.edge);
					this.#dhcp.forget(command.change.edge);
				}
				this.#options.change(command.change);
				return undefined;
			case 'assign': {
				const { address, edge } = command;
				const holder = this.#book.assign(edge, address, keyOf(address).family);
				return holder && `${address} belongs to ${holder.origin === 'host' ? 'the host' : 'another slave'}`;
			}
			case 'release':
				if (this.#book.holderOf(command.address)?.edge === command.edge) this.#book.release(command.address);
				return undefined;
			case 'restore': {
				const { edge, address, expires } = command;
				const { family } = keyOf(address);
				if (expires === undefined) this.#book.claim(edge, address, family);
				else this.#lease(edge, address, expires);
				return undefined;
			}
			case 'host-addresses':
				this.#book.setHost(command.addresses.map(address => ({ address, family: keyOf(address).family })));
				return undefined;
		}
	}

	/** Does what is due. @returns milliseconds until something is again, or -1. */
	tick(): number {
		const now = this.#options.now();
		if (this.#nextExpiry !== undefined && this.#nextExpiry <= now) this.#nextExpiry = this.#book.expire(now);
		return this.#nextExpiry === undefined ? -1 : this.#nextExpiry - now + 1;
	}

	close(): void {
		this.#answerer.close();
		this.#dhcp.close();
	}

	#claim(frame: DataView, at: number, ingress: number): boolean {
		const address = claimedAddress(this.#state, frame, at, ingress);
		const family = frame.getUint8(at + 12) === 0x86 ? 6 : 4;
		return this.#book.claim(ingress, addressText(frame, address, family), family);
	}

	/** @returns SLOW_DHCP for a request that has gone out, the guest's edge for a reply, or a drop. */
	#handleDhcp(frame: DataView, at: number, length: number, ingress: number): number {
		if (ingress >= EDGE_SLAVES) return this.#dhcpRequest(frame, at, length, ingress);
		const edge = this.#dhcp.reply(this.#state, frame, at, length);
		if (edge === IGNORE) return ingress === EDGE_WIRE ? IGNORE : DROP_UNKNOWN_DESTINATION;
		if (edge >= EDGE_SLAVES) this.#followLease(frame, at, edge);
		return edge;
	}

	/** Servers are on the wire, or the host itself; other guests aren't asked. */
	#dhcpRequest(frame: DataView, at: number, length: number, ingress: number): number {
		const rewritten = this.#dhcp.request(this.#state, frame, at, length, ingress, this.#options.now());
		if (rewritten < 0) return rewritten;
		const destination = this.#state.ipv4.find(frame.getInt32(at + ETHERNET_HEADER + IPV4_DESTINATION));
		const released = releasedAddress(frame, at);
		if (released !== undefined && this.#book.holderOf(released)?.edge === ingress)
			this.#book.release(released);
		const { region, at: copyAt } = this.#dhcp;
		if (destination !== EDGE_HOST) this.#sink.add(region, copyAt, rewritten, EDGE_WIRE, COPY);
		if (this.#state.host && (destination === EDGE_HOST || isGroupDestination(frame, at))) {
			this.#sink.add(region, copyAt, rewritten, EDGE_HOST, COPY);
		}
		return SLOW_DHCP;
	}

	#followLease(frame: DataView, at: number, edge: number): void {
		const lease = leaseOf(frame, at);
		// A guest that isn't trusted with choosing its addresses gets none from a server either.
		if (lease === undefined || this.#state.learns[edge] !== 1) return;
		this.#lease(edge, lease.address, this.#options.now() + lease.seconds * 1000);
	}

	#lease(edge: number, address: string, expires: number): void {
		this.#book.lease(edge, address, keyOf(address).family, expires);
		if (this.#nextExpiry === undefined || expires < this.#nextExpiry) this.#nextExpiry = expires;
	}

	#answer(frame: DataView, at: number, ingress: number): void {
		const length = this.#answerer.answer(this.#state, frame, at);
		if (length > 0) this.#sink.add(this.#answerer.region, this.#answerer.at, length, ingress, COPY);
	}

	#fanOut(region: Region, at: number, length: number, ingress: number): void {
		const { frame } = region;
		if (!isGroupDestination(frame, at)) writeGroupMac(frame, at);
		const count = fanout(this.#state, frame, at, ingress, this.#receivers);
		if (!isRouterAdvertisement(frame, at)) {
			this.#copyTo(region, count, at, length);
		} else {
			this.#copyTo(region, count, at, length, 1);
			this.#sink.flush();
			clearAutonomous(frame, at);
			this.#copyTo(region, count, at, length, 0);
		}
		if (!leavesForWire(ingress)) return;
		this.#sink.flush();
		rewriteForWire(this.#state, frame, at);
		this.#sink.add(region, at, length, EDGE_WIRE, COPY);
	}

	/** @param learns only to those slaves that may learn (1) or may not (0). */
	#copyTo(region: Region, count: number, at: number, length: number, learns?: number): void {
		for (let index = 0; index < count; index++) {
			const edge = this.#receivers[index] as number;
			if (learns !== undefined && this.#state.learns[edge] !== learns) continue;
			if (this.#sink.full) this.#sink.flush();
			this.#sink.add(region, at, length, edge, COPY);
		}
	}

	#addressChanged({ address, edge, origin, expires }: BookEntry, change: 'added' | 'removed'): void {
		this.#options.change(
			change === 'added' ? { kind: 'assigned', address, edge } : { kind: 'released', address },
		);
		this.#options.report({
			kind: 'address',
			edge,
			address,
			origin,
			change,
			...(expires === undefined ? {} : { expires }),
		});
	}
}
