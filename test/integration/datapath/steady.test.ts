/** The frame path in its steady state: nothing for the garbage collector, nothing that V8 has to compile again. */
import test from 'ava';
import { measureForward } from '../../../src/bench/micro/forward.js';
import type { EdgeCounters } from '../../../src/datapath/counters.js';
import { runInNamespace } from '../../helpers/in-namespace.js';

interface Steady {
	/** Of each window, in order. */
	collections: number[];
	milliseconds: number[];
	deoptimisations: string[][];
	/** Wire, one guest, the other. */
	edges: EdgeCounters[];
}

/** Real frames through real rings, in so many windows. */
function forwardReally(frames: number, windows: number, ...more: string[]): Steady {
	const child = new URL('./steady-child.js', import.meta.url);
	// V8 writes its traces through a buffer of the C library: without stdbuf they would all come at the end.
	const node = ['stdbuf', '-oL', process.execPath, '--trace-deopt'];
	const words = [String(frames), String(windows), ...more];
	const { status, stdout, stderr } = runInNamespace(child, words, 120_000, node);
	const result = /^result (.*)$/m.exec(stdout)?.[1];
	if (status !== 0 || result === undefined) throw new Error(`steady-child: ${status}: ${stderr}`);
	const deoptimisations = stdout
		.split(/^window \d+$/m)
		.slice(1, -1)
		.map(text => text.split('\n').filter(line => line.startsWith('[bailout')));
	return { ...JSON.parse(result), deoptimisations };
}

/**
 * What happens for the first time, a full receiver perhaps, has its code compiled once more, and on a busy machine that
 * comes late: so it is the best window that counts. What happened with the frames would happen in each.
 */
test.serial('two million real frames: rings, decision, buckets, backlog, transmission', t => {
	const { edges, collections, deoptimisations, milliseconds } = forwardReally(500_000, 4);
	const compiled = deoptimisations.map(lines => lines.length);
	t.log(`${milliseconds} ms; collections ${collections}; deoptimisations ${compiled}`);
	for (const { forwarded, drops, queued, ignored, replicated, in: taken } of edges) {
		t.true(forwarded > 50_000);
		t.true(replicated > 1000);
		const lost = Object.values(drops).reduce((sum, count) => sum + count, 0);
		t.is(forwarded + replicated + ignored.packets + queued + lost, taken.packets);
	}
	const isQuiet = collections.some((count, window) => count === 0 && compiled[window] === 0);
	t.true(isQuiet, deoptimisations.flat().join('\n'));
});

test.serial('a forwarder that allocates is found out', t => {
	const { collections } = forwardReally(150_000, 3, 'wasteful');
	t.true(
		collections.every(count => count > 0),
		String(collections),
	);
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
