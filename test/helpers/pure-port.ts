/**
 * A whole port without threads, sockets or a clock: the real decision and the real slow path over plain memory.
 * A frame lies at the very end of its memory, so that whatever reads a byte too far throws.
 */
import type { Quota } from '../../src/datapath/address-book.js';
import { applyChange } from '../../src/datapath/apply-change.js';
import { type Counters, STRIDE } from '../../src/datapath/counters.js';
import { forward } from '../../src/datapath/forward/forward.js';
import type { Report, StateChange } from '../../src/datapath/messages.js';
import { type FlagName, type PermissionName, PortState } from '../../src/datapath/port-state.js';
import { type FrameSink, SlowPath, type SlowPathCommand } from '../../src/datapath/slowpath/slowpath.js';
import { EDGES_MAX, IGNORE, verdictName } from '../../src/datapath/verdict.js';

/** What a port is made of. Addresses are in the order in which they were taken. */
export interface Topology {
	master: string;
	host: boolean;
	flag: FlagName;
	slaves: readonly { edge: number; mac: string; learns: boolean; allow?: readonly PermissionName[] }[];
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
	readonly state = new PortState(0x1234567, () => this.now);
	/** What the slow path said to control. */
	readonly reports: Report[] = [];
	/** Milliseconds since 1970, as the slow path sees them. */
	now = 1_000_000;
	readonly counters: Counters;
	readonly #slowPath: SlowPath;
	#sent: Output[] = [];

	constructor(topology: Topology) {
		const { flag, slaves, addresses, quota } = topology;
		this.counters = new Float64Array(STRIDE * (2 + Math.max(0, ...slaves.map(({ edge }) => edge))));
		this.#slowPath = new SlowPath({
			state: this.state,
			counters: this.counters,
			sink: this.#sink(),
			now: () => this.now,
			change: change => applyChange(change, this.state, nowhere),
			report: report => this.reports.push(report),
			...(quota === undefined ? {} : { quota }),
		});
		this.#change({ kind: 'master', mac: topology.master, ifindex: 0 });
		this.#change({ kind: 'flag', flag });
		this.#change({ kind: 'host', ifindex: 0, enabled: topology.host });
		for (const { edge, mac, learns, allow = [] } of slaves) {
			this.#change({ kind: 'slave-added', edge, ifindex: 0, mac, learn: learns, allow });
			this.command({ kind: 'live', edge, live: true });
		}
		const hosts = addresses.filter(({ origin }) => origin === 'host').map(({ address }) => address);
		this.command({ kind: 'host-addresses', addresses: hosts });
		for (const { address, edge, origin } of addresses) {
			if (origin === 'static') this.command({ kind: 'assign', edge, address });
			if (origin === 'learned') this.command({ kind: 'restore', edge, address });
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
		const verdict = verdictName(first);
		if (first >= 0 && first < EDGES_MAX) {
			return {
				verdict,
				final: verdict,
				out: [{ edge: first, frame: copyOf(frame, HEADROOM, bytes.length) }],
			};
		}
		unchanged(frame, bytes);
		if (first < 0 || first === IGNORE) return { verdict, final: verdict, out: [] };
		this.#sent = [];
		const region = { frame, addressLow: 0, addressHigh: 0 };
		const final = this.#slowPath.handle(region, HEADROOM, bytes.length, ingress);
		return { verdict, final: verdictName(final), out: this.#taken() };
	}

	/** Asks the slow path as control does. @returns why it can't be, or undefined. */
	command(command: Request): string | undefined {
		return this.#slowPath.obey({ ...command, id: 0 });
	}

	/** Lets what is due by `now` happen. @returns what left. */
	tick(): Output[] {
		this.#sent = [];
		this.#slowPath.tick();
		return this.#taken();
	}

	close(): void {
		this.#slowPath.close();
	}

	#change(change: StateChange): void {
		this.command({ kind: 'change', change });
	}

	/** Copies at once, where the real one keeps pointers until it is flushed: who changes a frame too early is caught elsewhere. */
	#sink(): FrameSink {
		return {
			full: false,
			add: ({ frame }, at, length, edge) => this.#sent.push({ edge, frame: copyOf(frame, at, length) }),
			flush: () => undefined,
		};
	}

	#taken(): Output[] {
		return this.#sent.sort((a, b) => a.edge - b.edge);
	}
}

type Request = SlowPathCommand extends infer C ? (C extends { id: number } ? Omit<C, 'id'> : never) : never;

const nowhere = { setInterface: () => undefined };

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
