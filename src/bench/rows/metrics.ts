/** What is read off a run, by kind of traffic. */
import type {
	ConnectResult,
	DisruptionResult,
	FanResult,
	FloodResult,
	Histogram,
	LimitedResult,
	ResponseResult,
	Result,
	ScaleResult,
	SearchResult,
	StormResult,
	TcpResult,
} from '../results.js';
import type { Run } from '../run.js';
import type { Metric } from './row.js';

export const framesPerSecond = metric<FloodResult>('frames/s', '/s', 'more', r => r.received / r.elapsed);
export const throughput = metric<FloodResult>('throughput', 'bit/s', 'more', r => (r.bytes * 8) / r.elapsed);
export const cpuPerMillion = metric<FloodResult>(
	'CPU s per million frames',
	's',
	'less',
	(r, run) => (run.ownCpu / Math.max(1, r.totalReceived)) * 1e6,
);
export const instructions = metric<FloodResult>(
	'instructions per frame',
	'',
	'less',
	(r, { instructions: all }) => all && (all.user + all.kernel) / r.totalReceived,
);
export const sleeps = metric<FloodResult>(
	'receiver sleeps per frame',
	'',
	'less',
	r => r.waits / Math.max(1, r.totalReceived),
);
export const loss = metric<FloodResult>(
	'lost of what was sent',
	'%',
	'less',
	r => (100 * r.lost) / Math.max(1, r.totalSent),
);
export const unsegmented = metric<FloodResult>('arrived unsegmented', '%', 'more', r =>
	r.received > 0 ? (100 * r.unsegmented) / r.received : undefined,
);

export const arriving = metric<SearchResult>(
	'frames/s with ≤ 0.5 % loss',
	'/s',
	'more',
	// On a machine that is busy with other things there may be none.
	r => r.rate || undefined,
);
export const goodput = metric<SearchResult>('of that, with twice as much offered', '%', 'more', r =>
	r.rate > 0 ? (100 * r.goodput) / r.rate : undefined,
);

/** The load beside, as it arrived. */
export const loadCarried = metric<ResponseResult>(
	'the load, frames/s',
	'/s',
	'more',
	({ load }) => load?.received,
);
export const loadLoss = metric<ResponseResult>('of the load, lost', '%', 'less', ({ load }) =>
	load && load.sent > 0 ? Math.max(0, 100 * (1 - load.received / load.sent)) : undefined,
);

export const transactions = metric<ResponseResult>(
	'transactions/s',
	'/s',
	'more',
	r => r.transactions / r.elapsed,
);

const quantiles = { p50: 'p50', p99: 'p99', p999: 'p99.9', p9999: 'p99.99' } as const;

export function delays(...which: (keyof typeof quantiles)[]): Metric[] {
	return which.map(key =>
		metric<{ delayNs: Histogram }>(quantiles[key], 'ns', 'less', ({ delayNs }) =>
			// A quantile needs a few samples beyond it.
			delayNs.count * (1 - quantileShares[key]) < 3 ? undefined : delayNs[key],
		),
	);
}

const quantileShares = { p50: 0.5, p99: 0.99, p999: 0.999, p9999: 0.9999 } as const;

export const tcpThroughput = metric<TcpResult>('throughput', 'bit/s', 'more', r => (r.bytes * 8) / r.elapsed);
export const retransmitted = metric<TcpResult>('retransmitted', '', 'less', r => r.retransmits);

export const connections = metric<ConnectResult>(
	'connections/s',
	'/s',
	'more',
	r => r.transactions / r.elapsed,
);

export const deliveries = metric<FanResult>('deliveries/s', '/s', 'more', r => r.deliveries / r.elapsed);
export const neighbourLoss = metric<FanResult>(
	'lost of unicast between two others',
	'%',
	'less',
	r => (100 * Math.max(0, r.neighbourSent - r.neighbourReceived)) / Math.max(1, r.neighbourSent),
);

export const strays = metric<FanResult>('of all copies, for guests that had not joined', '%', 'less', r =>
	r.deliveries + r.strays > 0 ? (100 * r.strays) / (r.deliveries + r.strays) : undefined,
);

/** Jain's index of what two senders brought to one receiver: 1 for equal shares, 0.5 where one has all. */
export const fairness = metric<FanResult>('fairness between the senders', '', 'more', r =>
	r.deliveries + r.alsoDeliveries > 0
		? (r.deliveries + r.alsoDeliveries) ** 2 / (2 * (r.deliveries ** 2 + r.alsoDeliveries ** 2))
		: undefined,
);
export const bothDeliveries = metric<FanResult>(
	'frames/s of both',
	'/s',
	'more',
	r => (r.deliveries + r.alsoDeliveries) / r.elapsed,
);

export const overdrawn = metric<FanResult>(
	'of its limit, what arrives from the one that sends more',
	'%',
	'less',
	({ deliveries, elapsed, limit }) => limit && (100 * deliveries) / elapsed / limit,
);
export const offered = metric<FanResult>(
	'of its limit, what that one sends',
	'%',
	'more',
	({ sent, elapsed, limit }) => limit && (100 * sent) / elapsed / limit,
);
export const otherLoss = metric<FanResult>(
	'of what the other one sends, lost',
	'%',
	'less',
	r => (100 * Math.max(0, r.alsoSent - r.alsoDeliveries)) / Math.max(1, r.alsoSent),
);

export const victimKeeps = metric<StormResult>(
	"left of two others' transactions",
	'%',
	'more',
	r => (100 * r.storm) / Math.max(1, r.nowhere),
);

export const keptAmongMany = metric<ScaleResult>('frames/s, of those among few', '%', 'more', r =>
	share(r.many, r.few),
);
export const keptWithLimits = metric<LimitedResult>('frames/s, of those without limits', '%', 'more', r =>
	share(r.limited, r.unlimited),
);

function share(one: FloodResult, of: FloodResult): number {
	return (100 * (one.received / one.elapsed)) / Math.max(1, of.received / of.elapsed);
}

/** Where the traffic ended before the restart did, nobody knows what more it would have lost. */
const isWhole = ({ restart, elapsed }: DisruptionResult): boolean => restart < elapsed - 1;

export const lostFrames = metric<DisruptionResult>('frames lost', '', 'less', r =>
	isWhole(r) ? r.lost : undefined,
);
export const receiverFull = metric<DisruptionResult>(
	'of them, for which the receiver had no room',
	'',
	'less',
	r => (isWhole(r) ? r.full : undefined),
);
export const outage = metric<DisruptionResult>('as time', 'ms', 'less', r =>
	isWhole(r) ? (1000 * r.lost) / r.rate : undefined,
);
export const lasting = metric<DisruptionResult>(
	'lost after it was plugged in again, as time',
	'ms',
	'less',
	r => (isWhole(r) ? Math.max(0, 1000 * (r.lost / r.rate - r.restart)) : undefined),
);
export const forgedPassed = metric<DisruptionResult>(
	"frames in another guest's name that arrived",
	'',
	'less',
	// Who sent none has shown nothing.
	r => (r.forgedSent > 0 ? r.forged : undefined),
);

function metric<T>(
	name: string,
	unit: string,
	better: Metric['better'],
	of: (result: T, run: Run) => number | undefined,
): Metric {
	return { name, unit, better, of: run => of(run.result as Result as T, run) };
}
