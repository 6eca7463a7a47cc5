import test from 'ava';
import { runOrder } from '../../../src/bench/blocks.js';

const peers = ['bridge', 'w', 'x', 'y', 'z'].map(name => ({ name }));
const names = (block: number): string[] => runOrder(peers, block).map(({ name }) => name);

test('each peer runs twice, the second time in the reverse order, with the baseline between', t => {
	t.deepEqual(names(0), ['bridge', 'w', 'x', 'y', 'bridge', 'z', 'z', 'y', 'bridge', 'x', 'w', 'bridge']);
});

test('the next block begins with the next peer', t => {
	t.notDeepEqual(names(0), names(1));
	t.deepEqual(names(0), names(4));
	t.is(names(1).length, names(0).length);
});

test('without a baseline, or with nobody else, there still is an order', t => {
	t.deepEqual(runOrder([{ name: 'x' }], 3), [{ name: 'x' }, { name: 'x' }]);
	t.deepEqual(runOrder([{ name: 'bridge' }], 0), [{ name: 'bridge' }, { name: 'bridge' }]);
});
