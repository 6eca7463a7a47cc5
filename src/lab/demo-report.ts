import { pingCount, type Reach } from './reach.js';
import type { SeenMac } from './switch-port.js';

/** The document of `ipvtap demo --json`. */
export interface DemoReport {
	/** Everybody reached everybody, and the switch saw the master's MAC alone. */
	ok: boolean;
	reach: Reach[];
	switch: {
		/** The one MAC that may be seen. */
		masterMac: string;
		macs: SeenMac[];
	};
	/** Milliseconds until both guests were up, and of the whole. */
	bootMs: number;
	totalMs: number;
}

/** The report for people: a table for each family, and what the switch saw. */
export function formatReport(report: DemoReport, color: boolean): string {
	const names = [...new Set(report.reach.map(({ from }) => from))];
	const paint = (text: string, ok: boolean): string => (color ? `${ok ? green : red}${text}${plain}` : text);
	const table = (family: 4 | 6): string[] => {
		const head = cell(`IPv${family}`) + names.map(name => right(name)).join('');
		const rows = names.map(
			from =>
				cell(from) +
				names
					.map(to => report.reach.find(one => one.from === from && one.to === to && one.family === family))
					.map(one => (one === undefined ? right('-') : paint(right(words(one)), one.ok)))
					.join(''),
		);
		return [head, ...rows, ''];
	};
	const macs = report.switch.macs.map(({ mac, packets, dropped }) => {
		const own = mac === report.switch.masterMac;
		const line = `  ${mac}  ${own ? "the master's" : "not the master's"}: ${packets} frames, ${dropped} dropped`;
		return paint(line, own && dropped === 0);
	});
	return [
		`Who reached whom (from the left to the top; best of ${pingCount} round trips):`,
		'',
		...table(4),
		...table(6),
		'Source MACs that the switch saw at its port to the host:',
		...macs,
		'',
		report.ok
			? paint('Everybody reached everybody, and only one MAC was ever on the wire.', true)
			: paint('Not everything is as it should be: see above.', false),
		'',
	].join('\n');
}

/** SGR codes of ECMA-48. */
const green = '\u001b[32m';
const red = '\u001b[31m';
const plain = '\u001b[0m';

const width = 11;

function cell(text: string): string {
	return text.padEnd(width);
}

function right(text: string): string {
	return text.padStart(width);
}

function words(reach: Reach): string {
	if (reach.received === 0) return 'no answer';
	if (!reach.ok) return `${reach.received} of ${pingCount}`;
	return reach.rttMs === undefined ? 'ok' : `${reach.rttMs.toFixed(2)} ms`;
}
