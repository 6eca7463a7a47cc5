import test from 'ava';
import { DROPS, STRIDE } from '../../../src/datapath/counters.js';
import {
	drop,
	dropReasons,
	EDGES_MAX,
	IGNORE,
	SLOW_ANSWER,
	SLOW_CLAIM,
	SLOW_FANOUT,
	verdictName,
} from '../../../src/datapath/verdict.js';

test('every verdict has a name of its own', t => {
	const verdicts = [
		0,
		1,
		2,
		EDGES_MAX - 1,
		SLOW_FANOUT,
		SLOW_ANSWER,
		SLOW_CLAIM,
		IGNORE,
		...dropReasons.slice(1).map(drop),
	];
	t.is(new Set(verdicts.map(verdictName)).size, verdicts.length);
});

test('a drop is negative, and says why', t => {
	for (const reason of dropReasons.slice(1)) {
		t.true(drop(reason) < 0);
		t.is(verdictName(drop(reason)), `drop: ${reason}`);
	}
});

test('numbers that are no verdicts are shown as such', t => {
	t.is(verdictName(-1000), 'drop: unknown');
	t.is(verdictName(0x30000), 'verdict 196608');
});

test('no reason is named twice, and all have room in the counters', t => {
	t.is(new Set(dropReasons).size, dropReasons.length);
	t.true(DROPS + dropReasons.length <= STRIDE);
});
