/** The queue between forwarder and slow path: order, bounds, budgets, counters; then with two real threads. */
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import test from 'ava';
import fc from 'fast-check';
import { BACKLOGGED, COUNTERS_BYTES, STRIDE, UNBACKLOGGED } from '../../src/datapath/counters.js';
import {
	BACKLOG_BYTES,
	BACKLOG_CONTROL_WORDS,
	Backlog,
	QUEUED,
} from '../../src/datapath/slowpath/backlog.js';
import { drop } from '../../src/datapath/verdict.js';
import { check, numbers, seed } from '../helpers/seed.js';
import type { ProducerSetup } from './backlog-producer.js';

const FULL = drop('backlog-full');
const BUDGET = drop('backlog-budget');
const EDGES = 4;
/** Header of a record, virtio header of a frame. */
const EXTRA = 8 + 10;
const LONGEST = 68_000;
/** What doesn't fit before the ring's end begins at its start: less than the longest record is lost. */
const UNUSED = record(LONGEST);
const memory = new ArrayBuffer(BACKLOG_BYTES);
const source = frameMemory();

const commands = fc.array(
	fc.oneof(
		{
			weight: 8,
			arbitrary: fc.record({
				push: fc.constant(true),
				ingress: fc.integer({ min: 2, max: 1 + EDGES }),
				length: fc.oneof(
					fc.nat(1600),
					fc.integer({ min: 60_000, max: LONGEST }),
					fc.integer({ min: 60_000, max: LONGEST }),
				),
			}),
		},
		{
			weight: 2,
			arbitrary: fc.record({ push: fc.constant(false), ingress: fc.constant(0), length: fc.nat(7) }),
		},
	),
	{ maxLength: 300, size: 'max' },
);

test('frames come out as they went in, in order, within all limits, and counted', t => {
	check(
		t,
		fc.property(
			commands,
			fc.integer({ min: 1, max: 200 }),
			fc.constantFrom(0, 0x7fffffff & ~7, -16, BACKLOG_BYTES - 64),
			(list, limit, start) => {
				const { backlog, own, consumer } = fresh(limit, start);
				const queue: { ingress: number; length: number; mark: number }[] = [];
				const bytes = (of = queue) => of.reduce((sum, { length }) => sum + record(length), 0);
				list.forEach(({ push, ingress, length }, mark) => {
					if (!push) {
						for (let count = 0; count <= length; count++) take(backlog, consumer, queue.shift());
						return;
					}
					const its = queue.filter(entry => entry.ingress === ingress);
					const ofSender = its.length;
					const held = bytes(its) + record(length);
					const freeBytes = BACKLOG_BYTES - bytes();
					const free = limit - queue.length;
					source.setUint32(10, mark);
					source.setUint32(10 + Math.max(4, length - 4), mark);
					const result = backlog.push(source, 10, length, ingress, own, consumer);
					if (result === QUEUED) queue.push({ ingress, length, mark });
					// No more than there is room left for; where the ring ends, a record may have left its length unused.
					const byFrames = free <= 0 ? FULL : ofSender >= free ? BUDGET : QUEUED;
					const byBytes =
						(result === FULL && UNUSED + 2 * record(length) > freeBytes) ||
						(result === BUDGET && UNUSED + held > freeBytes);
					if (result === QUEUED && held > freeBytes) throw new Error('more bytes than its share');
					if (result !== byFrames && !byBytes) throw new Error(`push said ${result}, should be ${byFrames}`);
					if (bytes() > BACKLOG_BYTES || queue.length > limit) throw new Error('more than it can hold');
					const waiting =
						(own[ingress * STRIDE + BACKLOGGED] as number) -
						(consumer[ingress * STRIDE + UNBACKLOGGED] as number);
					if (waiting !== queue.filter(entry => entry.ingress === ingress).length)
						throw new Error('counters');
				});
				while (queue.length > 0) take(backlog, consumer, queue.shift());
				take(backlog, consumer, undefined);
			},
		),
		150,
	);
});

test('alone, a sender gets half; however many storm, somebody new finds room', t => {
	const { backlog, own, consumer } = fresh(1000, 0);
	const storm = (ingress: number) => {
		let count = 0;
		while (backlog.push(source, 10, 60, ingress, own, consumer) === QUEUED) count++;
		return count;
	};
	t.is(storm(2), 500);
	t.is(storm(3), 250);
	t.is(storm(4), 125);
	t.true(storm(5) > 50);
	t.is(storm(2), 0);
});

test('what does not fit behind the last record must fit in front of the oldest', t => {
	const { backlog, own, consumer } = fresh(1000, 0);
	// Each from another sender, so that none meets its budget.
	let sender = 2;
	const push = (length: number) => backlog.push(source, 10, length, sender++, own, consumer);
	// 63 records of 66024 bytes leave 34792 at the end; the oldest, taken, leaves 66024 at the beginning.
	for (let count = 0; count < 63; count++) t.is(push(66_000), QUEUED);
	t.is(push(66_000), FULL);
	t.true(backlog.peek());
	backlog.shift(consumer);
	t.is(push(68_000), FULL);
	t.is(push(66_000), QUEUED);
	t.is(push(8), FULL);
	for (let count = 0; count < 63; count++) {
		t.true(backlog.peek());
		t.is(backlog.length, 66_000);
		backlog.shift(consumer);
	}
	t.false(backlog.peek());
});

test('a sender holds no more bytes than are free', t => {
	const { backlog, own, consumer } = fresh(1000, 0);
	const push = (ingress: number) => backlog.push(source, 10, 66_000, ingress, own, consumer);
	let held = 0;
	while (push(2) === QUEUED) held++;
	t.is(held, 32, 'half of the 4 MiB');
	t.is(push(2), BUDGET);
	t.is(push(3), QUEUED);
	for (let count = 0; count < 2; count++) {
		t.true(backlog.peek());
		backlog.shift(consumer);
	}
	t.is(push(2), QUEUED);
});

test('a sleeper is woken once', t => {
	const { backlog } = fresh(10, 0);
	t.false(backlog.takeSleeper());
	backlog.setSleeping(true);
	t.true(backlog.takeSleeper());
	t.false(backlog.takeSleeper());
});

test('two threads: nothing is lost, torn, out of order, or slept through', async t => {
	t.log(`TEST_SEED=${seed}`);
	const frames = 20_000;
	const setup: ProducerSetup = {
		memory: new SharedArrayBuffer(BACKLOG_BYTES),
		control: new SharedArrayBuffer(BACKLOG_CONTROL_WORDS * 4),
		own: new SharedArrayBuffer(COUNTERS_BYTES),
		consumer: new SharedArrayBuffer(COUNTERS_BYTES),
		doorbells: new SharedArrayBuffer(8),
		limit: 200,
		frames,
		seed,
	};
	const region = { frame: new DataView(setup.memory), addressLow: 0, addressHigh: 0 };
	const consumer = new Float64Array(setup.consumer);
	const backlog = new Backlog(region, new Int32Array(setup.control), setup.limit);
	const doorbells = new Int32Array(setup.doorbells);
	const next = numbers(seed);
	const producer = new Worker(new URL('./backlog-producer.js', import.meta.url), { workerData: setup });
	const ended = once(producer, 'exit');
	for (let count = 0; count < frames; count++) {
		await untilPeek(backlog, doorbells);
		const { ingress, length } = described(count, next);
		if (backlog.length !== length || backlog.ingress !== ingress)
			return t.fail(`frame ${count}: ${backlog.ingress}, ${backlog.length} bytes`);
		if (
			region.frame.getUint32(backlog.at) !== count ||
			region.frame.getUint32(backlog.at + length - 4) !== count
		)
			return t.fail(`frame ${count} is torn`);
		backlog.shift(consumer);
		// The producer may be waiting for room.
		Atomics.add(doorbells, 1, 1);
		Atomics.notify(doorbells, 1);
	}
	t.deepEqual(await ended, [0]);
	t.false(backlog.peek());
	const own = new Float64Array(setup.own);
	for (let edge = 2; edge < 2 + EDGES; edge++)
		t.is(own[edge * STRIDE + BACKLOGGED], consumer[edge * STRIDE + UNBACKLOGGED]);
});

/** Sleeps as the slow path does: says so, looks once more, and then waits to be rung. */
async function untilPeek(backlog: Backlog, doorbells: Int32Array): Promise<void> {
	while (!backlog.peek()) {
		const rung = Atomics.load(doorbells, 0);
		backlog.setSleeping(true);
		if (!backlog.peek() && Atomics.wait(doorbells, 0, rung, 20_000) === 'timed-out')
			throw new Error('slept through a frame');
		backlog.setSleeping(false);
	}
}

/** What the producer makes as its frame number `count`; both sides draw from the same numbers. */
function described(count: number, next: (limit: number) => number): { ingress: number; length: number } {
	const long = next(40) === 0;
	return { ingress: 2 + (count % EDGES), length: long ? 60_000 + next(8000) : 8 + next(1500) };
}

function fresh(limit: number, start: number) {
	const control = new Int32Array(BACKLOG_CONTROL_WORDS);
	// Positions and counts of a queue that has been used for long: they wrap around 2^32.
	control[0] = start;
	control[16] = start;
	control[32] = start === 0 ? 0 : 0x7fffffff;
	control[48] = start === 0 ? 0 : 0x7fffffff;
	const region = { frame: new DataView(memory), addressLow: 0, addressHigh: 0 };
	const counters = () => new Float64Array(STRIDE * (2 + EDGES));
	return { backlog: new Backlog(region, control, limit), own: counters(), consumer: counters() };
}

function take(
	backlog: Backlog,
	consumer: Float64Array,
	expected: { ingress: number; length: number; mark: number } | undefined,
): void {
	const found = backlog.peek();
	if (!expected || !found) {
		if (found !== (expected !== undefined)) throw new Error(`peek says ${found}`);
		return;
	}
	const frame = new DataView(memory);
	if (backlog.ingress !== expected.ingress || backlog.length !== expected.length)
		throw new Error('another frame');
	if (expected.length >= 4 && frame.getUint32(backlog.at) !== expected.mark)
		throw new Error('another content');
	if (expected.length >= 8 && frame.getUint32(backlog.at + expected.length - 4) !== expected.mark)
		throw new Error('another end');
	if (frame.getUint16(backlog.at - 10) !== 0xabcd) throw new Error('another virtio header');
	backlog.shift(consumer);
}

function record(length: number): number {
	return (EXTRA + length + 7) & ~7;
}

function frameMemory(): DataView {
	const view = new DataView(new ArrayBuffer(80_000));
	view.setUint16(0, 0xabcd);
	return view;
}
