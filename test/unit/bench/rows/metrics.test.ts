import test from 'ava';
import type { FanResult, Histogram } from '../../../../src/bench/results.js';
import { delays, fairness, offered, otherLoss, overdrawn } from '../../../../src/bench/rows/metrics.js';
import type { Run } from '../../../../src/bench/run.js';
import { floodRun } from '../runs.js';

/** Two guests that may send 1000 frames/s each, for two seconds. */
function shared(changes: Partial<FanResult>): Run {
	const result: FanResult = {
		elapsed: 2,
		sent: 4000,
		deliveries: 2000,
		totalDeliveries: 2000,
		neighbourSent: 0,
		neighbourReceived: 0,
		strays: 0,
		alsoSent: 2000,
		alsoDeliveries: 2000,
		limit: 1000,
		cpuNs: 0,
		...changes,
	};
	return { ...floodRun('ipvtap', 0, 1), result };
}

test("who sends twice its limit gets its limit, and the other one's frames all arrive", t => {
	const held = shared({});
	t.is(fairness.of(held), 1);
	t.is(offered.of(held), 200);
	t.is(overdrawn.of(held), 100);
	t.is(otherLoss.of(held), 0);
});

test('without limits it gets twice as much; or the other one pays', t => {
	const all = shared({ deliveries: 4000 });
	t.is(fairness.of(all), 0.9);
	t.is(overdrawn.of(all), 200);
	t.is(otherLoss.of(shared({ alsoDeliveries: 1500 })), 25);
	t.is(otherLoss.of(shared({ alsoDeliveries: 2010 })), 0, 'those from before the window');
	const { limit: _, ...unlimited } = shared({}).result as FanResult;
	t.is(overdrawn.of({ ...shared({}), result: unlimited }), undefined);
});

test('a quantile is given when there are samples beyond it', t => {
	const of = (count: number): (number | undefined)[] => {
		const delayNs: Histogram = { count, mean: 1, p50: 1, p90: 2, p99: 3, p999: 4, p9999: 5, max: 6 };
		const run = floodRun('ipvtap', 0, 1);
		const metrics = delays('p50', 'p99', 'p999', 'p9999');
		return metrics.map(metric => metric.of({ ...run, result: { ...run.result, delayNs } as Run['result'] }));
	};
	t.deepEqual(of(299), [1, undefined, undefined, undefined]);
	t.deepEqual(of(3001), [1, 3, 4, undefined]);
	t.deepEqual(of(30_001), [1, 3, 4, 5]);
});
