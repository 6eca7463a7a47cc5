/** Medians and ratios, and how sure they are. Pure. */
import type { Metric } from './rows/row.js';
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
 * What a peer did, divided by what the baseline did next to it: each run of the peer is one sample, compared with the
 * mean of the baseline's nearest runs before and after it, of the same row and block, with the CPUs in the same state.
 * undefined if there are none.
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
export function spoiled({ state, foreign, stolen, unquiet }: Run): boolean {
	if (unquiet) return false;
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
	const others = runs.filter(run => run.peer === baseline);
	for (const run of runs) {
		if (run.peer !== peer) continue;
		const own = metric.of(run);
		const other = mean(values(neighbours(run, others), metric, baseline));
		if (own !== undefined && other !== undefined && other !== 0) samples.push(own / other);
	}
	return samples;
}

/** Of those that the run may be compared with, the last one before it and the first one after it. */
function neighbours(run: Run, others: readonly Run[]): Run[] {
	const alike = others.filter(
		({ row, block, state }) => row === run.row && block === run.block && state === run.state,
	);
	const before = alike.filter(({ at }) => at < run.at).sort((a, b) => b.at - a.at);
	const after = alike.filter(({ at }) => at >= run.at).sort((a, b) => a.at - b.at);
	return [...before.slice(0, 1), ...after.slice(0, 1)];
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
