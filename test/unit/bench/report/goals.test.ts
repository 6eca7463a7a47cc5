import test from 'ava';
import { goals, verdict } from '../../../../src/bench/report/goals.js';
import { rows } from '../../../../src/bench/rows/index.js';
import { results } from './results.js';

const between = (low: number, median: number, high: number, disturbed = false) => ({
	low,
	median,
	high,
	samples: 5,
	disturbed,
});

test('a goal is met or missed for sure only when all of the interval is on one side', t => {
	t.is(verdict(between(1.01, 1.1, 1.2), { least: 1 }), 'met');
	t.is(verdict(between(0.9, 1.1, 1.2), { least: 1 }), 'met, within noise');
	t.is(verdict(between(0.8, 0.9, 1.2), { least: 1 }), 'missed, within noise');
	t.is(verdict(between(0.7, 0.8, 0.9), { least: 1 }), '**missed**');
	t.is(verdict(between(0, 0, 0), { most: 0 }), 'met');
	t.is(verdict(between(1.1, 1.1, 1.1, true), { least: 1 }), 'met, within noise');
	t.is(verdict(undefined, { least: 1 }), 'not measured');
});

test('goals are read off the results', t => {
	const all = goals(results(), rows);
	const of = (peer: string, text: string, want: string): string[] =>
		all
			.filter(goal => goal.peer === peer && goal.text === text && goal.want.endsWith(want))
			.map(({ got, verdict: word }) => `${got}: ${word}`);
	t.deepEqual(of('ipvtap-tc-bpf', '64 B', '× bridge'), ['1.20 [1.20, 1.20]: met']);
	t.deepEqual(of('ipvtap', '64 B', '≥ 0.90 × bridge'), ['0.80 [0.80, 0.80]: **missed**']);
	t.deepEqual(of('ipvtap', '64 B', '× ovs'), [': not measured']);
	t.deepEqual(of('ipvtap', 'attaching the 1000 guests, 99th percentile', '100 ms'), ['150 ms: **missed**']);
	t.deepEqual(of('ipvtap', 'resident with 1000 guests', 'MB'), ['120 MB: met']);
	t.deepEqual(of('ipvtap', 'garbage collections in the frame path', '0'), ['0: met']);
	t.deepEqual(of('ipvtap-tc-bpf', 'instructions per frame', '× bridge'), ['0.990: met']);
});

test('a goal that names no row or metric is a mistake, and there is none', t => {
	const nothing = { ...results(), runs: [], setups: [], micro: [], instructions: undefined };
	t.true(goals(nothing, rows).every(goal => goal.verdict === 'not measured'));
	t.throws(() => goals(nothing, rows.slice(1)), { message: /there is no/ });
});
