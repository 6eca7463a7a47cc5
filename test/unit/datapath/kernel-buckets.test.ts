/** What is told the kernel of limits; how it takes from them is in test/integration/offload/limits.test.ts. */
import test from 'ava';
import { limitsBytes, refusedOf } from '../../../src/datapath/kernel-buckets.js';

const SECOND = 1_000_000_000;
const NOW = 100 * SECOND;

/** rate, burst and empty of tx, rx and slow, then what was refused. */
function wordsOf(bytes: Uint8Array): number[] {
	return Array.from(new BigInt64Array(bytes.buffer), Number);
}

test('a new bucket is full: it was empty as long ago as it takes to fill', t => {
	const words = wordsOf(limitsBytes({ tx: { rate: 1000, burst: 4000 } }, undefined, NOW));
	t.deepEqual(words, [1000, 4 * SECOND, NOW - 4 * SECOND, 0, 0, 0, 0, 0, 0, 0]);
});

test('a limit that only changes takes no tokens away but those above the burst', t => {
	const before = limitsBytes({ slow: { rate: 1000, burst: 4000 } }, undefined, NOW);
	// A second later, and with 1500 taken, there are 2500 and not 3500.
	new BigInt64Array(before.buffer)[8]! += BigInt(2.5 * SECOND);
	const slower = wordsOf(limitsBytes({ slow: { rate: 100, burst: 4000 } }, before, NOW + SECOND));
	t.deepEqual(slower.slice(6, 9), [100, 40 * SECOND, NOW + SECOND - 25 * SECOND]);
	const smaller = wordsOf(limitsBytes({ slow: { rate: 1000, burst: 10 } }, before, NOW + SECOND));
	t.deepEqual(smaller.slice(6, 9), [1000, SECOND / 100, NOW + SECOND - SECOND / 100]);
});

test('a debt stays one', t => {
	const before = limitsBytes({ rx: { rate: 1000, burst: 1000 } }, undefined, NOW);
	new BigInt64Array(before.buffer)[5] = BigInt(NOW + 3 * SECOND);
	const [rate, , empty] = wordsOf(limitsBytes({ rx: { rate: 6000, burst: 1000 } }, before, NOW)).slice(3);
	t.deepEqual([rate, empty], [6000, NOW + SECOND / 2]);
});

test('no rate is so small that it is none; what was refused stays counted', t => {
	const before = new Uint8Array(80);
	new BigInt64Array(before.buffer)[9] = 7n;
	const after = limitsBytes({ tx: { rate: 0.2, burst: 1 } }, before, NOW);
	t.deepEqual(wordsOf(after).slice(0, 2), [1, SECOND]);
	t.is(refusedOf(after), 7);
	t.is(wordsOf(limitsBytes({}, after, NOW))[0], 0);
});
