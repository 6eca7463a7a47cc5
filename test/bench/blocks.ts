/**
 * The order of the runs. A block runs every row on the peers A B C and then C B A, so that whatever drifts during a
 * block weighs on all alike; blocks begin with another peer each time.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { usage } from './cpu.js';
import type { Options } from './options.js';
import type { Row } from './rows.js';
import { measure, type Run, type Site } from './run.js';
import { FOREIGN_MAX, spoiled } from './statistics.js';

export interface Progress {
	row(row: Row, block: number): void;
	run(run: Run): void;
}

/** Runs everything, or as much as the budget of time allows. @returns the runs, spoiled ones among them. */
export async function runBlocks(
	rows: readonly Row[],
	sites: readonly Site[],
	options: Options,
	progress: Progress,
): Promise<Run[]> {
	const deadline = performance.now() + options.budget * 1000;
	const perRun = (options.seconds + options.warmup) * 1000 + OVERHEAD_MS;
	const runs: Run[] = [];
	for (let block = 0; block < options.blocks; block++) {
		for (const row of rows) {
			if (performance.now() + perRun * sites.length * 2 > deadline) return runs;
			progress.row(row, block);
			for (const site of order(sites, block)) {
				const spare = deadline - performance.now() - perRun * sites.length * 2;
				const again = spare > (perRun + QUIET_MS) * RETRIES;
				runs.push(await undisturbed(row, site, block, options, again));
				progress.run(runs.at(-1)!);
			}
		}
	}
	return runs;
}

/** Probes and process starts around a run. */
const OVERHEAD_MS = 250;
const RETRIES = 3;
/** How long a disturbed run waits for the others to finish, at most, and how often it looks. */
const QUIET_MS = 5000;
const LOOK_MS = 100;

function order(sites: readonly Site[], block: number): Site[] {
	const first = block % sites.length;
	const turned = [...sites.slice(first), ...sites.slice(0, first)];
	return [...turned, ...turned.toReversed()];
}

async function undisturbed(
	row: Row,
	site: Site,
	block: number,
	timing: Options,
	again: boolean,
): Promise<Run> {
	for (let attempt = 1; ; attempt++) {
		const run = await measure(row, site, block, timing);
		if (!again || attempt === RETRIES || !spoiled(run)) return run;
		await quiet();
	}
}

/** Waits until nobody else uses the CPUs. There is no event for that: it is looked for. */
async function quiet(): Promise<void> {
	const deadline = performance.now() + QUIET_MS;
	for (let last = usage([]); performance.now() < deadline; ) {
		await sleep(LOOK_MS);
		const now = usage([]);
		if ((now.busy - last.busy - (now.self - last.self)) / (now.at - last.at) < FOREIGN_MAX) return;
		last = now;
	}
}
