/** Medians and ratios, and how sure they are. Pure. */
import type { Metric } from './rows.js';
import type { Run } from './run.js';

export interface Estimate {
	median: number;
	/** Bootstrap 95 % confidence interval of the median. */
	low: number;
	high: number;
	samples: number;
	/** Whether it comes from disturbed runs, because there were no others: a hint, not a result. */
	disturbed: boolean;
}

/**
 * What a peer did, divided by what the baseline did in the same block while the CPUs were in the same state: one
 * sample per block and state. undefined if no block has both.
 */
export function ratio(
	runs: readonly Run[],
	metric: Metric,
	peer: string,
	baseline: string,
): Estimate | undefined {
	const clean = ratios(
		runs.filter(run => !spoiled(run)),
		metric,
		peer,
		baseline,
	);
	return clean.length > 0 ? estimate(clean) : estimate(ratios(runs, metric, peer, baseline), true);
}

/** The metric itself. */
export function absolute(runs: readonly Run[], metric: Metric, peer: string): Estimate | undefined {
	const clean = values(
		runs.filter(run => !spoiled(run)),
		metric,
		peer,
	);
	return clean.length > 0 ? estimate(clean) : estimate(values(runs, metric, peer), true);
}

/** CPUs' worth of somebody else's work; what a quiet system does by itself is below. */
export const FOREIGN_MAX = 0.15;

/** Somebody else on the CPUs, or the CPUs moved: such a run can't be compared with anything. */
export function spoiled({ state, foreign, stolen }: Run): boolean {
	return state === 'mixed' || foreign > FOREIGN_MAX || stolen > FOREIGN_MAX;
}

/** @returns undefined for no samples. */
export function estimate(samples: readonly number[], disturbed = false): Estimate | undefined {
	if (samples.length === 0) return undefined;
	const random = generator(SEED);
	const medians = Array.from({ length: RESAMPLES }, () =>
		median(samples.map(() => samples[Math.floor(random() * samples.length)] as number)),
	).sort((a, b) => a - b);
	return {
		median: median(samples),
		low: medians[Math.floor(RESAMPLES * 0.025)] as number,
		high: medians[Math.floor(RESAMPLES * 0.975)] as number,
		samples: samples.length,
		disturbed,
	};
}

export function median(numbers: readonly number[]): number {
	const sorted = numbers.toSorted((a, b) => a - b);
	const middle = sorted.length >> 1;
	return sorted.length % 2 === 1
		? (sorted[middle] as number)
		: ((sorted[middle - 1] as number) + (sorted[middle] as number)) / 2;
}

const RESAMPLES = 2000;
/** Fixed, so that the same raw results always give the same table. */
const SEED = 0x1b7a9;

function ratios(runs: readonly Run[], metric: Metric, peer: string, baseline: string): number[] {
	const samples: number[] = [];
	for (const group of groups(runs)) {
		const own = mean(values(group, metric, peer));
		const other = mean(values(group, metric, baseline));
		if (own !== undefined && other !== undefined && other !== 0) samples.push(own / other);
	}
	return samples;
}

/** Runs that may be compared with each other: of one block, with the CPUs in one state. */
function groups(runs: readonly Run[]): Run[][] {
	const map = new Map<string, Run[]>();
	for (const run of runs) {
		const key = `${run.block} ${run.state}`;
		map.set(key, [...(map.get(key) ?? []), run]);
	}
	return [...map.values()];
}

function values(runs: readonly Run[], metric: Metric, peer: string): number[] {
	return runs
		.filter(run => run.peer === peer)
		.map(run => metric.of(run))
		.filter(value => value !== undefined);
}

function mean(numbers: readonly number[]): number | undefined {
	return numbers.length === 0 ? undefined : numbers.reduce((sum, one) => sum + one, 0) / numbers.length;
}

/** mulberry32: 32 bits of state are plenty for drawing samples. */
function generator(seed: number): () => number {
	let state = seed;
	return () => {
		state = (state + 0x6d2b79f5) | 0;
		let mixed = Math.imul(state ^ (state >>> 15), state | 1);
		mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
		return ((mixed ^ (mixed >>> 14)) >>> 0) / 0x1_0000_0000;
	};
}
