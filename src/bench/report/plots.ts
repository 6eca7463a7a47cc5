/** Which lines of the table are drawn together. Pure. */
import { BASELINE } from '../peers/index.js';
import { isCompared, type Line } from './summary.js';

export interface Plot {
	/** Its file, without `.svg`. */
	name: string;
	title: string;
	/** What to read off it. */
	caption: string;
	panels: readonly Panel[];
}

export interface Panel {
	title: string;
	better: 'more' | 'less';
	/** Ratios have their mark at 1, shares (%) at 100. */
	mark: number;
	unit: '×' | '%';
	bars: readonly Bar[];
}

export interface Bar {
	peer: string;
	median: number;
	low: number;
	high: number;
	disturbed: boolean;
}

interface Wanted {
	name: string;
	title: string;
	caption: string;
	lines: readonly (readonly [row: string, metric: string])[];
}

/** Panels that nothing was measured for are left out, and so are plots without panels. */
export function plotsOf(lines: readonly Line[]): Plot[] {
	return wanted
		.map(({ lines: names, ...rest }) => ({ ...rest, panels: names.flatMap(name => panelsOf(lines, name)) }))
		.filter(({ panels }) => panels.length > 0);
}

function panelsOf(lines: readonly Line[], [row, metric]: readonly [string, string]): Panel[] {
	const line = lines.find(one => one.row.name === row && one.metric.name === metric);
	if (line === undefined) return [];
	const compared = isCompared(line.metric);
	const bars = line.cells.flatMap(({ peer, ratio, value }) => {
		const shown = compared ? ratio : value;
		return shown === undefined || (compared && peer === BASELINE) ? [] : [{ ...shown, peer }];
	});
	if (bars.length === 0) return [];
	const { better, name } = line.metric;
	return [
		{
			title: `${line.row.title.replace('request/response ', '')}: ${name}`,
			better,
			mark: compared ? 1 : better === 'more' ? 100 : 0,
			unit: compared ? '×' : '%',
			bars,
		},
	];
}

const ratioWords = 'Ratios to the bridge, whose own are at the line.';

/** Exported for its test: no plot must be missing because of a misspelling. */
export const wanted: readonly Wanted[] = [
	{
		name: 'frames',
		title: 'Frames a second',
		caption: `${ratioWords} V2V: guest to guest; V2P, P2V: guest to wire and back. Longer is better.`,
		lines: [
			['v2v-64-sleep', 'frames/s'],
			['v2v-64-poll', 'frames/s'],
			['v2v-64-flows', 'frames/s'],
			['v2v-v6-80-sleep', 'frames/s'],
			['v2p-64', 'frames/s'],
			['p2v-64-sleep', 'frames/s'],
			['p2v-64-poll', 'frames/s'],
			['v2v-1514-sleep', 'frames/s'],
			['overload', 'frames/s with ≤ 0.5 % loss'],
			['overload', 'of that, with twice as much offered'],
		],
	},
	{
		name: 'bulk',
		title: 'Bulk',
		caption: `${ratioWords} 64 KB GSO frames cross whole, or are left out. Longer is better.`,
		lines: [
			['v2v-gso-poll', 'throughput'],
			['v2p-gso', 'throughput'],
			['p2v-gso-poll', 'throughput'],
			['tcp-offloads', 'throughput'],
		],
	},
	{
		name: 'delay',
		title: 'Request and response',
		caption: `${ratioWords} The first panel of each: longer is better; delays: shorter is.`,
		lines: [
			...['transactions/s', 'p50', 'p99', 'p99.9', 'p99.99'].map(metric => ['rr-v2v-64', metric] as const),
			...['transactions/s', 'p50', 'p99', 'p99.99'].map(metric => ['rr-v2p-64', metric] as const),
			...['transactions/s', 'p50', 'p99'].map(metric => ['rr-loaded', metric] as const),
			...['transactions/s', 'p50', 'p99', 'p99.99'].map(metric => ['rr-half', metric] as const),
			...['transactions/s', 'p50', 'p99'].map(metric => ['udp-rr', metric] as const),
		],
	},
	{
		name: 'cost',
		title: 'CPU time of a frame',
		caption: `${ratioWords} All that guests, peer and kernel took, per frame that arrived. Shorter is better.`,
		lines: [
			['v2v-paced', 'CPU s per million frames'],
			['v2v-64-sleep', 'CPU s per million frames'],
			['v2v-64-poll', 'CPU s per million frames'],
			['v2p-64', 'CPU s per million frames'],
			['p2v-64-poll', 'CPU s per million frames'],
			['v2v-gso-poll', 'CPU s per million frames'],
		],
	},
	{
		name: 'crowd',
		title: 'Broadcasts, storms and crowds',
		caption:
			'Broadcasts, and frames for a group, that reach who wants them, to the bridge; what two others lose of 5,000 unicast frames a second meanwhile; ' +
			'what a storm leaves them beyond the CPU time of its sender; and frames a second among 1000 guests, of those among four.',
		lines: [
			['fan-8', 'deliveries/s'],
			['fan-8', 'lost of unicast between two others'],
			['fan-100', 'deliveries/s'],
			['fan-100', 'lost of unicast between two others'],
			['group-8', 'deliveries/s'],
			['group-100', 'deliveries/s'],
			['storm', "left of two others' transactions"],
			['scale-1000', 'frames/s, of those among few'],
		],
	},
];
