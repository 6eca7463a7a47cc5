import test from 'ava';
import { spent, type Usage } from '../../../src/bench/cpu.js';

const before: Usage = { busy: 10, stolen: 1, processes: 2, softirq: 3, self: 4, at: 100 };

test("what nobody of ours has used is somebody else's", t => {
	const after: Usage = { busy: 13, stolen: 1.5, processes: 2.5, softirq: 3.25, self: 4.25, at: 102 };
	t.deepEqual(spent(before, after, 1), { own: 1.75, foreign: 0.5, stolen: 0.25 });
});

test('clocks that tick differently make nobody work less than not at all', t => {
	const after: Usage = { ...before, busy: 10.5, at: 101 };
	t.is(spent(before, after, 0.6).foreign, 0);
});
