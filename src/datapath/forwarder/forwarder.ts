/**
 * Theory of operation. One thread, run to completion, one breath after another:
 *
 *   1. from the ring of the slaves (the host slave among them), then from the master's, take at most a batch
 *   2. for each frame: which edge sent it; VLAN tag and virtio header sane?; `forward` decides and rewrites
 *   3. what goes to one edge is added to the batch, where it lies; what needs thought is copied to the backlog
 *   4. send, short frames by the ring's other half (send-ring.ts), long ones from where they lie; only then are the
 *      slots given back to the kernel
 *   5. wake the slow path once if anything was queued; apply messages; sleep in `poll` when there was nothing
 *
 * Who owns a slot: the kernel until TP_STATUS_USER, then this thread until `release`. Frames of one sender keep
 * their order: a ring is walked in order, a batch is sent in order. Two rings have no order between them.
 *
 * A frame that can't go on is counted under its sender and forgotten; nothing here throws because of a frame,
 * allocates, or waits for another thread.
 */
import { parentPort, receiveMessageOnPort } from 'node:worker_threads';
import { monotonicMs, readMonotonicMs } from '../../sys/clock.js';
import { clearEvent, closeFd, PollSet, signalEvent, yieldProcessor } from '../../sys/fd.js';
import { viewOf } from '../../sys/memory.js';
import { TP_STATUS_VLAN_VALID, takeDrops, takeError } from '../../sys/packet.js';
import {
	ETH_TYPE,
	ETHERNET_HEADER,
	ETHERTYPE_IPV4,
	isGroupDestination,
	VLAN_ID,
} from '../../wire/ethernet.js';
import { IPV4_PROTOCOL, IPV6_NEXT_HEADER } from '../../wire/ip.js';
import { VNET_HEADER, vnetHeaderIsSane } from '../../wire/vnet-header.js';
import { AddressTable } from '../address-table.js';
import { applyChange } from '../apply-change.js';
import {
	type Counters,
	DROPS,
	IGNORED,
	IGNORED_BYTES,
	IN_BYTES,
	IN_PACKETS,
	RING_DROPS,
	STRIDE,
} from '../counters.js';
import { forward } from '../forward/forward.js';
import { DHCP_PRICE } from '../limits.js';
import {
	DOORBELL_FORWARDER,
	type ForwarderMessage,
	type ForwarderSetup,
	type JammedReport,
	type RingName,
	type StateChange,
} from '../messages.js';
import { PortState } from '../port-state.js';
import { BACKLOG_BYTES, Backlog, QUEUED } from '../slowpath/backlog.js';
import { regionOf, TransmitBatch } from '../transmit.js';
import { drop, EDGE_HOST, EDGE_WIRE, EDGES_MAX, IGNORE, SLOW_DHCP } from '../verdict.js';
import type { FrameSource } from './frame-source.js';
import { RingReader } from './ring-reader.js';
import { SocketReader } from './socket-reader.js';

/** Frames of one `sendmmsg`: measured, 16 to 256 cost the same, 4 costs 8 % more; fewer frames wait less. */
const BATCH = 64;

/** Places in the set that a quiet forwarder waits for. */
const MASTER = 1;
const EVENT = 2;

/** Places of moments, ms: since when nothing has come (0: it has), and when the rings were last looked after. */
const QUIET_SINCE = 0;
const LOOKED = 1;
const TIMES = 2;

/** How often the rings' drop counters are read: with this many batches, and when nothing has come for so long. */
const BREATHS_PER_LOOK = 4096;
const LOOK_MS = 250;

/** A ring, or what reads in its place. */
interface Intake {
	source: FrameSource;
	readonly fromMaster: boolean;
	/** Whether a frame has come since the drops were last looked at. */
	taken: boolean;
	jammed: boolean;
}

export class Forwarder {
	readonly #setup: ForwarderSetup;
	readonly #state: PortState;
	readonly #interfaces: AddressTable;
	readonly #slaves: Intake;
	readonly #master: Intake;
	#poll: PollSet;
	readonly #transmit: TransmitBatch;
	readonly #backlog: Backlog;
	readonly #counters: Counters;
	readonly #slowPathCounters: Counters;
	readonly #doorbells: Int32Array;
	/** Doubles that change here and not in variables or fields, where V8 would make an object of each. */
	readonly #times = new Float64Array(TIMES);
	#queued = false;
	#stopped = false;

	constructor(setup: ForwarderSetup) {
		const { shared } = setup;
		this.#setup = setup;
		this.#state = new PortState(shared.seed, readMonotonicMs, new Uint8Array(shared.neighboursUsed));
		this.#interfaces = new AddressTable(1, shared.seed);
		this.#slaves = { source: new RingReader(setup.slaves), fromMaster: false, taken: false, jammed: false };
		this.#master = { source: new RingReader(setup.master), fromMaster: true, taken: false, jammed: false };
		this.#poll = this.#pollSet();
		this.#counters = new Float64Array(shared.forwarderCounters);
		this.#slowPathCounters = new Float64Array(shared.slowPathCounters);
		this.#transmit = new TransmitBatch(setup.sender, BATCH, this.#counters, {
			clock: this.#state.limits.clock,
			rx: this.#state.limits.rx,
			others: this.#slowPathCounters,
		});
		const backlog = viewOf(shared.backlogAddress, BACKLOG_BYTES);
		this.#backlog = new Backlog(
			regionOf({ address: shared.backlogAddress, length: BACKLOG_BYTES, bytes: backlog }),
			new Int32Array(shared.backlogControl),
			shared.backlogFrames,
		);
		this.#doorbells = new Int32Array(shared.doorbells);
	}

	/** Forwards until told to stop. */
	run(): void {
		const spin = this.#setup.spinMicroseconds / 1000;
		const times = this.#times;
		for (let breath = 1; !this.#stopped; breath++) {
			if (Atomics.load(this.#doorbells, DOORBELL_FORWARDER) !== 0) {
				this.#listen();
				continue;
			}
			if (breath % BREATHS_PER_LOOK === 0) this.#lookAfterRings();
			const busy = this.#breathe(this.#slaves) + this.#breathe(this.#master);
			if (busy > 0) {
				times[QUIET_SINCE] = 0;
				continue;
			}
			// A reply to what was just sent is often microseconds away, and cheaper to look for than to sleep for.
			const now = monotonicMs();
			if (times[QUIET_SINCE] === 0) times[QUIET_SINCE] = now;
			if (now - (times[QUIET_SINCE] as number) < spin) {
				// The guest that is to answer may be waiting for this very processor.
				yieldProcessor();
				continue;
			}
			times[QUIET_SINCE] = 0;
			this.#sleep();
		}
		this.#close();
	}

	#sleep(): void {
		this.#poll.wait(LOOK_MS);
		// By the clock: on a LAN that is never quite quiet, no wait ever ends by itself.
		if (monotonicMs() - (this.#times[LOOKED] as number) >= LOOK_MS) this.#lookAfterRings();
		if (this.#poll.ready(EVENT)) clearEvent(this.#setup.shared.forwarderEvent);
		// The master went down: without taking the error, `poll` would return at once for as long as it is.
		if (this.#poll.failed(MASTER)) takeError(this.#master.source.fd);
	}

	/** Takes one batch from a ring through to its end. @returns how many frames it was. */
	#breathe(intake: Intake): number {
		const { source } = intake;
		let count = 0;
		this.#state.limits.clock.expire();
		while (count < BATCH && source.next()) {
			count++;
			const ingress = this.#ingressOf(intake);
			if (ingress >= 0) this.#handle(source, ingress);
		}
		if (count > 0) {
			intake.taken = true;
			this.#transmit.flush(source.sendRing);
			source.release();
			if (this.#queued) this.#wakeSlowPath();
		}
		return count;
	}

	/** The edge that a frame came from, or -1 for nobody's. */
	#ingressOf({ source, fromMaster }: Intake): number {
		const state = this.#state;
		if (source.ifindex === state.punt) return puntedEdge(state, source);
		if (fromMaster) return EDGE_WIRE;
		// The slaves' filter may let another interface through; a slave that was just removed is one.
		return this.#interfaces.find(source.ifindex) || -1;
	}

	/** Counts what the kernel has dropped, and notices a ring that it drops everything for (see socket-reader.ts). */
	#lookAfterRings(): void {
		this.#times[LOOKED] = monotonicMs();
		this.#lookAfter(this.#slaves, EDGE_HOST);
		this.#lookAfter(this.#master, EDGE_WIRE);
	}

	#lookAfter(intake: Intake, edge: number): void {
		const drops = takeDrops(intake.source.fd);
		(this.#counters[edge * STRIDE + RING_DROPS] as number) += drops;
		if (drops > 0 && !intake.taken && !intake.jammed) {
			intake.jammed = true;
			const report: JammedReport = { kind: 'jammed', ring: intake.fromMaster ? 'master' : 'slaves' };
			parentPort?.postMessage(report);
		}
		intake.taken = false;
		if (intake.source instanceof SocketReader) {
			(this.#counters[edge * STRIDE + DROPS - DROP_BAD_VNET_HEADER] as number) += intake.source.refused;
			intake.source.refused = 0;
		}
	}

	#handle(ring: FrameSource, ingress: number): void {
		const counters = this.#counters;
		const entry = ingress * STRIDE;
		const { length } = ring;
		(counters[entry + IN_PACKETS] as number)++;
		(counters[entry + IN_BYTES] as number) += length;
		// What an offload hands over has been paid for there.
		const paid = ring.ifindex === this.#state.punt;
		// Before it is looked at: a guest that sends too much must not cost more than a look at its bucket.
		const verdict =
			paid || this.#state.limits.tx.take(ingress, length)
				? decide(this.#state, ring, ingress)
				: DROP_LIMIT_TX;
		if (verdict < 0) (counters[entry + DROPS - verdict] as number)++;
		else if (verdict < EDGES_MAX) {
			// ARP requests and solicitations have one receiver here, but on the wire everybody hears them.
			if (
				!paid &&
				isGroupDestination(ring.region.frame, ring.at) &&
				!this.#state.limits.slow.take(ingress, 1)
			)
				(counters[entry + DROPS - DROP_SLOW_BUDGET] as number)++;
			else this.#transmit.add(ring.region, ring.at, length, verdict, ingress);
		} else if (verdict === IGNORE) {
			(counters[entry + IGNORED] as number)++;
			(counters[entry + IGNORED_BYTES] as number) += length;
		} else this.#enqueue(ring, ingress, paid ? 0 : verdict === SLOW_DHCP ? DHCP_PRICE : 1);
	}

	/** @param price what it takes of the sender's budget for the slow path; 0: it has been paid for. */
	#enqueue(ring: FrameSource, ingress: number, price: number): void {
		const verdict =
			price === 0 || this.#state.limits.slow.takeWithinBurst(ingress, price)
				? this.#backlog.push(
						ring.region.frame,
						ring.at,
						ring.length,
						ingress,
						this.#counters,
						this.#slowPathCounters,
					)
				: DROP_SLOW_BUDGET;
		if (verdict === QUEUED) this.#queued = true;
		else (this.#counters[ingress * STRIDE + DROPS - verdict] as number)++;
	}

	#wakeSlowPath(): void {
		this.#queued = false;
		if (this.#backlog.takeSleeper()) signalEvent(this.#setup.shared.slowPathEvent);
	}

	#listen(): void {
		Atomics.store(this.#doorbells, DOORBELL_FORWARDER, 0);
		for (;;) {
			const received = receiveMessageOnPort(this.#setup.changes) as { message: ForwarderMessage } | undefined;
			if (!received) return;
			const { message } = received;
			if (message.kind === 'stop') this.#stopped = true;
			else if (message.kind === 'replace-ring') this.#replace(message.ring, message.fd);
			else this.#apply(message.change);
		}
	}

	#apply(change: StateChange): void {
		applyChange(change, this.#state, this.#transmit, this.#interfaces);
		// The slow path has had it before us.
		if (change.kind === 'punt' && change.buckets !== undefined) closeFd(change.buckets);
	}

	#replace(ring: RingName, fd: number): void {
		const intake = ring === 'master' ? this.#master : this.#slaves;
		intake.source.close();
		intake.source = new SocketReader(fd);
		this.#poll = this.#pollSet();
	}

	#pollSet(): PollSet {
		return new PollSet(this.#slaves.source.fd, this.#master.source.fd, this.#setup.shared.forwarderEvent);
	}

	#close(): void {
		this.#lookAfterRings();
		this.#transmit.close();
		this.#slaves.source.close();
		this.#master.source.close();
		this.#setup.changes.close();
	}
}

const DROP_TRUNCATED = drop('truncated');
const DROP_VLAN = drop('vlan');
const DROP_BAD_VNET_HEADER = drop('bad-vnet-header');
const DROP_LIMIT_TX = drop('limit-tx');
const DROP_SLOW_BUDGET = drop('slow-budget');

/** What the ring says about a frame comes before what the frame says about itself. */
function decide(state: PortState, ring: FrameSource, ingress: number): number {
	const { at, length } = ring;
	const { frame } = ring.region;
	if (length === 0) return DROP_TRUNCATED;
	// The kernel takes tags out of frames: without this look, one would pass an IP filter and come back on the way out.
	if ((ring.status & TP_STATUS_VLAN_VALID) !== 0 && ring.ifindex !== state.punt) {
		if (ingress !== EDGE_WIRE) return DROP_VLAN;
		// A mere priority is gone with the tag.
		if ((ring.tag & VLAN_ID) !== 0) return IGNORE;
	}
	// Flags and GSO type are both 0 for nearly every frame.
	if (frame.getUint16(at - VNET_HEADER) !== 0 && !vnetIsSane(frame, at, length)) return DROP_BAD_VNET_HEADER;
	return forward(state, frame, at, length, ingress);
}

/** The offload says by a tag whom a frame is from; what came from the wire has none. */
function puntedEdge(state: PortState, { status, tag }: FrameSource): number {
	if ((status & TP_STATUS_VLAN_VALID) === 0) return EDGE_WIRE;
	if (tag === EDGE_HOST) return state.host ? EDGE_HOST : -1;
	// It may have gone since.
	return state.present[tag] === 1 ? tag : -1;
}

function vnetIsSane(frame: DataView, at: number, length: number): boolean {
	if (length < ETHERNET_HEADER + 20) return false;
	const type = frame.getUint16(at + ETH_TYPE);
	const protocol = at + ETHERNET_HEADER + (type === ETHERTYPE_IPV4 ? IPV4_PROTOCOL : IPV6_NEXT_HEADER);
	return vnetHeaderIsSane(frame, at, length, type, frame.getUint8(protocol));
}
