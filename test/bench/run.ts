/** One run: one row on one peer, with everything that says whether it may be compared with another. */
import { exec } from '../../src/lab/command.js';
import { usage } from './cpu.js';
import { emulatedTraffic } from './emulated.js';
import type { Ground } from './ground.js';
import type { Peer } from './peers/peer.js';
import type { Row } from './rows.js';
import { tcpTraffic } from './tcp.js';

/** Nanoseconds, to 1.6 %. */
export interface Histogram {
	count: number;
	mean: number;
	p50: number;
	p90: number;
	p99: number;
	p999: number;
	p9999: number;
	max: number;
}

/** What `guest flood` prints. Without `total`: within the measured window. */
export interface FloodResult {
	elapsed: number;
	sent: number;
	received: number;
	bytes: number;
	unsegmented: number;
	totalSent: number;
	totalReceived: number;
	refused: number;
	lost: number;
	reordered: number;
	duplicate: number;
	foreign: number;
	waits: number;
	senderCpuNs: number;
	receiverCpuNs: number;
	cpuNs: number;
	delayNs: Histogram;
}

/** What `guest rr` prints. */
export interface ResponseResult {
	elapsed: number;
	transactions: number;
	lost: number;
	refused: number;
	waits: number;
	cpuNs: number;
	delayNs: Histogram;
}

/** What iperf3 says about TCP between two Linux stacks. */
export interface TcpResult {
	elapsed: number;
	bytes: number;
	retransmits: number;
}

export type Result = FloodResult | ResponseResult | TcpResult;

/** Where the hypervisor had the two CPUs: `mixed` when it moved them meanwhile, `single` when there is one. */
export type State = 'near' | 'far' | 'mixed' | 'single';

export interface Run {
	row: string;
	peer: string;
	block: number;
	state: State;
	/** Cache line from one CPU to the other, before and after, ns. */
	crossingNs: [number, number];
	/** CPUs' worth of somebody else's work meanwhile, and of the hypervisor's. */
	foreign: number;
	stolen: number;
	/** CPU seconds of the guests, of the peer's processes and of ksoftirqd, warm-up included. */
	ownCpu: number;
	instructions: { user: number; kernel: number } | undefined;
	result: Result;
}

export interface Timing {
	seconds: number;
	warmup: number;
}

export interface Site {
	peer: Peer;
	ground: Ground;
	/** For files of perf(1). */
	folder: string;
}

/** What one kind of traffic brought, and the CPU seconds of those who made it. */
export interface Traffic {
	result: Result;
	cpu: number;
	instructions?: { user: number; kernel: number } | undefined;
}

/** @throws IpvtapError when the peer or what makes the traffic fails. */
export async function measure(row: Row, site: Site, block: number, timing: Timing): Promise<Run> {
	const { peer, ground } = site;
	const { guest } = ground.programs;
	const first = await crossing(guest);
	const before = usage(peer.pids());
	const traffic = await (row.mode === 'tcp' ? tcpTraffic : emulatedTraffic)(row, site, timing);
	const after = usage(peer.pids());
	const last = await crossing(guest);
	const elapsed = after.at - before.at;
	const ownCpu = traffic.cpu + after.processes - before.processes + after.softirq - before.softirq;
	const known = ownCpu + after.self - before.self;
	return {
		row: row.name,
		peer: peer.name,
		block,
		state: stateOf(first, last),
		crossingNs: [first, last],
		foreign: Math.max(0, after.busy - before.busy - known) / elapsed,
		stolen: (after.stolen - before.stolen) / elapsed,
		ownCpu,
		instructions: traffic.instructions,
		result: traffic.result,
	};
}

async function crossing(guest: string): Promise<number> {
	return (JSON.parse(await exec(guest, ['probe'])) as { crossingNs: number }).crossingNs;
}

/** Measured 35-75 ns near and 180-240 far; 0 stands for a machine with one CPU. */
const NEAR_NS = 110;

function stateOf(before: number, after: number): State {
	if (before === 0) return 'single';
	if (before < NEAR_NS !== after < NEAR_NS) return 'mixed';
	return before < NEAR_NS ? 'near' : 'far';
}
