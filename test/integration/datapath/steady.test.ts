/** The frame path in its steady state: nothing for the garbage collector, nothing that V8 has to compile again. */
import test from 'ava';
import { measureForward } from '../../../src/bench/micro/forward.js';
import type { EdgeCounters } from '../../../src/datapath/counters.js';
import { runInNamespace } from '../../helpers/in-namespace.js';

interface Steady {
	milliseconds: number;
	collections: number;
	deoptimisations: string[];
	edges: EdgeCounters[];
}

function forwardReally(frames: number, ...words: string[]): Steady {
	const child = new URL('./steady-child.js', import.meta.url);
	const { status, stdout, stderr } = runInNamespace(child, [String(frames), ...words], 90_000);
	if (status !== 0) throw new Error(`steady-child: ${status}: ${stderr}`);
	const lines = stdout.split('\n');
	const result = lines.find(line => line.startsWith('result '))!.slice('result '.length);
	// The guests' thread runs V8 as well.
	const deoptimisations = lines.filter(
		line => line.startsWith('[bailout') && !/exchange|traffic|until|taken/.test(line),
	);
	return { ...JSON.parse(result), deoptimisations };
}

test.serial('a million real frames: rings, decision, backlog, transmission', t => {
	const { edges, collections, deoptimisations, milliseconds } = forwardReally(1_000_000);
	t.log(`${milliseconds.toFixed(0)} ms`, edges);
	for (const { forwarded, drops, queued, in: taken } of edges) {
		t.true(taken.packets >= 500_000);
		t.true(forwarded > 100_000);
		t.true((drops['ip-spoof'] ?? 0) > 50_000);
		t.true((drops['backlog-full'] ?? 0) + (drops['backlog-budget'] ?? 0) > 10_000);
		t.is(forwarded + queued + Object.values(drops).reduce((sum, count) => sum + count, 0), taken.packets);
	}
	t.deepEqual(deoptimisations, []);
	t.is(collections, 0);
});

test.serial('a forwarder that allocates is found out', t => {
	t.true(forwardReally(500_000, 'wasteful').collections > 0);
});

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
