/** The tables, for a terminal and as Markdown. Pure. */
import { table } from '../../src/cli/format.js';
import type { Machine } from './machine.js';
import type { MicroResult } from './micro/result.js';
import { BASELINE } from './peers/index.js';
import type { Metric, Row } from './rows.js';
import type { Run } from './run.js';
import { absolute, type Estimate, ratio, spoiled } from './statistics.js';

export interface Results {
	machine: Machine;
	peers: readonly { name: string; about: string }[];
	rows: readonly Row[];
	runs: readonly Run[];
	micro: readonly MicroResult[];
}

/** Aligned text. */
export function textReport(results: Results): string {
	const parts = [machineLine(results.machine)];
	if (results.runs.length > 0) {
		const [titles, ...lines] = networkTable(results) as [string[], ...string[][]];
		parts.push(
			table(
				titles.map((title, index) => ({ title, right: index > 1 })),
				lines,
			),
			footer(results),
		);
	}
	if (results.micro.length > 0) {
		const [titles, ...lines] = microTable(results.micro) as [string[], ...string[][]];
		parts.push(
			table(
				titles.map((title, index) => ({ title, right: index > 0 })),
				lines,
			),
		);
	}
	return parts.join('\n');
}

export function markdownReport(results: Results): string {
	const parts = ['# Benchmark', machineLine(results.machine)];
	if (results.runs.length > 0) {
		parts.push(markdownTable(networkTable(results)), footer(results));
		parts.push(results.peers.map(({ name, about }) => `* **${name}**: ${about}`).join('\n'));
	}
	if (results.micro.length > 0) parts.push(markdownTable(microTable(results.micro)));
	return `${parts.join('\n\n')}\n`;
}

/** One line per row and metric: the baseline's own value, then the others' ratios to it with their own values. */
function networkTable({ rows, runs, peers }: Results): string[][] {
	const others = peers.filter(({ name }) => name !== BASELINE);
	const lines = [['', '', BASELINE, ...others.map(({ name }) => `${name} / ${BASELINE}`)]];
	for (const row of rows) {
		const own = runs.filter(run => run.row === row.name);
		let title = row.title;
		for (const metric of row.metrics) {
			const base = absolute(own, metric, BASELINE);
			const cells = others.map(({ name }) => cell(own, metric, name));
			if (base === undefined && cells.every(text => text === NOTHING)) continue;
			lines.push([title, metric.name, valueText(base, metric), ...cells]);
			title = '';
		}
		if (title !== '') lines.push([title, 'no result', NOTHING, ...others.map(() => NOTHING)]);
	}
	return lines;
}

const NOTHING = '–';

function cell(runs: readonly Run[], metric: Metric, peer: string): string {
	const value = absolute(runs, metric, peer);
	if (value === undefined) return NOTHING;
	const share = ratio(runs, metric, peer, BASELINE);
	const text = valueText(value, metric);
	// A share of a share says nothing: 0.2 % loss instead of 0.1 % isn't twice as bad.
	if (metric.unit === '%') return text;
	if (share === undefined) return `(${text})`;
	const mark = share.disturbed ? '~' : '';
	return `${mark}${share.median.toFixed(2)} [${share.low.toFixed(2)}, ${share.high.toFixed(2)}] (${text})`;
}

function valueText(value: Estimate | undefined, { unit }: Metric): string {
	if (value === undefined) return NOTHING;
	const { median } = value;
	switch (unit) {
		case 'ns':
			return `${(median / 1000).toFixed(1)} µs`;
		case 's':
			return `${median.toFixed(2)} s`;
		case '%':
			return `${median.toFixed(1)} %`;
		default:
			return `${scaled(median)}${unit}`;
	}
}

function scaled(value: number): string {
	if (value >= 1e9) return `${(value / 1e9).toFixed(2)} G`;
	if (value >= 1e6) return `${(value / 1e6).toFixed(2)} M`;
	if (value >= 1e3) return `${(value / 1e3).toFixed(1)} k`;
	return value.toFixed(value < 10 ? 2 : 0);
}

function machineLine({ cpu, cpus, kernel, node, commit, date, pmu }: Machine): string {
	const counters = pmu ? '' : '; no counters for instructions here';
	return `ipvtap ${commit}, Linux ${kernel}, ${cpus} × ${cpu}, Node ${node}, ${date}${counters}`;
}

function footer({ runs }: Results): string {
	const used = runs.filter(run => !spoiled(run));
	const count = (state: string): number => used.filter(run => run.state === state).length;
	return (
		`Ratios: median over blocks of (peer / bridge in the same block, CPUs in the same state), bootstrap 95 % ` +
		`interval. Of ${runs.length} runs ${runs.length - used.length} were disturbed and left out, except where there were ` +
		`no others (~); ` +
		`${count('near')} with the CPUs near each other, ${count('far')} with them far.`
	);
}

function microTable(micro: readonly MicroResult[]): string[][] {
	return [
		['pure forwarder', 'ns/frame', 'collections', 'deoptimisations', 'frames'],
		...micro.map(({ name, nsPerFrame, collections, deoptimisations, frames }) => [
			name,
			nsPerFrame.toFixed(1),
			String(collections),
			String(deoptimisations),
			scaled(frames),
		]),
	];
}

function markdownTable([titles, ...lines]: readonly string[][]): string {
	const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
	return [line(titles!), line(titles!.map(() => '---')), ...lines.map(line)].join('\n');
}
