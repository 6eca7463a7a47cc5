/**
 * The order of the runs. A block runs every row on its peers A B C … and then … C B A, so that whatever drifts during a
 * block weighs on all alike; blocks begin with another peer each time. The baseline comes again and again in between,
 * since each run is compared with those of the baseline that are next to it.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { asIpvtapError } from '../errors.js';
import { usage } from './cpu.js';
import type { Options } from './options.js';
import { BASELINE } from './peers/index.js';
import type { Row } from './rows/row.js';
import { measure, type Run } from './run.js';
import type { Site } from './site.js';
import { FOREIGN_MAX, spoiled } from './statistics.js';

export interface Progress {
	row(row: Row, block: number): void;
	run(run: Run): void;
	note(text: string): void;
}

/**
 * Runs everything, or as much as the budget of time allows: rows that stand on the same places together, so that a
 * thousand guests aren't there while others are measured.
 * @returns the runs, spoiled ones among them.
 */
export async function runBlocks(
	rows: readonly Row[],
	sites: readonly Site[],
	options: Options,
	progress: Progress,
): Promise<Run[]> {
	const deadline = performance.now() + options.budget * 1000;
	const runs: Run[] = [];
	const groups = grouped(rows);
	for (const [index, group] of groups.entries()) {
		const { guests } = group[0]!;
		for (const site of sites) await site.keep(guests);
		const left = rows.length - groups.slice(0, index).flat().length;
		// Each group gets its share of what time there is, and what earlier ones have left over.
		const until = performance.now() + ((deadline - performance.now()) * group.length) / left;
		await runGroup(group, sites, options, until, progress, runs);
	}
	return runs;
}

function grouped(rows: readonly Row[]): Row[][] {
	const groups = new Map<string, Row[]>();
	for (const row of rows) groups.set(row.guests.join(), [...(groups.get(row.guests.join()) ?? []), row]);
	return [...groups.values()];
}

/** Adds to `runs` as they are made: what there is when time is up counts. */
async function runGroup(
	rows: readonly Row[],
	sites: readonly Site[],
	options: Options,
	deadline: number,
	progress: Progress,
	runs: Run[],
): Promise<void> {
	for (let block = 0; block < options.blocks; block++) {
		for (const row of rows) {
			const able = sites.filter(
				({ peer, problems }) =>
					!problems.has(row.name) && !row.wants.some(ability => peer.lacks.includes(ability)),
			);
			if (able.length === 0) continue;
			const order = runOrder(able, block);
			const took = rowTime(runs, row, options) * order.length;
			// The first block is always run: a row that's missing tells nobody anything.
			if (block > 0 && performance.now() + took > deadline) return;
			progress.row(row, block);
			for (const site of order) {
				if (site.problems.has(row.name)) continue;
				const attempts = performance.now() + 2 * took < deadline ? ATTEMPTS : 1;
				try {
					await runRow(row, site, block, options, attempts, progress, runs);
				} catch (error) {
					// What one machine can't do, or doesn't do for once, mustn't cost the others their results.
					if (site.name === BASELINE) throw error;
					const why = asIpvtapError(error).message;
					site.problems.set(row.name, why);
					progress.note(`\nwarning: ${row.name} is left out for ${site.name}: ${why}`);
				}
			}
		}
	}
}

/** @throws IpvtapError when the peer can't be set up, or its traffic fails. */
async function runRow(
	row: Row,
	site: Site,
	block: number,
	timing: Options,
	attempts: number,
	progress: Progress,
	runs: Run[],
): Promise<void> {
	const places = [];
	for (const guests of row.guests) places.push(await site.place(guests));
	for (let attempt = 1; attempt <= attempts; attempt++) {
		if (attempt > 1) await quiet();
		const run = await measure(row, places, block, timing);
		runs.push(run);
		progress.run(run);
		if (!spoiled(run)) return;
	}
}

/** What a run of the row takes, ms: as it took so far, or a guess. */
function rowTime(runs: readonly Run[], { name }: Row, { seconds, warmup }: Options): number {
	const own = runs.filter(run => run.row === name);
	const first = own[0];
	const last = own.at(-1);
	if (first === undefined || last === undefined || own.length < 2)
		return (seconds + warmup) * 1000 + OVERHEAD_MS;
	const block = own.filter(run => run.block === last.block);
	return (1000 * (block.at(-1)!.at - block[0]!.at)) / Math.max(1, block.length - 1);
}

/** Probes and process starts around a run. */
const OVERHEAD_MS = 250;
const ATTEMPTS = 3;
/** How long a disturbed run waits for the others to finish, at most, and how often it looks. */
const QUIET_MS = 5000;
const LOOK_MS = 100;
/** Peers between two runs of the baseline. */
const STRIDE = 3;

/** @returns A B C … C B A, with the baseline first, last, and between every few. Exported for its test. */
export function runOrder<T extends { name: string }>(all: readonly T[], block: number): T[] {
	const baseline = all.find(({ name }) => name === BASELINE);
	const others = all.filter(one => one !== baseline);
	const first = others.length === 0 ? 0 : block % others.length;
	const turned = [...others.slice(first), ...others.slice(0, first)];
	const both = [...turned, ...turned.toReversed()];
	if (baseline === undefined) return both;
	if (both.length === 0) return [baseline, baseline];
	return [...both.flatMap((one, index) => (index % STRIDE === 0 ? [baseline, one] : [one])), baseline];
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
