/**
 * A whole port without threads, sockets or a clock: the real decision, address book, backlog, fan-out and
 * answers, wired as the forwarder and the slow path wire them, over plain memory. A frame lies at the very end
 * of its memory, so that whatever reads a byte too far throws.
 */
import { AddressBook, QUOTA, type Quota } from '../../src/datapath/address-book.js';
import { addressText, keyOf } from '../../src/datapath/address-key.js';
import { claimedAddress } from '../../src/datapath/forward/claim.js';
import { forward } from '../../src/datapath/forward/forward.js';
import { type FlagName, flagNumbers, PortState } from '../../src/datapath/port-state.js';
import { Answerer } from '../../src/datapath/slowpath/answer.js';
import { fanout, leavesForWire } from '../../src/datapath/slowpath/fanout.js';
import { writeGroupMac } from '../../src/datapath/slowpath/group-mac.js';
import { rewriteForWire } from '../../src/datapath/slowpath/rewrite.js';
import {
	drop,
	EDGE_WIRE,
	EDGES_MAX,
	SLOW_ANSWER,
	SLOW_CLAIM,
	SLOW_FANOUT,
	verdictName,
} from '../../src/datapath/verdict.js';
import { isGroupDestination } from '../../src/wire/ethernet.js';

/** What a port is made of. Addresses are in the order in which they were taken. */
export interface Topology {
	master: string;
	host: boolean;
	flag: FlagName;
	slaves: readonly { edge: number; mac: string; learns: boolean }[];
	addresses: readonly { address: string; edge: number; origin: 'static' | 'learned' | 'host' }[];
	quota?: Quota;
}

export interface Output {
	edge: number;
	frame: Uint8Array;
}

export interface Outcome {
	/** What `forward` said first: what a fast path alone would do. */
	verdict: string;
	/** What came of it in the end; differs after a claim. */
	final: string;
	/** What left, by edge. */
	out: Output[];
}

/** Room in front of a frame, for the virtio header. */
const HEADROOM = 16;

export class PurePort {
	readonly state: PortState;
	readonly book: AddressBook;
	readonly #answerer = new Answerer();

	constructor(topology: Topology) {
		const { quota = QUOTA } = topology;
		this.state = new PortState(0x1234567);
		this.state.setMaster(topology.master);
		this.state.flag = flagNumbers[topology.flag];
		this.state.host = topology.host;
		this.book = new AddressBook(({ address, edge }, change) => {
			if (change === 'added') this.state.assign(address, edge);
			else this.state.release(address);
		}, quota);
		for (const { edge, mac, learns } of topology.slaves) this.state.addSlave(edge, mac, learns);
		const hosts = topology.addresses.filter(({ origin }) => origin === 'host');
		this.book.setHost(hosts.map(({ address }) => ({ address, family: keyOf(address).family })));
		for (const { address, edge, origin } of topology.addresses) {
			if (origin === 'static') this.book.assign(edge, address, keyOf(address).family);
			if (origin === 'learned') this.book.claim(edge, address, keyOf(address).family);
		}
	}

	/**
	 * Takes one frame all the way.
	 * @param partial whether its virtio header says that the checksum is still to be completed.
	 * @throws Error if a frame that isn't for exactly one edge was changed before the slow path had it.
	 */
	receive(ingress: number, bytes: Uint8Array, partial = false): Outcome {
		const frame = memoryWith(bytes, partial);
		const first = forward(this.state, frame, HEADROOM, bytes.length, ingress);
		if (first < 0 || first >= EDGES_MAX) unchanged(frame, bytes);
		return { verdict: verdictName(first), ...this.#finish(first, frame, bytes.length, ingress) };
	}

	close(): void {
		this.#answerer.close();
	}

	#finish(first: number, frame: DataView, length: number, ingress: number): { final: string; out: Output[] } {
		let verdict = first;
		// An advertisement claims twice: its source, then its target.
		for (let claims = 0; verdict === SLOW_CLAIM && claims < 2 && this.#claim(frame, ingress); claims++) {
			verdict = forward(this.state, frame, HEADROOM, length, ingress);
		}
		if (verdict === SLOW_CLAIM) verdict = drop('ip-spoof');
		const final = verdictName(verdict);
		if (verdict === SLOW_FANOUT) return { final, out: this.#copies(frame, length, ingress) };
		if (verdict === SLOW_ANSWER) return { final, out: [{ edge: ingress, frame: this.#answer(frame) }] };
		const forwarded = verdict >= 0 && verdict < EDGES_MAX;
		return { final, out: forwarded ? [{ edge: verdict, frame: copyOf(frame, HEADROOM, length) }] : [] };
	}

	#claim(frame: DataView, ingress: number): boolean {
		const address = claimedAddress(this.state, frame, HEADROOM, ingress);
		const family = frame.getUint16(HEADROOM + 12) === 0x86dd ? 6 : 4;
		return this.book.claim(ingress, addressText(frame, address, family), family);
	}

	#answer(frame: DataView): Uint8Array {
		const length = this.#answerer.answer(this.state, frame, HEADROOM);
		return copyOf(this.#answerer.region.frame, this.#answerer.at, length);
	}

	#copies(frame: DataView, length: number, ingress: number): Output[] {
		if (!isGroupDestination(frame, HEADROOM)) writeGroupMac(frame, HEADROOM);
		const into = new Uint16Array(EDGES_MAX);
		const count = fanout(this.state, frame, HEADROOM, ingress, into);
		const edges = Array.from(into.subarray(0, count)).sort((a, b) => a - b);
		const out = edges.map(edge => ({ edge, frame: copyOf(frame, HEADROOM, length) }));
		if (!leavesForWire(ingress)) return out;
		rewriteForWire(this.state, frame, HEADROOM);
		return [{ edge: EDGE_WIRE, frame: copyOf(frame, HEADROOM, length) }, ...out];
	}
}

function memoryWith(bytes: Uint8Array, partial: boolean): DataView {
	const memory = new Uint8Array(HEADROOM + bytes.length);
	memory.set(bytes, HEADROOM);
	memory[HEADROOM - 10] = partial ? 1 : 0;
	return new DataView(memory.buffer);
}

function copyOf(frame: DataView, at: number, length: number): Uint8Array {
	return new Uint8Array(frame.buffer, frame.byteOffset + at, length).slice();
}

function unchanged(frame: DataView, bytes: Uint8Array): void {
	const same = copyOf(frame, HEADROOM, bytes.length).every((byte, index) => byte === bytes[index]);
	if (!same) throw new Error('a frame for the slow path, or a dropped one, was changed');
}
