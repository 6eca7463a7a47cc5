/** `ipvtap bench`: measures ipvtap beside what else puts guests on a wire, in throwaway namespaces. */
import { listing, bench as measure } from '../../bench/bench.js';
import { chooseOptions, type Given } from '../../bench/options.js';
import { goals } from '../../bench/report/goals.js';
import { summarise } from '../../bench/report/summary.js';
import { rows } from '../../bench/rows/index.js';
import { spoiled } from '../../bench/statistics.js';
import { benchText, listText } from '../bench-text.js';
import { note, print } from '../output.js';

export async function bench(given: Given & { json?: boolean; list?: boolean }): Promise<void> {
	const { json = false } = given;
	if (given.list) {
		print(json, listing(), listText(listing()));
		return;
	}
	const { results, raw } = await measure(chooseOptions(given), progress);
	process.stderr.write('\n');
	const lines = summarise(results, rows);
	const document = {
		machine: results.machine,
		peers: results.peers,
		absent: results.absent,
		lines: lines.map(({ row, metric, cells }) => ({
			row: row.name,
			metric: metric.name,
			unit: metric.unit,
			better: metric.better,
			cells,
		})),
		goals: goals(results, rows),
		setups: results.setups.map(({ attachMs: _, ...setup }) => setup),
		micro: results.micro,
		raw,
	};
	print(json, document, benchText(results, lines, raw));
}

/** One line per row and block on stderr: `.` for a run, `x` for one that somebody disturbed. */
const progress = {
	row: ({ name }: { name: string }, block: number): void => {
		process.stderr.write(`\nblock ${block + 1}  ${name} `);
	},
	run: (run: Parameters<typeof spoiled>[0]): void => {
		process.stderr.write(spoiled(run) ? 'x' : '.');
	},
	note,
};
