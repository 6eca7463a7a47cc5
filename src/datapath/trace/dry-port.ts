/**
 * A whole port without threads, sockets or a clock: the real decision and the real slow path over plain memory.
 * What would be sent is collected instead, so a frame can be tried without anybody hearing of it. A frame lies at
 * the very end of its memory, so that whatever reads a byte too far throws.
 */
import type { Quota } from '../address-book.js';
import { applyChange } from '../apply-change.js';
import { type Counters, STRIDE } from '../counters.js';
import { forward } from '../forward/forward.js';
import type { Report } from '../messages.js';
import { PortState } from '../port-state.js';
import { type FrameSink, SlowPath, type SlowPathCommand } from '../slowpath/slowpath.js';
import { EDGES_MAX, IGNORE } from '../verdict.js';

/** A frame that left, and by which edge. */
export interface Sent {
	edge: number;
	frame: Uint8Array;
}

export interface DryRun {
	/** What `forward` says: what the fast path alone does. */
	first: number;
	/** What comes of it in the end; differs after a claim, for example. */
	final: number;
	/** What leaves, by edge. */
	out: Sent[];
}

/** Where in a frame the checksum begins that is to be completed, and from there where it lies, bytes. */
export interface ChecksumPlace {
	start: number;
	offset: number;
}

export interface DryPortOptions {
	/** Milliseconds since 1970. */
	now: () => number;
	/** Edges that may be used: 0 to this, less one. */
	edges?: number;
	quota?: Quota;
}

/** What control asks of a slow path, without the number by which it knows the reply. */
export type DryCommand = SlowPathCommand extends infer C
	? C extends { id: number }
		? Omit<C, 'id'>
		: never
	: never;

/** Room in front of a frame, for the virtio header. */
const HEADROOM = 16;
/** With VNET_NEEDS_CSUM, first byte of the legacy virtio header of 10 bytes. */
const VNET_FLAGS_AT = HEADROOM - 10;

export class DryPort {
	readonly state: PortState;
	/** What the slow path said to control. */
	readonly reports: Report[] = [];
	readonly counters: Counters;
	readonly #slowPath: SlowPath;
	#sent: Sent[] = [];

	constructor({ now, edges = EDGES_MAX, quota }: DryPortOptions) {
		this.state = new PortState(0x1234567, into => {
			into[0] = now();
		});
		this.counters = new Float64Array(STRIDE * edges);
		this.#slowPath = new SlowPath({
			state: this.state,
			counters: this.counters,
			sink: this.#sink(),
			now,
			change: change => applyChange(change, this.state, nowhere),
			report: report => this.reports.push(report),
			...(quota === undefined ? {} : { quota }),
		});
	}

	/** Asks the slow path as control does. @returns why it can't be, or undefined. */
	command(command: DryCommand): string | undefined {
		return this.#slowPath.obey({ ...command, id: 0 });
	}

	/** What the fast path decides, and what it makes of the frame. @param partial the checksum is still to be completed. */
	decide(
		ingress: number,
		bytes: Uint8Array,
		partial = false,
		checksum?: ChecksumPlace,
	): { verdict: number; frame: Uint8Array } {
		const frame = memoryWith(bytes, partial, checksum);
		const verdict = forward(this.state, frame, HEADROOM, bytes.length, ingress);
		return { verdict, frame: copyOf(frame, HEADROOM, bytes.length) };
	}

	/** Takes one frame all the way. */
	receive(ingress: number, bytes: Uint8Array, partial = false, checksum?: ChecksumPlace): DryRun {
		const { verdict: first, frame } = this.decide(ingress, bytes, partial, checksum);
		if (first >= 0 && first < EDGES_MAX) return { first, final: first, out: [{ edge: first, frame }] };
		if (first < 0 || first === IGNORE) return { first, final: first, out: [] };
		this.#sent = [];
		const region = { frame: memoryWith(bytes, partial, checksum), addressLow: 0, addressHigh: 0 };
		const final = this.#slowPath.handle(region, HEADROOM, bytes.length, ingress);
		return { first, final, out: this.#taken() };
	}

	/** @returns what leaves because of what is done. */
	during(action: () => unknown): Sent[] {
		this.#sent = [];
		action();
		return this.#taken();
	}

	/** Lets what is due by now happen. @returns what left. */
	tick(): Sent[] {
		return this.during(() => this.#slowPath.tick());
	}

	close(): void {
		this.#slowPath.close();
	}

	/** Copies at once, where the real one keeps pointers until it is flushed: who changes a frame too early is caught elsewhere. */
	#sink(): FrameSink {
		return {
			full: false,
			add: ({ frame }, at, length, edge) => this.#sent.push({ edge, frame: copyOf(frame, at, length) }),
			flush: () => undefined,
		};
	}

	#taken(): Sent[] {
		return this.#sent.sort((a, b) => a.edge - b.edge);
	}
}

const nowhere = { setInterface: () => undefined, setMtu: () => undefined, shareBuckets: () => undefined };

function memoryWith(bytes: Uint8Array, partial: boolean, checksum = { start: 0, offset: 0 }): DataView {
	const memory = new Uint8Array(HEADROOM + bytes.length);
	memory.set(bytes, HEADROOM);
	memory[VNET_FLAGS_AT] = partial ? 1 : 0;
	new Uint16Array(memory.buffer, HEADROOM - 4, 2).set([checksum.start, checksum.offset]);
	return new DataView(memory.buffer);
}

function copyOf(frame: DataView, at: number, length: number): Uint8Array {
	return new Uint8Array(frame.buffer, frame.byteOffset + at, length).slice();
}
