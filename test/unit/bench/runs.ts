/** Runs as the benchmark keeps them, for tests of what is made of them. */
import type { FloodResult } from '../../../src/bench/results.js';
import type { Run } from '../../../src/bench/run.js';

/** @param rate frames/s that arrived. */
export function floodRun(peer: string, at: number, rate: number, changes: Partial<Run> = {}): Run {
	const result: FloodResult = {
		elapsed: 1,
		sent: rate,
		received: rate,
		bytes: rate * 64,
		unsegmented: 0,
		totalSent: rate,
		totalReceived: rate,
		refused: 0,
		lost: 0,
		reordered: 0,
		duplicate: 0,
		foreign: 0,
		forged: 0,
		waits: 0,
		senderCpuNs: 0,
		receiverCpuNs: 0,
		cpuNs: 0,
		delayNs: { count: 0, mean: 0, p50: 0, p90: 0, p99: 0, p999: 0, p9999: 0, max: 0 },
	};
	return {
		row: 'v2v-64-sleep',
		peer,
		block: 0,
		at,
		state: 'near',
		crossingNs: [40, 40],
		foreign: 0,
		stolen: 0,
		unquiet: false,
		ownCpu: 1,
		instructions: undefined,
		result,
		...changes,
	};
}
