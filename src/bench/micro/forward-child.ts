/**
 * Measures `forward` alone, without a kernel: run by forward.ts with --trace-deopt, whose lines it separates into
 * before, during and after with lines of its own. Prints one JSON line per case.
 */
import { writeSync } from 'node:fs';
import { PerformanceObserver } from 'node:perf_hooks';
import { setImmediate as turn } from 'node:timers/promises';
import { COUNTERS_BYTES } from '../../datapath/counters.js';
import { forward } from '../../datapath/forward/forward.js';
import { Limits } from '../../datapath/limits.js';
import type { PortState } from '../../datapath/port-state.js';
import { BACKLOG_BYTES, BACKLOG_CONTROL_WORDS, Backlog, QUEUED } from '../../datapath/slowpath/backlog.js';
import { EDGE_SLAVES } from '../../datapath/verdict.js';
import { readMonotonicMs } from '../../sys/clock.js';
import { type Case, cases, portWith } from './cases.js';

/** As many frames as fit the second-level cache with room to spare; a power of two. */
const TABLE = 256;
const SLOT = 256;
/** The frame's first byte, at a multiple of 4; in a ring, too, its virtio header lies before it. */
const AT = 16;
/** Where the table begins: as far from the start as in a ring, so that a number made from an offset is as large. */
const RING = 8 << 20;

interface Prepared {
	state: PortState;
	frames: DataView;
	words: Int32Array;
	original: Int32Array;
	ingress: Uint16Array;
	lengths: Uint16Array;
}

let collections = 0;
new PerformanceObserver(list => {
	collections += list.getEntries().length;
}).observe({ entryTypes: ['gc'] });

const frames = Number(process.argv[2]);
const prepared = cases.map(prepare);
const bytes = new Uint8Array(BACKLOG_BYTES);
const region = { frame: new DataView(bytes.buffer), addressLow: 0, addressHigh: 0 };
const backlog = new Backlog(region, new Int32Array(BACKLOG_CONTROL_WORDS), 1000);
const counters = {
	producer: new Float64Array(COUNTERS_BYTES / 8),
	consumer: new Float64Array(COUNTERS_BYTES / 8),
};
let rubbish: { at: number; length: number; before: number; rubbish: undefined } | undefined;
const limits = new Limits(readMonotonicMs);
limits.set(EDGE_SLAVES, { tx: { rate: 1e9, burst: 1e6 }, slow: { rate: 1e7, burst: 1e4 } });
// Everything first, in turns, so that the code is optimised for all kinds of frames and not for one.
for (let round = 0; round < 20; round++) for (const one of prepared) loop(one, 20_000);
for (const [index, { name }] of cases.entries()) await measure(name, count => loop(prepared[index]!, count));
await measure('through the backlog', queue);
await measure('the buckets of a limited guest, a look at the clock every 64 frames', spend);
if (process.argv[3] === 'wasteful') await measure('an object for each frame', throwAway);

async function measure(name: string, work: (count: number) => number): Promise<void> {
	work(200_000);
	await settled();
	collections = 0;
	writeSync(1, `begin ${name}\n`);
	// CPU time, not the clock: somebody else's work on this core doesn't count.
	const from = process.cpuUsage();
	const sum = work(frames);
	const { user, system } = process.cpuUsage(from);
	await settled();
	writeSync(
		1,
		`end ${JSON.stringify({ name, frames, nsPerFrame: ((user + system) * 1000) / frames, collections, sum })}\n`,
	);
}

/** The observer is told about a collection some turns of the event loop later. */
async function settled(): Promise<void> {
	for (let i = 0; i < 5; i++) await turn();
}

function prepare(one: Case): Prepared {
	const bytes = new Uint8Array(RING + TABLE * SLOT);
	const ingress = new Uint16Array(TABLE);
	const lengths = new Uint16Array(TABLE);
	for (let n = 0; n < TABLE; n++) {
		const frame = one.frame(n);
		bytes.set(frame, RING + n * SLOT + AT);
		ingress[n] = one.ingress(n);
		lengths[n] = frame.length;
	}
	return {
		state: portWith(one.guests),
		frames: new DataView(bytes.buffer),
		words: new Int32Array(bytes.buffer),
		original: new Int32Array(bytes.slice(RING).buffer),
		ingress,
		lengths,
	};
}

/**
 * Forwards `count` frames of the table, round and round. As the MACs were rewritten the time before, they are put back
 * first: three stores that are part of the figure. ARP and ND change further in, but to what they were.
 */
function loop({ state, frames, words, original, ingress, lengths }: Prepared, count: number): number {
	let sum = 0;
	for (let i = 0; i < count; i++) {
		const n = i & (TABLE - 1);
		const at = RING + n * SLOT + AT;
		const from = (n * SLOT + AT) >> 2;
		const word = at >> 2;
		words[word] = original[from] as number;
		words[word + 1] = original[from + 1] as number;
		words[word + 2] = original[from + 2] as number;
		sum = (sum + forward(state, frames, at, lengths[n] as number, ingress[n] as number)) | 0;
	}
	return sum;
}

/** What a guest's limits cost beside the decision; part of what it sends is let through. */
function spend(count: number): number {
	const { clock, tx, slow } = limits;
	let passed = 0;
	for (let i = 0; i < count; i++) {
		if ((i & 63) === 0) clock.expire();
		if (tx.take(EDGE_SLAVES, 60) && slow.take(EDGE_SLAVES, 1)) passed++;
	}
	return passed;
}

/** What goes to the slow path, taken off again in batches. */
function queue(count: number): number {
	let queued = 0;
	for (let i = 0; i < count; i++) {
		const { frames, lengths, ingress } = prepared[0]!;
		const n = i & (TABLE - 1);
		const verdict = backlog.push(
			frames,
			RING + n * SLOT + AT,
			lengths[n] as number,
			ingress[n] as number,
			counters.producer,
			counters.consumer,
		);
		if (verdict === QUEUED) queued++;
		if ((i & 63) === 63) while (backlog.peek()) backlog.shift(counters.consumer);
	}
	return queued;
}

/** For comparison: 56 bytes of garbage a frame. */
function throwAway(count: number): number {
	for (let i = 0; i < count; i++) rubbish = { at: i, length: i + 1, before: i - 1, rubbish: undefined };
	return rubbish?.at ?? 0;
}
