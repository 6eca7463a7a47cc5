/** `ipvtap bench`: measures ipvtap beside what else puts guests on a wire, in throwaway namespaces. */
import { isIPv4 } from 'node:net';
import { listing, bench as measure } from '../../bench/bench.js';
import { chooseOptions, type Given } from '../../bench/options.js';
import { goals } from '../../bench/report/goals.js';
import { summarise } from '../../bench/report/summary.js';
import { rows } from '../../bench/rows/index.js';
import { spoiled } from '../../bench/statistics.js';
import { benchWire, type WireOptions } from '../../bench/wire.js';
import { IpvtapError } from '../../errors.js';
import { benchText, listText, wireText } from '../bench-text.js';
import { note, print } from '../output.js';

interface WireGiven {
	wire?: string;
	to?: string;
	ip?: string;
	yes?: boolean;
}

export async function bench(given: Given & WireGiven & { json?: boolean; list?: boolean }): Promise<void> {
	const { json = false } = given;
	if (given.wire !== undefined) {
		const lines = await benchWire(wireOptions(given), word => process.stderr.write(word));
		process.stderr.write('\n');
		print(json, { wire: given.wire, to: given.to, lines }, wireText(lines));
		return;
	}
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
		setups: results.setups.map(({ attachMs: _, detachMs: __, ...setup }) => setup),
		micro: results.micro,
		kernel: results.kernel,
		instructions: results.instructions,
		raw,
	};
	print(json, document, benchText(results, lines, raw));
}

/** It is the user's own network: nothing is guessed, and nothing begins without a yes. @throws IpvtapError `usage`. */
function wireOptions(given: Given & WireGiven): WireOptions {
	const { wire: nic = '', to, ip, yes } = given;
	const { blocks } = chooseOptions(given);
	if (to === undefined || ip === undefined) {
		throw new IpvtapError(
			'usage',
			`bench --wire ${nic}: whom to ping, and the guest's address, are missing`,
			{
				hint: `ipvtap bench --wire ${nic} --to MACHINE --ip FREE-ADDRESS`,
			},
		);
	}
	for (const address of [to, ip]) {
		if (!isIPv4(address)) throw new IpvtapError('usage', `bench --wire: ${address} is no IPv4 address`);
	}
	if (!yes) {
		throw new IpvtapError(
			'usage',
			`bench --wire ${nic}: this brings ${nic} up as a master for a minute, gives a guest ${ip}, and sends 200 pings a ` +
				`second to ${to}`,
			{ hint: 'say --yes if that is all right on your network' },
		);
	}
	return { nic, to, ip, blocks };
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
