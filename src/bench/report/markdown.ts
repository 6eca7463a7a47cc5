/** The report as Markdown: machine, goals, plots, tables. Pure. */

import type { Machine } from '../machine.js';
import { BASELINE } from '../peers/index.js';
import { rows } from '../rows/index.js';
import { goals } from './goals.js';
import type { Plot } from './plots.js';
import { counts, type Line, type Results } from './summary.js';
import {
	instructionTable,
	kernelTables,
	microWords,
	NOTHING,
	quantity,
	ratioText,
	valueText,
} from './words.js';

/** @param pictures the plots, with the path of each as the page sees it. */
export function markdownReport(
	results: Results,
	lines: readonly Line[],
	pictures: readonly { plot: Plot; path: string }[],
): string {
	const parts = [machineText(results.machine), confidenceText(results), peersText(results)];
	parts.push('### Goals', goalsTable(results));
	parts.push(
		...pictures.map(({ plot, path }) => `### ${plot.title}\n\n![${plot.title}](${path})\n\n${plot.caption}`),
	);
	parts.push('### Everything', tableText(lines, results));
	if (results.setups.some(({ attachMs }) => attachMs.length > 0))
		parts.push('### Attaching', setupsTable(results));
	if (results.micro.length > 0) parts.push('### The decision alone', microTable(results));
	if (results.kernel !== undefined)
		parts.push(...kernelTables(results.kernel).map(({ titles, lines }) => table(titles, lines)));
	if (results.instructions !== undefined) {
		const { titles, lines } = instructionTable(results.instructions);
		parts.push('### Instructions', table(titles, lines));
	}
	return `${parts.join('\n\n')}\n`;
}

function machineText({ cpu, cpus, kernel, node, commit, date, pmu, qemu, hypervisor }: Machine): string {
	const where = hypervisor === '' ? '' : `, in a virtual machine (${hypervisor})`;
	const counters = pmu ? '' : ' No counters for instructions here.';
	return `ipvtap ${commit}; Linux ${kernel}; ${cpus} × ${cpu}${where}; Node ${node}; ${qemu}; ${date.slice(0, 16)}Z.${counters}`;
}

function confidenceText({ runs }: Results): string {
	const { all, spoiled, near, far } = counts(runs);
	const blocks = new Set(runs.map(({ block }) => block)).size;
	return (
		`Each run is compared with the bridge's runs just before and after it, with the CPUs in the same state; given are ` +
		`the median of these ratios and its bootstrap 95 % interval. ${all} runs in ${blocks} interleaved blocks; ` +
		`${spoiled} were disturbed by others on the machine and left out, except where there were no others (\`~\`). ` +
		`Of the rest, ${near} found the two CPUs near each other (a cache line crosses in under 110 ns), ${far} far apart.`
	);
}

function peersText({ peers, absent }: Results): string {
	const lines = peers.map(
		({ name, about, version }) => `* **${name}**: ${about}${version === undefined ? '' : ` (${version})`}`,
	);
	const missing = absent.map(
		({ name, row, why }) => `* **${name}**: left out${row === undefined ? '' : ` of ${row}`}, ${why}`,
	);
	return [...lines, ...missing].join('\n');
}

function goalsTable(results: Results): string {
	return table(
		['who', 'what', 'goal', 'measured', ''],
		goals(results, rows).map(({ peer, text, want, got, verdict }) => [
			peer,
			text,
			want,
			got || NOTHING,
			verdict,
		]),
	);
}

/** Ratios, and the baseline's own value; where no ratio says anything, everybody's value. */
function tableText(lines: readonly Line[], { peers }: Results): string {
	const others = peers.filter(({ name }) => name !== BASELINE).map(({ name }) => name);
	let last = '';
	return table(
		['', '', BASELINE, ...others],
		lines.map(({ row, metric, cells }) => {
			const title = row.title === last ? '' : row.title;
			last = row.title;
			const base = cells.find(({ peer }) => peer === BASELINE);
			return [
				title,
				metric.name,
				valueText(base?.value, metric),
				...others.map(name => {
					const cell = cells.find(({ peer }) => peer === name);
					return cell?.ratio === undefined ? valueText(cell?.value, metric) : ratioText(cell.ratio);
				}),
			];
		}),
	);
}

function setupsTable({ setups }: Results): string {
	const time = (sorted: readonly number[], share: number): string => {
		const value = sorted[Math.ceil(sorted.length * share) - 1];
		return value === undefined ? NOTHING : quantity(value, 'ms');
	};
	const shown = setups.filter(({ attachMs }) => attachMs.length > 0);
	return table(
		[
			'who',
			'guests',
			'attach, median',
			'99th percentile',
			'longest',
			'detach, median',
			'99th percentile',
			'resident',
			'eBPF maps',
		],
		shown.map(({ peer, guests, attachMs, detachMs = [], residentMb, mapsMb }) => [
			peer,
			String(guests),
			...[0.5, 0.99, 1].map(share => time(attachMs, share)),
			...[0.5, 0.99].map(share => time(detachMs, share)),
			...[residentMb, mapsMb].map(mb => (mb === undefined ? NOTHING : `${mb.toFixed(mb < 10 ? 1 : 0)} MB`)),
		]),
	);
}

function microTable({ micro }: Results): string {
	return table(
		['pure forwarder', 'ns/frame', 'collections', 'deoptimisations', 'frames'],
		micro.map(microWords),
	);
}

function table(titles: readonly string[], lines: readonly (readonly string[])[]): string {
	const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
	return [line(titles), line(titles.map(() => '---')), ...lines.map(line)].join('\n');
}
