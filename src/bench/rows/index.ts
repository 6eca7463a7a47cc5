/**
 * The rows of the table. Guest 0 sends from CPU 0 to guest 1, or to the wire, on CPU 1; the forwarder, if there is one,
 * is where the scheduler puts it.
 */
import { FEW_GUESTS } from '../ground.js';
import { disruptionTraffic } from '../traffic/disruption.js';
import { emulatedTraffic, type Way } from '../traffic/emulated.js';
import { fanTraffic } from '../traffic/fan.js';
import { scaleTraffic } from '../traffic/scale.js';
import { stormTraffic } from '../traffic/storm.js';
import { tcpTraffic } from '../traffic/tcp.js';
import * as metrics from './metrics.js';
import type { Metric, Row } from './row.js';

type Wait = 'sleep' | 'poll';
type Table = Row['table'];

const FEW = [FEW_GUESTS] as const;
export const MANY_GUESTS = 1000;

const words = { sleep: 'napping', poll: 'in poll(2)' } as const;

const floodMetrics: readonly Metric[] = [
	metrics.framesPerSecond,
	metrics.cpuPerMillion,
	metrics.instructions,
	metrics.sleeps,
	metrics.loss,
];

/** Rows of guest.c among few guests. */
function emulatedRow(
	name: string,
	table: Table,
	title: string,
	way: Way,
	args: readonly string[],
	own: readonly Metric[],
	wants: Row['wants'] = [],
): Row {
	return {
		name,
		title,
		table,
		wants,
		guests: FEW,
		traffic: ([place], timing) => emulatedTraffic(place!, way, args, timing),
		metrics: own,
	};
}

function floodRow(short: string, way: Way, size: number, wait: Wait, table: Table): Row {
	const onWire = way === 'guest-wire';
	return emulatedRow(
		onWire ? `${short}-${size}` : `${short}-${size}-${wait}`,
		table,
		`${short.toUpperCase()} ${size} B${onWire ? '' : `, receiver ${words[wait]}`}`,
		way,
		['flood', '--size', String(size), '--wait', wait],
		floodMetrics,
	);
}

function gsoRow(short: string, way: Way, wait: Wait, table: Table): Row {
	const onWire = way === 'guest-wire';
	return emulatedRow(
		onWire ? `${short}-gso` : `${short}-gso-${wait}`,
		table,
		`${short.toUpperCase()} 64 KB GSO${onWire ? '' : `, receiver ${words[wait]}`}`,
		way,
		['flood', '--gso', '--wait', wait],
		[metrics.throughput, metrics.unsegmented, metrics.cpuPerMillion, metrics.instructions, metrics.loss],
		['gso'],
	);
}

function responseRow(short: string, way: Way, size: number, table: Table): Row {
	return emulatedRow(
		`rr-${short}-${size}`,
		table,
		`request/response ${short.toUpperCase()} ${size} B, both in poll(2)`,
		way,
		['rr', '--size', String(size), '--wait', 'poll'],
		[metrics.transactions, ...metrics.delays('p50', 'p99', 'p999', 'p9999')],
	);
}

/** A load that everybody carries: what it costs then is the fair comparison where cores are shared. */
const pacedRow = emulatedRow(
	'v2v-paced',
	'usual',
	'V2V 64 B at 50,000 frames/s: cost and delay',
	'guest-guest',
	['flood', '--size', '64', '--wait', 'poll', '--rate', '50000'],
	[metrics.cpuPerMillion, metrics.instructions, ...metrics.delays('p50', 'p99', 'p999'), metrics.loss],
);

const flowsRow = emulatedRow(
	'v2v-64-flows',
	'usual',
	'V2V 64 B, 256 flows, receiver napping',
	'guest-guest',
	['flood', '--size', '64', '--wait', 'sleep', '--flows', '256'],
	floodMetrics,
);

const overloadRow = emulatedRow(
	'overload',
	'usual',
	'V2V 64 B, limit and overload',
	'guest-guest',
	['flood', '--size', '64', '--wait', 'sleep', '--search'],
	[metrics.arriving, metrics.goodput],
);

function tcpRow(offloads: boolean, table: Table): Row {
	return {
		name: offloads ? 'tcp-offloads' : 'tcp-plain',
		title: `TCP between Linux stacks, guests' offloads ${offloads ? 'on' : 'off'}`,
		table,
		wants: offloads ? ['taps', 'gso'] : ['taps'],
		needs: { program: 'iperf3', package: 'iperf3' },
		guests: FEW,
		traffic: ([place], timing) => tcpTraffic(place!, offloads, timing),
		metrics: [metrics.tcpThroughput, metrics.retransmitted],
	};
}

function fanRow(receivers: number): Row {
	return {
		name: `fan-${receivers}`,
		title: `broadcast to ${receivers} guests`,
		table: 'usual',
		wants: receivers > 8 ? ['broadcast', 'many'] : ['broadcast'],
		guests: [receivers + 1],
		traffic: ([place], timing) => fanTraffic(place!, timing),
		metrics: [metrics.deliveries, metrics.neighbourLoss],
	};
}

const stormRow: Row = {
	name: 'storm',
	title: 'storm of 20,000 broadcasts/s',
	table: 'usual',
	wants: [],
	guests: FEW,
	traffic: ([place], timing) => stormTraffic(place!, timing),
	metrics: [metrics.victimKeeps],
};

const scaleRow: Row = {
	name: 'scale-1000',
	title: `V2V 64 B among ${MANY_GUESTS} guests`,
	table: 'usual',
	wants: ['many'],
	guests: [FEW_GUESTS, MANY_GUESTS],
	traffic: ([few, many], timing) =>
		scaleTraffic(few!, many!, ['flood', '--size', '64', '--wait', 'sleep'], timing),
	metrics: [metrics.keptAmongMany],
};

const disruptionRow: Row = {
	name: 'disruption',
	title: 'kill -9 and restart of the daemon, V2V at 10,000 frames/s',
	table: 'usual',
	wants: ['process'],
	guests: FEW,
	unquiet: true,
	traffic: ([place]) => disruptionTraffic(place!),
	metrics: [metrics.lostFrames, metrics.outage],
};

export const rows: readonly Row[] = [
	floodRow('v2v', 'guest-guest', 64, 'sleep', 'quick'),
	floodRow('v2v', 'guest-guest', 64, 'poll', 'quick'),
	floodRow('v2v', 'guest-guest', 512, 'sleep', 'all'),
	floodRow('v2v', 'guest-guest', 512, 'poll', 'all'),
	floodRow('v2v', 'guest-guest', 1514, 'sleep', 'usual'),
	floodRow('v2v', 'guest-guest', 1514, 'poll', 'all'),
	flowsRow,
	floodRow('v2p', 'guest-wire', 64, 'sleep', 'quick'),
	floodRow('v2p', 'guest-wire', 512, 'sleep', 'all'),
	floodRow('v2p', 'guest-wire', 1514, 'sleep', 'all'),
	floodRow('p2v', 'wire-guest', 64, 'sleep', 'usual'),
	floodRow('p2v', 'wire-guest', 64, 'poll', 'quick'),
	floodRow('p2v', 'wire-guest', 512, 'sleep', 'all'),
	floodRow('p2v', 'wire-guest', 512, 'poll', 'all'),
	floodRow('p2v', 'wire-guest', 1514, 'sleep', 'all'),
	floodRow('p2v', 'wire-guest', 1514, 'poll', 'all'),
	overloadRow,
	gsoRow('v2v', 'guest-guest', 'sleep', 'all'),
	gsoRow('v2v', 'guest-guest', 'poll', 'quick'),
	gsoRow('v2p', 'guest-wire', 'sleep', 'usual'),
	gsoRow('p2v', 'wire-guest', 'poll', 'usual'),
	pacedRow,
	responseRow('v2v', 'guest-guest', 64, 'quick'),
	responseRow('v2p', 'guest-wire', 64, 'usual'),
	tcpRow(true, 'usual'),
	tcpRow(false, 'all'),
	stormRow,
	disruptionRow,
	fanRow(8),
	fanRow(100),
	scaleRow,
];
