/** Rows of guest.c: frames as fast as they go, at a rate, and one request after another. */
import { FEW_GUESTS } from '../ground.js';
import { emulatedTraffic, type Path, V2V } from '../traffic/emulated.js';
import { findLimit, ownHalf } from '../traffic/limit.js';
import * as metrics from './metrics.js';
import type { Metric, Row, Table } from './row.js';

type Wait = 'sleep' | 'poll';

const FEW = [FEW_GUESTS] as const;

const words = { sleep: 'napping', poll: 'in poll(2)' } as const;

const floodMetrics: readonly Metric[] = [
	metrics.framesPerSecond,
	metrics.cpuPerMillion,
	metrics.instructions,
	metrics.sleeps,
	metrics.loss,
];

export function floodRow(short: string, path: Path, size: number, wait: Wait, table: Table): Row {
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
export function floodRow6(short: string, path: Path, wait: Wait, table: Table): Row {
	return floodRow(`${short}-v6`, { ...path, ipv6: true }, 80, wait, table);
}

export function flowsRow(short: string, path: Path, flows: number, table: Table): Row {
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

export function gsoRow(
	short: string,
	path: Path,
	wait: Wait,
	table: Table,
	kind: 'gso' | 'uso' = 'gso',
): Row {
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

export function responseRow(short: string, path: Path, size: number, table: Table): Row {
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
export function pacedRow(name: string, rate: number, table: Table, longer = 1): Row {
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

/** Each peer as busy as it is at half of what it can. @param longer as for {@link pacedRow}. */
export function halfRow(longer: number): Row {
	const words = (rate: number): string[] => ['flood', '--wait', 'poll', '--rate', String(Math.round(rate))];
	return {
		name: 'v2v-half',
		title: "V2V 64 B at half of the peer's own limit: delay",
		table: 'all',
		wants: [],
		guests: FEW,
		prepare: ([place]) => findLimit(place!),
		traffic: ([place], { seconds, warmup }) =>
			emulatedTraffic(place!, V2V, words(ownHalf(place!)), { seconds: seconds * longer, warmup }),
		metrics: [metrics.framesPerSecond, ...metrics.delays('p50', 'p99', 'p999', 'p9999'), metrics.loss],
	};
}

export const overloadRow = emulatedRow(
	'overload',
	'usual',
	'V2V 64 B, limit and overload',
	V2V,
	['flood', '--size', '64', '--wait', 'sleep', '--search'],
	[metrics.arriving, metrics.goodput],
);

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

/** `v2v-v6` is V2V, IPv6. */
export function titleOf(short: string): string {
	return short.toUpperCase().replace('-V6', ', IPv6,');
}
