/** Token buckets beside a slow twin, under random times and changes; then what a bucket promises, whatever comes. */
import test from 'ava';
import fc from 'fast-check';
import { BatchClock, TokenBuckets } from '../../src/datapath/token-buckets.js';
import { EDGES_MAX } from '../../src/datapath/verdict.js';
import { check } from '../helpers/seed.js';

const EDGES = [0, 2, EDGES_MAX - 1];

const bucket = fc.record({
	rate: fc.constantFrom(1, 60, 1000, 125_000, 12_500_000),
	burst: fc.constantFrom(1, 24, 2000, 65_536, 1 << 20),
});
const events = fc.array(
	fc.record({
		/** Milliseconds since the event before; 0 within a batch. */
		after: fc.oneof(fc.constant(0), fc.double({ min: 0, max: 50, noNaN: true }), fc.nat(100_000)),
		edge: fc.constantFrom(...EDGES),
		act: fc.oneof(
			{ weight: 8, arbitrary: fc.record({ take: fc.constantFrom(1, 60, 1514, 65_550) }) },
			{ weight: 2, arbitrary: fc.record({ takeWithin: fc.constantFrom(1, 10, 100) }) },
			{ weight: 1, arbitrary: fc.record({ set: fc.option(bucket, { nil: undefined }) }) },
			{ weight: 1, arbitrary: fc.record({ charge: fc.nat(100_000) }) },
		),
	}),
	{ maxLength: 200, size: 'max' },
);

/** A bucket told in words: what came in since the last look, and not more than fits. */
class SlowBucket {
	tokens = 0;
	seen = 0;
	charged: number | undefined;
	constructor(
		public rate: number,
		public burst: number,
		now: number,
	) {
		this.tokens = burst;
		this.seen = now;
	}

	fill(now: number): void {
		this.tokens = Math.min(this.burst, this.tokens + (now - this.seen) * (this.rate / 1000));
		this.seen = now;
	}
}

test('each edge has a bucket of its own, which fills and empties as its slow twin does', t => {
	check(
		t,
		fc.property(events, list => {
			let now = 5;
			const clock = new BatchClock(into => into.fill(now));
			const buckets = new TokenBuckets(clock);
			const twins = new Map<number, SlowBucket>();
			for (const { after, edge, act } of list) {
				now += after;
				clock.expire();
				const twin = twins.get(edge);
				twin?.fill(now);
				if (buckets.limits(edge) !== (twin !== undefined)) throw new Error('limited or not?');
				if ('set' in act) {
					buckets.set(edge, act.set);
					if (!act.set) twins.delete(edge);
					else if (!twin) twins.set(edge, new SlowBucket(act.set.rate, act.set.burst, now));
					else {
						twin.tokens = Math.min(twin.tokens, act.set.burst);
						Object.assign(twin, act.set);
					}
				} else if ('charge' in act) {
					if (!twin) continue;
					buckets.charge(edge, act.charge);
					if (twin.charged !== undefined) twin.tokens -= Math.max(0, act.charge - twin.charged);
					twin.charged = act.charge;
				} else {
					const within = 'takeWithin' in act;
					const cost = within ? Math.min(act.takeWithin, twin?.burst ?? 0) : act.take;
					const passes = !twin || twin.tokens > 0;
					if (twin && passes) twin.tokens -= cost;
					const passed = within ? buckets.takeWithinBurst(edge, act.takeWithin) : buckets.take(edge, cost);
					if (passed !== passes) throw new Error(`take ${cost} at ${now}`);
				}
			}
		}),
		1000,
	);
});

test('over any time at most burst + rate × time + one frame passes, and all of it while there is enough', t => {
	const frames = fc.array(
		fc.record({
			after: fc.double({ min: 0, max: 20, noNaN: true }),
			length: fc.integer({ min: 60, max: 65_550 }),
		}),
		{ minLength: 1, maxLength: 200, size: 'max' },
	);
	check(
		t,
		fc.property(bucket, frames, (limit, list) => {
			let now = 0;
			const clock = new BatchClock(into => into.fill(now));
			const buckets = new TokenBuckets(clock);
			buckets.set(2, limit);
			const passed: { at: number; length: number }[] = [];
			for (const { after, length } of list) {
				now += after;
				clock.expire();
				const within = (limit.rate / 1000) * now + limit.burst;
				const sum = passed.reduce((total, one) => total + one.length, 0);
				const passes = buckets.take(2, length);
				// What has come in but didn't fit is lost, so only a full bucket must let all pass.
				if (!passes && passed.length === 0) throw new Error('a full bucket refuses');
				if (passes && sum > within + 1e-6) throw new Error(`${sum} had passed at ${now}, of ${within}`);
				if (passes) passed.push({ at: now, length });
			}
			for (let first = 0; first < passed.length; first++) {
				let sum = 0;
				for (const { at, length } of passed.slice(first)) {
					const allowed = limit.burst + (limit.rate / 1000) * (at - passed[first]!.at);
					if (sum > allowed + 1e-6) throw new Error(`${sum} within ${at - passed[first]!.at} ms`);
					sum += length;
				}
			}
		}),
	);
});

test('the clock is read once a batch, and not at all for those without a limit', t => {
	let reads = 0;
	const clock = new BatchClock(into => into.fill(++reads));
	const buckets = new TokenBuckets(clock);
	buckets.take(2, 1e9);
	t.is(reads, 0);
	buckets.set(2, { rate: 1, burst: 1 });
	clock.expire();
	for (let count = 0; count < 64; count++) buckets.take(2, 1);
	t.is(reads, 2);
});
