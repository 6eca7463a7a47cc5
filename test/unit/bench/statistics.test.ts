import test from 'ava';
import { framesPerSecond } from '../../../src/bench/rows/metrics.js';
import { absolute, estimate, median, ratio, spoiled } from '../../../src/bench/statistics.js';
import { floodRun } from './runs.js';

test('the median of an even number of samples lies between two of them', t => {
	t.is(median([3, 1, 2]), 2);
	t.is(median([4, 1, 2, 3]), 2.5);
});

test('an estimate has its median inside its interval, and repeats', t => {
	const samples = [1, 1.1, 0.9, 1.05, 2, 0.95, 1, 1.02];
	const first = estimate(samples)!;
	t.true(first.low <= first.median && first.median <= first.high);
	t.true(first.high < 2, 'one outlier among eight is none of the median');
	t.is(first.samples, 8);
	t.deepEqual(estimate(samples), first);
	t.is(estimate([]), undefined);
});

test('a run is compared with the baseline just before and just after it', t => {
	// The machine slows down all the time; a peer that is twice as fast stays so.
	const runs = [
		floodRun('bridge', 0, 1000),
		floodRun('ipvtap', 1, 1800),
		floodRun('bridge', 2, 800),
		floodRun('ipvtap', 3, 1400),
		floodRun('bridge', 4, 600),
	];
	const got = ratio(runs, framesPerSecond, 'ipvtap', 'bridge')!;
	t.deepEqual([got.median, got.low, got.high, got.samples], [2, 2, 2, 2]);
});

test('only runs of one block, and with the CPUs in one state, are compared', t => {
	const runs = [
		floodRun('bridge', 0, 1000, { state: 'far' }),
		floodRun('bridge', 1, 4000),
		floodRun('ipvtap', 2, 2000),
		floodRun('bridge', 3, 1, { state: 'far' }),
		floodRun('bridge', 4, 1, { block: 1 }),
	];
	t.is(ratio(runs, framesPerSecond, 'ipvtap', 'bridge')!.median, 0.5);
	t.is(ratio(runs.slice(0, 1).concat(runs[2]!), framesPerSecond, 'ipvtap', 'bridge'), undefined);
});

test('disturbed runs count only where there are no others, and that is said', t => {
	const disturbed = { foreign: 0.5 };
	const runs = [floodRun('bridge', 0, 1000), floodRun('ipvtap', 1, 100, disturbed)];
	const hint = ratio(runs, framesPerSecond, 'ipvtap', 'bridge')!;
	t.deepEqual([hint.median, hint.disturbed], [0.1, true]);
	const clean = ratio([...runs, floodRun('ipvtap', 2, 900)], framesPerSecond, 'ipvtap', 'bridge')!;
	t.deepEqual([clean.median, clean.disturbed, clean.samples], [0.9, false, 1]);
	t.is(absolute(runs, framesPerSecond, 'ipvtap')!.median, 100);
});

test('what spoils a run: others, the hypervisor, CPUs that moved; not what it does itself', t => {
	const spoils = (changes: Parameters<typeof floodRun>[3]): boolean =>
		spoiled(floodRun('bridge', 0, 1, changes));
	t.false(spoils({}));
	t.true(spoils({ foreign: 0.2 }));
	t.true(spoils({ stolen: 0.2 }));
	t.true(spoils({ state: 'mixed' }));
	t.false(spoils({ foreign: 2, unquiet: true }));
});
