/**
 * Counters per edge, in shared memory: the thread that forwards writes, control reads whenever it likes. Each
 * thread has a block of its own, so there is one writer per number and no atomic operation per frame. Doubles
 * are exact up to 2^53, which at ten million frames a second lasts 28 years.
 *
 * What came in from an edge is accounted for completely (the invariant that tests check):
 *
 *      in = forwarded + replicated + ignored + Σ drops + queued
 */
import { type DropReason, dropReasons, EDGES_MAX } from './verdict.js';

/** Frames and bytes that came from the edge. */
export const IN_PACKETS = 0;
export const IN_BYTES = 1;
/** Frames and bytes handed to the edge, copies of multicast included. */
export const OUT_PACKETS = 2;
export const OUT_BYTES = 3;
/** Frames from the edge that went to exactly one other. */
export const FORWARDED = 4;
/** Frames from the edge that the slow path has copied or answered. */
export const REPLICATED = 5;
/** Frames on the wire that are the host's own business; their bytes are below. */
export const IGNORED = 6;
/** Frames from the edge that were put on the backlog, ever. */
export const BACKLOGGED = 7;
/** Frames from the edge that were taken off the backlog, ever. */
export const UNBACKLOGGED = 8;
/** Copies to the edge that could not be handed over; the original counts as replicated all the same. */
export const COPIES_LOST = 9;
/** Frames that a ring had no room for: the slaves' ring under EDGE_HOST, the master's under EDGE_WIRE. */
export const RING_DROPS = 10;
export const IGNORED_BYTES = 11;
/** Bytes of backlog that the edge's frames took, ever, and gave back, ever. */
export const BACKLOGGED_BYTES = 12;
export const UNBACKLOGGED_BYTES = 13;
/** Drops of frames from the edge: index of the reason is added. */
export const DROPS = 14;

/** Frames for the edge that were not tried, because its queue had just been full: the drop of their senders, or a copy less. */
export const NOT_TRIED = 61;
/** Frames from the edge that wait for a next hop's MAC at the moment: goes up and down, behind all reasons. */
export const WAITING = 62;
/** Frames for the edge that its own limit refused: the drop of their senders, or a copy less. In the last place. */
export const RX_LIMITED = 63;

/** Doubles per edge: a multiple of 8, so that two edges never share a cache line. */
export const STRIDE = 64;

export type Counters = Float64Array;

/** Bytes of one thread's block. */
export const COUNTERS_BYTES = EDGES_MAX * STRIDE * Float64Array.BYTES_PER_ELEMENT;

export interface EdgeCounters {
	in: { packets: number; bytes: number };
	out: { packets: number; bytes: number };
	forwarded: number;
	replicated: number;
	ignored: { packets: number; bytes: number };
	queued: number;
	copiesLost: number;
	ringDrops: number;
	rxLimited: number;
	notTried: number;
	drops: Partial<Record<DropReason, number>>;
}

/** Sums one edge over the blocks of all threads. */
export function readEdge(blocks: readonly Counters[], edge: number): EdgeCounters {
	const sum = (field: number) =>
		blocks.reduce((total, block) => total + (block[edge * STRIDE + field] as number), 0);
	const drops: Partial<Record<DropReason, number>> = {};
	dropReasons.forEach((reason, index) => {
		const count = sum(DROPS + index);
		if (count > 0) drops[reason] = count;
	});
	return {
		in: { packets: sum(IN_PACKETS), bytes: sum(IN_BYTES) },
		out: { packets: sum(OUT_PACKETS), bytes: sum(OUT_BYTES) },
		forwarded: sum(FORWARDED),
		replicated: sum(REPLICATED),
		ignored: { packets: sum(IGNORED), bytes: sum(IGNORED_BYTES) },
		queued: sum(BACKLOGGED) - sum(UNBACKLOGGED) + sum(WAITING),
		copiesLost: sum(COPIES_LOST),
		ringDrops: sum(RING_DROPS),
		rxLimited: sum(RX_LIMITED),
		notTried: sum(NOT_TRIED),
		drops,
	};
}

/**
 * Forgets an edge, so that the next slave with this number starts at zero. What counts the frames on their way stays:
 * some of the slave before may still be, and only the differences matter.
 */
export function clearEdge(blocks: readonly Counters[], edge: number): void {
	for (const block of blocks) {
		for (let field = 0; field < STRIDE; field++) {
			if (!onTheWay.has(field)) block[edge * STRIDE + field] = 0;
		}
	}
}

const onTheWay = new Set([BACKLOGGED, UNBACKLOGGED, BACKLOGGED_BYTES, UNBACKLOGGED_BYTES, WAITING]);
