/** The frame path in its steady state: nothing for the garbage collector, nothing that V8 has to compile again. */
import test from 'ava';
import { measureForward } from '../../../src/bench/micro/forward.js';

test.serial('ten million frames of all kinds: decision and backlog', async t => {
	const results = await measureForward(700_000);
	t.true(results.reduce((sum, { frames }) => sum + frames, 0) >= 10_000_000);
	for (const { name, collections, deoptimisations } of results) {
		t.is(collections, 0, name);
		t.is(deoptimisations, 0, name);
	}
});

test.serial('and a decision that allocates is found out', async t => {
	const results = await measureForward(1_000_000, 'wasteful');
	t.true(results.at(-1)!.collections > 0);
});
