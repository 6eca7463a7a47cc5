/**
 * Theory of operation. The slow path takes frames off the backlog, one at a time, and does what needs thought:
 *
 *   claim    the source is nobody's: the address book decides, and if the slave owns it now, decide again
 *   dhcp     requests get the master's MAC inside, replies go by transaction id and make leases
 *   answer   ARP and ND for the host's addresses, in the host's place
 *   fan out  a copy for each edge on this machine that gets one, then, rewritten, one for the wire
 *
 * It owns the address book; what changes there goes to the forwarder and to control. Copies point at the one
 * frame in the backlog, so a broadcast to a hundred slaves is a hundred iovecs and no copying. The wire's copy
 * is rewritten in place, after the others have been sent.
 */
import { receiveMessageOnPort } from 'node:worker_threads';
import { clearEvent, PollSet, signalEvent } from '../../sys/fd.js';
import { viewOf } from '../../sys/memory.js';
import { ETHERNET_HEADER, isGroupDestination } from '../../wire/ethernet.js';
import { IPV4_DESTINATION } from '../../wire/ip.js';
import { AddressBook, type BookEntry } from '../address-book.js';
import { addressText, keyOf } from '../address-key.js';
import { applyChange } from '../apply-change.js';
import { type Counters, DROPS, IGNORED, REPLICATED, STRIDE } from '../counters.js';
import { claimedAddress } from '../forward/claim.js';
import { forward } from '../forward/forward.js';
import {
	type Command,
	DOORBELL_FORWARDER,
	DOORBELL_SLOW_PATH,
	type ForwarderMessage,
	type Report,
	type SlowPathSetup,
	type StateChange,
} from '../messages.js';
import { PortState } from '../port-state.js';
import { COPY, type Region, regionOf, TransmitBatch } from '../transmit.js';
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
import { BACKLOG_BYTES, Backlog } from './backlog.js';
import { leaseOf, releasedAddress } from './dhcp-lease.js';
import { DhcpNat } from './dhcp-nat.js';
import { fanout, leavesForWire } from './fanout.js';
import { writeGroupMac } from './group-mac.js';
import { rewriteForWire } from './rewrite.js';
import { clearAutonomous, isRouterAdvertisement } from './router-advertisement.js';

const BATCH = 256;
const DROP_IP_SPOOF = drop('ip-spoof');
const DROP_UNKNOWN_DESTINATION = drop('unknown-destination');

export class SlowPath {
	readonly #setup: SlowPathSetup;
	readonly #state: PortState;
	readonly #book: AddressBook;
	readonly #region: Region;
	readonly #backlog: Backlog;
	readonly #transmit: TransmitBatch;
	readonly #answerer = new Answerer();
	readonly #dhcp = new DhcpNat();
	/** When the next lease ends, milliseconds since 1970. */
	#nextExpiry: number | undefined;
	readonly #counters: Counters;
	readonly #doorbells: Int32Array;
	readonly #receivers = new Uint16Array(EDGES_MAX);
	#stopped = false;

	constructor(setup: SlowPathSetup) {
		const { shared } = setup;
		this.#setup = setup;
		this.#state = new PortState(shared.seed);
		this.#book = new AddressBook((entry, change) => this.#addressChanged(entry, change));
		const bytes = viewOf(shared.backlogAddress, BACKLOG_BYTES);
		this.#region = regionOf({ address: shared.backlogAddress, length: BACKLOG_BYTES, bytes });
		this.#backlog = new Backlog(this.#region, new Int32Array(shared.backlogControl), shared.backlogFrames);
		this.#counters = new Float64Array(shared.slowPathCounters);
		this.#transmit = new TransmitBatch(setup.sender, BATCH, this.#counters);
		this.#doorbells = new Int32Array(shared.doorbells);
	}

	/** Works until told to stop. */
	run(): void {
		const event = this.#setup.shared.slowPathEvent;
		const poll = new PollSet(event);
		while (!this.#stopped) {
			if (Atomics.load(this.#doorbells, DOORBELL_SLOW_PATH) !== 0) {
				this.#listen();
				continue;
			}
			if (this.#work()) continue;
			this.#backlog.setSleeping(true);
			// Whoever queued or rang before it could see us asleep has not signalled: look once more.
			if (!this.#backlog.peek() && Atomics.load(this.#doorbells, DOORBELL_SLOW_PATH) === 0) {
				poll.wait(this.#expire());
				clearEvent(event);
			}
			this.#backlog.setSleeping(false);
		}
		this.#transmit.close();
		this.#answerer.close();
		this.#dhcp.close();
		this.#setup.commands.close();
		this.#setup.forwarder.close();
	}

	/** @returns whether there was anything to do. */
	#work(): boolean {
		let count = 0;
		while (count < BATCH && this.#backlog.peek()) {
			count++;
			this.#handle(this.#backlog.at, this.#backlog.length, this.#backlog.ingress);
			this.#transmit.flush();
			this.#backlog.shift(this.#counters);
		}
		return count > 0;
	}

	#handle(at: number, length: number, ingress: number): void {
		const { frame } = this.#region;
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
		if (verdict === SLOW_DHCP) verdict = this.#handleDhcp(at, length, ingress);
		const entry = ingress * STRIDE;
		// The master's MAC, or the last slave, may have gone since the forwarder decided.
		if (verdict === IGNORE) (this.#counters[entry + IGNORED] as number)++;
		else if (verdict < 0) (this.#counters[entry + DROPS - verdict] as number)++;
		else if (verdict < EDGES_MAX) this.#transmit.add(this.#region, at, length, verdict, ingress);
		else {
			(this.#counters[entry + REPLICATED] as number)++;
			if (verdict === SLOW_DHCP) return;
			if (verdict === SLOW_ANSWER) this.#answer(at, ingress);
			else this.#fanOut(at, length, ingress);
		}
	}

	#claim(frame: DataView, at: number, ingress: number): boolean {
		const address = claimedAddress(this.#state, frame, at, ingress);
		const family = frame.getUint8(at + 12) === 0x86 ? 6 : 4;
		return this.#book.claim(ingress, addressText(frame, address, family), family);
	}

	/** @returns SLOW_DHCP for a request that has gone out, the guest's edge for a reply, or a drop. */
	#handleDhcp(at: number, length: number, ingress: number): number {
		const { frame } = this.#region;
		if (ingress >= EDGE_SLAVES) return this.#dhcpRequest(at, length, ingress);
		const edge = this.#dhcp.reply(this.#state, frame, at, length);
		if (edge === IGNORE) return ingress === EDGE_WIRE ? IGNORE : DROP_UNKNOWN_DESTINATION;
		if (edge >= EDGE_SLAVES) this.#followLease(at, edge);
		return edge;
	}

	/** Servers are on the wire, or the host itself; other guests aren't asked. */
	#dhcpRequest(at: number, length: number, ingress: number): number {
		const { frame } = this.#region;
		const rewritten = this.#dhcp.request(this.#state, frame, at, length, ingress, performance.now());
		if (rewritten < 0) return rewritten;
		const destination = this.#state.ipv4.find(frame.getInt32(at + ETHERNET_HEADER + IPV4_DESTINATION));
		const released = releasedAddress(frame, at);
		if (released !== undefined && this.#book.holderOf(released)?.edge === ingress)
			this.#book.release(released);
		const { region, at: copyAt } = this.#dhcp;
		if (destination !== EDGE_HOST) this.#transmit.add(region, copyAt, rewritten, EDGE_WIRE, COPY);
		if (this.#state.host && (destination === EDGE_HOST || isGroupDestination(frame, at))) {
			this.#transmit.add(region, copyAt, rewritten, EDGE_HOST, COPY);
		}
		return SLOW_DHCP;
	}

	#followLease(at: number, edge: number): void {
		const { frame } = this.#region;
		const lease = leaseOf(frame, at);
		// A guest that isn't trusted with choosing its addresses gets none from a server either.
		if (lease === undefined || this.#state.learns[edge] !== 1) return;
		const expires = Date.now() + lease.seconds * 1000;
		this.#book.lease(edge, lease.address, 4, expires);
		if (this.#nextExpiry === undefined || expires < this.#nextExpiry) this.#nextExpiry = expires;
	}

	/** Takes back leases that have ended. @returns milliseconds until the next one ends, or -1. */
	#expire(): number {
		const now = Date.now();
		if (this.#nextExpiry !== undefined && this.#nextExpiry <= now) this.#nextExpiry = this.#book.expire(now);
		// `poll` counts in 32 bits; whoever wakes early looks again.
		return this.#nextExpiry === undefined ? -1 : Math.min(this.#nextExpiry - now + 1, 0x7fffffff);
	}

	#answer(at: number, ingress: number): void {
		const length = this.#answerer.answer(this.#state, this.#region.frame, at);
		if (length > 0) this.#transmit.add(this.#answerer.region, this.#answerer.at, length, ingress, COPY);
	}

	#fanOut(at: number, length: number, ingress: number): void {
		const { frame } = this.#region;
		if (!isGroupDestination(frame, at)) writeGroupMac(frame, at);
		const count = fanout(this.#state, frame, at, ingress, this.#receivers);
		if (!isRouterAdvertisement(frame, at)) {
			this.#copyTo(count, at, length);
		} else {
			this.#copyTo(count, at, length, 1);
			this.#transmit.flush();
			clearAutonomous(frame, at);
			this.#copyTo(count, at, length, 0);
		}
		if (!leavesForWire(ingress)) return;
		this.#transmit.flush();
		rewriteForWire(this.#state, frame, at);
		this.#transmit.add(this.#region, at, length, EDGE_WIRE, COPY);
	}

	/** @param learns only to those slaves that may learn (1) or may not (0). */
	#copyTo(count: number, at: number, length: number, learns?: number): void {
		for (let index = 0; index < count; index++) {
			const edge = this.#receivers[index] as number;
			if (learns !== undefined && this.#state.learns[edge] !== learns) continue;
			if (this.#transmit.full) this.#transmit.flush();
			this.#transmit.add(this.#region, at, length, edge, COPY);
		}
	}

	#listen(): void {
		Atomics.store(this.#doorbells, DOORBELL_SLOW_PATH, 0);
		for (;;) {
			const received = receiveMessageOnPort(this.#setup.commands) as { message: Command } | undefined;
			if (!received) return;
			const { message } = received;
			const error = this.#obey(message);
			this.#report({ kind: 'reply', id: message.id, ...(error === undefined ? {} : { error }) });
		}
	}

	#obey(command: Command): string | undefined {
		switch (command.kind) {
			case 'change':
				if (command.change.kind === 'slave-removed') {
					this.#book.releaseAll(command.change.edge);
					this.#dhcp.forget(command.change.edge);
				}
				this.#change(command.change);
				return undefined;
			case 'assign': {
				const { address, edge } = command;
				const holder = this.#book.assign(edge, address, keyOf(address).family);
				return holder && `${address} belongs to ${holder.origin === 'host' ? 'the host' : 'another slave'}`;
			}
			case 'release':
				if (this.#book.holderOf(command.address)?.edge === command.edge) this.#book.release(command.address);
				return undefined;
			case 'host-addresses':
				this.#book.setHost(command.addresses.map(address => ({ address, family: keyOf(address).family })));
				return undefined;
			case 'replace-ring':
				this.#tellForwarder({ kind: 'replace-ring', ring: command.ring, fd: command.fd });
				return undefined;
			case 'stop':
				this.#stopped = true;
				this.#tellForwarder({ kind: 'stop' });
				return undefined;
		}
	}

	#addressChanged({ address, edge, origin, expires }: BookEntry, change: 'added' | 'removed'): void {
		this.#change(change === 'added' ? { kind: 'assigned', address, edge } : { kind: 'released', address });
		this.#report({
			kind: 'address',
			edge,
			address,
			origin,
			change,
			...(expires === undefined ? {} : { expires }),
		});
	}

	#change(change: StateChange): void {
		applyChange(change, this.#state, this.#transmit);
		this.#tellForwarder({ kind: 'change', change });
	}

	#tellForwarder(message: ForwarderMessage): void {
		this.#setup.forwarder.postMessage(message);
		Atomics.store(this.#doorbells, DOORBELL_FORWARDER, 1);
		signalEvent(this.#setup.shared.forwarderEvent);
	}

	#report(report: Report): void {
		this.#setup.commands.postMessage(report);
	}
}
