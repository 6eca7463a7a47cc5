/** `ipvtap stats [NAME]`: counters as guests see them, and each reason for which frames were dropped. */
import { readConfig } from '../../config.js';
import { askIfAny } from '../../control/autostart.js';
import type { SlaveStats, Statistics } from '../../control/model.js';
import { bytes, reasons, table } from '../format.js';
import { hasColour, print } from '../output.js';
import { find } from './show.js';

export async function stats(name: string | undefined, { json = false }: { json?: boolean }): Promise<void> {
	const colour = hasColour(process.stdout);
	if (name === undefined) {
		const all = (await askIfAny<Statistics>(readConfig(), 'GET', '/v1/stats')) ?? { masters: [], slaves: [] };
		print(json, all, statsText(all, colour));
		return;
	}
	const found = await find(name);
	const one = { name: found.name, stats: found.stats };
	if ('ifname' in found)
		print(
			json,
			{ ...one, master: found.master },
			statsText({ masters: [], slaves: [{ ...one, master: found.master }] }, colour),
		);
	else print(json, one, statsText({ masters: [one], slaves: [] }, colour));
}

function statsText({ masters, slaves }: Statistics, colour: boolean): string {
	const rows = [
		...masters.map(({ name, stats: counters }) => row(name, '(wire)', counters)),
		...slaves.map(({ name, master, stats: counters }) => row(name, master, counters)),
	];
	return table(columns, rows, colour);
}

function row(name: string, master: string, { rx, tx, drops, queued }: SlaveStats): string[] {
	return [
		name,
		master,
		String(rx.packets),
		bytes(rx.bytes),
		String(tx.packets),
		bytes(tx.bytes),
		String(queued),
		reasons(drops),
	];
}

const columns = [
	{ title: 'NAME' },
	{ title: 'MASTER' },
	{ title: 'RX FRAMES', right: true },
	{ title: 'RX', right: true },
	{ title: 'TX FRAMES', right: true },
	{ title: 'TX', right: true },
	{ title: 'QUEUED', right: true },
	{ title: 'DROPS' },
];
