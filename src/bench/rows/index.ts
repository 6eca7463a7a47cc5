/**
 * The rows of the table. Guest 0 sends from CPU 0 to guest 1, or to the wire, on CPU 1; the forwarder, if there is one,
 * is where the scheduler puts it.
 */
import { FEW_GUESTS } from '../ground.js';
import { disruptionTraffic } from '../traffic/disruption.js';
import { emulatedTraffic, P2V, type Path, V2P, V2V } from '../traffic/emulated.js';
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
	path: Path,
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
		traffic: ([place], timing) => emulatedTraffic(place!, path, args, timing),
		metrics: own,
	};
}

function floodRow(short: string, path: Path, size: number, wait: Wait, table: Table): Row {
	const onWire = path.to === 'wire';
	return emulatedRow(
		onWire ? `${short}-${size}` : `${short}-${size}-${wait}`,
		table,
		`${titleOf(short)} ${size} B${onWire ? '' : `, receiver ${words[wait]}`}`,
		path,
		['flood', '--size', String(size), '--wait', wait],
		floodMetrics,
		path.ipv6 ? ['ipv6'] : [],
	);
}

/** IPv6's headers leave room for the emulator's stamp from 80 bytes on. */
function floodRow6(short: string, path: Path, wait: Wait, table: Table): Row {
	return floodRow(`${short}-v6`, { ...path, ipv6: true }, 80, wait, table);
}

/** `v2v-v6` is V2V, IPv6. */
function titleOf(short: string): string {
	return short.toUpperCase().replace('-V6', ', IPv6,');
}

function flowsRow(short: string, path: Path, flows: number, table: Table): Row {
	const onWire = path.to === 'wire';
	return emulatedRow(
		flows === 256 ? `${short}-64-flows` : `${short}-64-${flows}-flows`,
		table,
		`${titleOf(short)} 64 B, ${flows.toLocaleString('en')} flows${onWire ? '' : ', receiver napping'}`,
		path,
		['flood', '--size', '64', '--wait', 'sleep', '--flows', String(flows)],
		floodMetrics,
	);
}

function gsoRow(short: string, path: Path, wait: Wait, table: Table, kind: 'gso' | 'uso' = 'gso'): Row {
	const onWire = path.to === 'wire';
	return emulatedRow(
		onWire ? `${short}-${kind}` : `${short}-${kind}-${wait}`,
		table,
		`${titleOf(short)} 64 KB ${kind === 'uso' ? 'UDP ' : ''}GSO${onWire ? '' : `, receiver ${words[wait]}`}`,
		path,
		['flood', `--${kind}`, '--wait', wait],
		[metrics.throughput, metrics.unsegmented, metrics.cpuPerMillion, metrics.instructions, metrics.loss],
		path.ipv6 ? ['gso', 'ipv6'] : ['gso'],
	);
}

function responseRow(short: string, path: Path, size: number, table: Table): Row {
	return emulatedRow(
		`rr-${short}-${size}`,
		table,
		`request/response ${short.toUpperCase()} ${size} B, both in poll(2)`,
		path,
		['rr', '--size', String(size), '--wait', 'poll'],
		[metrics.transactions, ...metrics.delays('p50', 'p99', 'p999', 'p9999')],
	);
}

/**
 * A load that everybody carries: what it costs then is the fair comparison where cores are shared.
 * @param longer than other runs: 1 in 10,000 frames takes many frames to see.
 */
function pacedRow(name: string, rate: number, table: Table, longer = 1): Row {
	const args = ['flood', '--size', '64', '--wait', 'poll', '--rate', String(rate)];
	return {
		name,
		title: `V2V 64 B at ${rate.toLocaleString('en')} frames/s: cost and delay`,
		table,
		wants: [],
		guests: FEW,
		traffic: ([place], { seconds, warmup }) =>
			emulatedTraffic(place!, V2V, args, { seconds: seconds * longer, warmup }),
		metrics: [
			metrics.cpuPerMillion,
			metrics.instructions,
			...metrics.delays('p50', 'p99', 'p999', 'p9999'),
			metrics.loss,
		],
	};
}

const overloadRow = emulatedRow(
	'overload',
	'usual',
	'V2V 64 B, limit and overload',
	V2V,
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
	floodRow('v2v', V2V, 64, 'sleep', 'quick'),
	floodRow('v2v', V2V, 64, 'poll', 'quick'),
	floodRow('v2v', V2V, 512, 'sleep', 'all'),
	floodRow('v2v', V2V, 512, 'poll', 'all'),
	floodRow('v2v', V2V, 1514, 'sleep', 'usual'),
	floodRow('v2v', V2V, 1514, 'poll', 'all'),
	flowsRow('v2v', V2V, 256, 'usual'),
	flowsRow('v2v', V2V, 10_000, 'all'),
	floodRow6('v2v', V2V, 'sleep', 'usual'),
	floodRow('v2p', V2P, 64, 'sleep', 'quick'),
	floodRow('v2p', V2P, 512, 'sleep', 'all'),
	floodRow('v2p', V2P, 1514, 'sleep', 'all'),
	flowsRow('v2p', V2P, 256, 'all'),
	floodRow6('v2p', V2P, 'sleep', 'all'),
	floodRow('p2v', P2V, 64, 'sleep', 'usual'),
	floodRow('p2v', P2V, 64, 'poll', 'quick'),
	floodRow('p2v', P2V, 512, 'sleep', 'all'),
	floodRow('p2v', P2V, 512, 'poll', 'all'),
	floodRow('p2v', P2V, 1514, 'sleep', 'all'),
	floodRow('p2v', P2V, 1514, 'poll', 'all'),
	flowsRow('p2v', P2V, 256, 'all'),
	floodRow6('p2v', P2V, 'poll', 'all'),
	overloadRow,
	gsoRow('v2v', V2V, 'sleep', 'all'),
	gsoRow('v2v', V2V, 'poll', 'quick'),
	gsoRow('v2p', V2P, 'sleep', 'usual'),
	gsoRow('p2v', P2V, 'poll', 'usual'),
	gsoRow('v2v-v6', { ...V2V, ipv6: true }, 'poll', 'all'),
	gsoRow('v2v', V2V, 'poll', 'all', 'uso'),
	gsoRow('v2p', V2P, 'sleep', 'all', 'uso'),
	pacedRow('v2v-paced-10k', 10_000, 'all', 8),
	pacedRow('v2v-paced', 50_000, 'usual'),
	pacedRow('v2v-paced-100k', 100_000, 'all'),
	responseRow('v2v', V2V, 64, 'quick'),
	responseRow('v2p', V2P, 64, 'usual'),
	tcpRow(true, 'usual'),
	tcpRow(false, 'all'),
	stormRow,
	disruptionRow,
	fanRow(8),
	fanRow(100),
	scaleRow,
];
