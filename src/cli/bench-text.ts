/** What `ipvtap bench` says to people. Pure. */
import type { listing } from '../bench/bench.js';
import { BASELINE } from '../bench/peers/index.js';
import { counts, type Line, type Results } from '../bench/report/summary.js';
import {
	instructionTable,
	kernelTables,
	microWords,
	NOTHING,
	ratioText,
	valueText,
} from '../bench/report/words.js';
import type { Estimate } from '../bench/statistics.js';
import type { WireLine } from '../bench/wire.js';
import { table } from './format.js';

/** One line per row and metric: the baseline's own value, then the others' ratios to it, or their values. */
export function benchText(results: Results, lines: readonly Line[], raw: string): string {
	const { machine, micro, kernel: offload, instructions } = results;
	const { cpu, cpus, kernel, node, commit, date, pmu } = machine;
	const counters = pmu ? '' : '; no counters for instructions here';
	const parts = [`ipvtap ${commit}, Linux ${kernel}, ${cpus} × ${cpu}, Node ${node}, ${date}${counters}\n`];
	if (lines.length > 0) parts.push(networkTable(results, lines), `${footer(results)}\n`);
	if (micro.length > 0) parts.push(microTable(results));
	const measured = [
		...(offload === undefined ? [] : kernelTables(offload)),
		...(instructions === undefined ? [] : [instructionTable(instructions)]),
	];
	parts.push(...measured.map(one => figures(one.titles, one.lines)));
	parts.push(`raw results: ${raw}\n`);
	return parts.join('\n');
}

export function listText({ rows, peers }: ReturnType<typeof listing>): string {
	const text = table(
		[{ title: 'ROW' }, { title: 'IN' }, { title: 'WHAT' }],
		rows.map(row => [row.name, row.table, row.title]),
	);
	return `${text}\nPEERS\n${peers.join('\n')}\n`;
}

/** Round trips through the user's own NIC. */
export function wireText(lines: readonly WireLine[]): string {
	const ms = ({ median }: Estimate): string => `${median.toFixed(3)} ms`;
	return figures(
		['', 'p50', 'p99', 'p50 / host', 'p99 / host', 'lost'],
		lines.map(({ who, p50, p99, ratio50, ratio99, sent, lost }) => [
			who,
			ms(p50),
			ms(p99),
			ratioText(ratio50),
			ratioText(ratio99),
			`${lost} of ${sent}`,
		]),
	);
}

function networkTable({ peers }: Results, lines: readonly Line[]): string {
	const others = peers.filter(({ name }) => name !== BASELINE).map(({ name }) => name);
	let last = '';
	return table(
		[{ title: '' }, { title: '' }, ...[BASELINE, ...others].map(title => ({ title, right: true }))],
		lines.map(({ row, metric, cells }) => {
			const title = row.name === last ? '' : row.name;
			last = row.name;
			return [
				title,
				metric.name,
				...[BASELINE, ...others].map(name => {
					const cell = cells.find(({ peer }) => peer === name);
					return cell?.ratio === undefined ? valueText(cell?.value, metric) : ratioText(cell.ratio);
				}),
			];
		}),
	);
}

function footer({ runs, peers }: Results): string {
	const { all, spoiled, near, far } = counts(runs);
	return (
		`${BASELINE}: what it did. Others: ratio to the bridge's runs next to theirs, median and 95 % interval; without ` +
		`brackets, what they did; ${NOTHING}: can't, or wasn't measured.\n` +
		`Of ${all} runs ${spoiled} were disturbed and left out, except where there were no others (~); ${near} with the ` +
		`CPUs near each other, ${far} with them far.\n${peers.map(({ name, about }) => `  ${name}: ${about}`).join('\n')}`
	);
}

function microTable({ micro }: Results): string {
	return figures(
		['the pure forwarder', 'ns/frame', 'collections', 'deoptimisations', 'frames'],
		micro.map(microWords),
	);
}

/** Names on the left, figures on the right. */
function figures(titles: readonly string[], lines: readonly string[][]): string {
	return table(
		titles.map((title, index) => ({ title, right: index > 0 })),
		lines,
	);
}
