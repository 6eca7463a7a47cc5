/**
 * The rows of the table: which way the frames go, and what is counted. Guest 0 sends from CPU 0 to guest 1, or to the
 * wire, on CPU 1; the forwarder, if there is one, is where the scheduler puts it.
 */
import type { FloodResult, Histogram, ResponseResult, Run, TcpResult } from './run.js';

export type Way = 'guest-guest' | 'guest-wire' | 'wire-guest';

export interface Metric {
	name: string;
	unit: string;
	/** Which of two values is the better one. */
	better: 'more' | 'less';
	/** undefined: this run can't tell. */
	of(run: Run): number | undefined;
}

export interface Row {
	name: string;
	title: string;
	mode: 'flood' | 'rr' | 'tcp';
	way: Way;
	/** Words for guest.c; for TCP: `offloads` or nothing. */
	args: readonly string[];
	/** The first metric is the row's own. */
	metrics: readonly Metric[];
	/** Whether `--quick` has it. */
	quick: boolean;
}

const ways: readonly [short: string, way: Way][] = [
	['v2v', 'guest-guest'],
	['v2p', 'guest-wire'],
	['p2v', 'wire-guest'],
];

const flood = (run: Run): FloodResult => run.result as FloodResult;
const response = (run: Run): ResponseResult => run.result as ResponseResult;

const framesPerSecond: Metric = {
	name: 'frames/s',
	unit: '/s',
	better: 'more',
	of: run => flood(run).received / flood(run).elapsed,
};
const throughput: Metric = {
	name: 'throughput',
	unit: 'bit/s',
	better: 'more',
	of: run => (flood(run).bytes * 8) / flood(run).elapsed,
};
const cpuPerMillion: Metric = {
	name: 'CPU s per million frames',
	unit: 's',
	better: 'less',
	of: run => (run.ownCpu / Math.max(1, flood(run).totalReceived)) * 1e6,
};
const instructions: Metric = {
	name: 'instructions per frame',
	unit: '',
	better: 'less',
	of: run => run.instructions && (run.instructions.user + run.instructions.kernel) / flood(run).totalReceived,
};
const wakeups: Metric = {
	name: 'receiver sleeps per frame',
	unit: '',
	better: 'less',
	of: run => flood(run).waits / Math.max(1, flood(run).totalReceived),
};
const loss: Metric = {
	name: 'lost',
	unit: '%',
	better: 'less',
	of: run => (100 * flood(run).lost) / Math.max(1, flood(run).totalSent),
};
const segmented: Metric = {
	name: 'GSO frames that came whole',
	unit: '%',
	better: 'more',
	of: run => (100 * flood(run).unsegmented) / Math.max(1, flood(run).received),
};

const floodMetrics = [framesPerSecond, cpuPerMillion, instructions, wakeups, loss];
const responseMetrics: Metric[] = [
	{
		name: 'transactions/s',
		unit: '/s',
		better: 'more',
		of: run => response(run).transactions / response(run).elapsed,
	},
	...(['p50', 'p99', 'p999'] as const satisfies readonly (keyof Histogram)[]).map(
		(quantile): Metric => ({
			name: quantile === 'p999' ? 'p99.9' : quantile,
			unit: 'ns',
			better: 'less',
			of: run => response(run).delayNs[quantile],
		}),
	),
];

function floodRow(short: string, way: Way, size: number, wait: 'sleep' | 'poll'): Row {
	const receiver = way === 'guest-wire' ? '' : `, receiver ${wait === 'poll' ? 'in poll(2)' : 'napping'}`;
	return {
		name: way === 'guest-wire' ? `${short}-${size}` : `${short}-${size}-${wait}`,
		title: `${short.toUpperCase()} ${size} B${receiver}`,
		mode: 'flood',
		way,
		args: ['--size', String(size), '--wait', wait],
		metrics: floodMetrics,
		quick: size === 64 && (wait === 'poll' || way !== 'wire-guest'),
	};
}

function gsoRow(wait: 'sleep' | 'poll'): Row {
	return {
		name: `v2v-gso-${wait}`,
		title: `V2V 64 KB GSO, receiver ${wait === 'poll' ? 'in poll(2)' : 'napping'}`,
		mode: 'flood',
		way: 'guest-guest',
		args: ['--gso', '--wait', wait],
		metrics: [throughput, segmented, cpuPerMillion, instructions, loss],
		quick: wait === 'poll',
	};
}

function responseRow(short: string, way: Way, size: number): Row {
	return {
		name: `rr-${short}-${size}`,
		title: `request/response ${short.toUpperCase()} ${size} B, both in poll(2)`,
		mode: 'rr',
		way,
		args: ['--size', String(size), '--wait', 'poll'],
		metrics: responseMetrics,
		quick: way === 'guest-guest',
	};
}

/** A load that everybody carries: what it costs then is the fair comparison where cores are shared. */
function pacedRow(short: string, way: Way): Row {
	return {
		name: `${short}-paced`,
		title: `${short.toUpperCase()} 64 B at 50,000 frames/s: cost and delay`,
		mode: 'flood',
		way,
		args: ['--size', '64', '--wait', 'poll', '--rate', '50000'],
		metrics: [
			cpuPerMillion,
			instructions,
			{ name: 'p50', unit: 'ns', better: 'less', of: run => flood(run).delayNs.p50 },
			{ name: 'p99', unit: 'ns', better: 'less', of: run => flood(run).delayNs.p99 },
			loss,
		],
		quick: false,
	};
}

function tcpRow(offloads: boolean): Row {
	const tcp = (run: Run): TcpResult => run.result as TcpResult;
	return {
		name: offloads ? 'tcp-offloads' : 'tcp-plain',
		title: `TCP between Linux stacks, guests' offloads ${offloads ? 'on' : 'off'}`,
		mode: 'tcp',
		way: 'guest-guest',
		args: offloads ? ['offloads'] : [],
		metrics: [
			{
				name: 'throughput',
				unit: 'bit/s',
				better: 'more',
				of: run => (tcp(run).bytes * 8) / tcp(run).elapsed,
			},
			{ name: 'retransmitted', unit: '', better: 'less', of: run => tcp(run).retransmits },
		],
		quick: false,
	};
}

export const rows: readonly Row[] = [
	...ways.flatMap(([short, way]) =>
		[64, 512, 1514].flatMap(size =>
			(way === 'guest-wire' ? (['sleep'] as const) : (['sleep', 'poll'] as const)).map(wait =>
				floodRow(short, way, size, wait),
			),
		),
	),
	{
		...floodRow('v2v', 'guest-guest', 64, 'sleep'),
		name: 'v2v-64-flows',
		title: 'V2V 64 B, 256 flows, receiver napping',
		args: ['--size', '64', '--wait', 'sleep', '--flows', '256'],
		quick: false,
	},
	pacedRow('v2v', 'guest-guest'),
	gsoRow('sleep'),
	gsoRow('poll'),
	responseRow('v2v', 'guest-guest', 64),
	responseRow('v2p', 'guest-wire', 64),
	tcpRow(true),
	tcpRow(false),
];
