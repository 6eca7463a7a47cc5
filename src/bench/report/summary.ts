/** What was measured, boiled down: one line per row and metric, with what each peer did. Pure. */
import type { Machine } from '../machine.js';
import type { Instructions, KernelMicro, MicroResult } from '../micro/result.js';
import { BASELINE } from '../peers/index.js';
import type { Metric, Row } from '../rows/row.js';
import type { Run } from '../run.js';
import type { Setup } from '../site.js';
import { absolute, type Estimate, ratio, spoiled } from '../statistics.js';

export interface PeerInfo {
	name: string;
	about: string;
	/** The first line of what its program says. */
	version?: string | undefined;
}

/** Left out, because its program isn't there, or this machine can't have it. */
export interface Absentee {
	name: string;
	/** Of this row alone. */
	row?: string;
	why: string;
}

export interface Results {
	machine: Machine;
	peers: readonly PeerInfo[];
	absent: readonly Absentee[];
	/** By name. */
	rows: readonly string[];
	runs: readonly Run[];
	setups: readonly Setup[];
	micro: readonly MicroResult[];
	/** undefined where there is no eBPF, or nobody asked. */
	kernel?: KernelMicro | undefined;
	instructions?: Instructions | undefined;
}

export interface Cell {
	peer: string;
	value: Estimate | undefined;
	/** To the baseline's; undefined where a ratio would say nothing. */
	ratio: Estimate | undefined;
}

export interface Line {
	row: Row;
	metric: Metric;
	cells: readonly Cell[];
}

/** @param all the rows that there are; those of the results are taken, in this order. */
export function summarise(results: Results, all: readonly Row[]): Line[] {
	const lines: Line[] = [];
	for (const row of all) {
		if (!results.rows.includes(row.name)) continue;
		const runs = results.runs.filter(run => run.row === row.name);
		for (const metric of row.metrics) {
			const cells = results.peers.map(({ name }) => cellOf(runs, metric, name));
			if (cells.some(({ value }) => value !== undefined)) lines.push({ row, metric, cells });
		}
	}
	return lines;
}

/** A share of a share says nothing, 0.2 % loss instead of 0.1 % isn't twice as bad; nor does one of no frames at all. */
export function isCompared({ unit }: Metric): boolean {
	return unit !== '%' && unit !== 'ms' && unit !== '';
}

/** How many runs there were of each kind; `near` and `far` of those that count. */
export function counts(runs: readonly Run[]): { all: number; spoiled: number; near: number; far: number } {
	const used = runs.filter(run => !spoiled(run));
	const of = (state: string): number => used.filter(run => run.state === state).length;
	return { all: runs.length, spoiled: runs.length - used.length, near: of('near'), far: of('far') };
}

/** Results of several sittings as those of one, with more blocks; the first one says what was measured on what. */
export function merge(sittings: readonly Results[]): Results {
	const runs: Run[] = [];
	for (const sitting of sittings) {
		const offset = runs.reduce((highest, { block }) => Math.max(highest, block + 1), 0);
		runs.push(...sitting.runs.map(run => ({ ...run, block: run.block + offset })));
	}
	const peers = uniqueBy(
		sittings.flatMap(({ peers }) => peers),
		({ name }) => name,
	);
	return {
		...sittings[0]!,
		peers,
		absent: uniqueBy(
			sittings.flatMap(({ absent }) => absent),
			({ name, row = '' }) => `${name} ${row}`,
		).filter(({ name, row }) => row !== undefined || !peers.some(peer => peer.name === name)),
		rows: [...new Set(sittings.flatMap(({ rows }) => rows))],
		runs,
		setups: sittings.flatMap(({ setups }) => setups),
		micro: sittings.findLast(({ micro }) => micro.length > 0)?.micro ?? [],
		kernel: sittings.findLast(({ kernel }) => kernel !== undefined)?.kernel,
		instructions: sittings.findLast(({ instructions }) => instructions !== undefined)?.instructions,
	};
}

function cellOf(runs: readonly Run[], metric: Metric, peer: string): Cell {
	return {
		peer,
		value: absolute(runs, metric, peer),
		ratio: peer === BASELINE || !isCompared(metric) ? undefined : ratio(runs, metric, peer, BASELINE),
	};
}

function uniqueBy<T>(values: readonly T[], key: (value: T) => string): T[] {
	return [...new Map(values.map(value => [key(value), value])).values()];
}
