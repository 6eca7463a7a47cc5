/** Rows in which something else goes on, or goes wrong. */
import { FEW_GUESTS } from '../ground.js';
import { limitedTraffic } from '../traffic/compared.js';
import { restartTraffic, unpluggedTraffic, upgradeTraffic } from '../traffic/disruption.js';
import { type Path, V2P } from '../traffic/emulated.js';
import { floodedTraffic, overdrawnTraffic, SHARE } from '../traffic/fan.js';
import { commonHalf, findCommonLimit, findLimit, ownHalf } from '../traffic/limit.js';
import { loadedTraffic } from '../traffic/loaded.js';
import { stormTraffic } from '../traffic/storm.js';
import { titleOf } from './emulated.js';
import * as metrics from './metrics.js';
import type { Row, Table } from './row.js';

const FEW = [FEW_GUESTS] as const;

export const stormRow: Row = {
	name: 'storm',
	title: 'storm of 20,000 broadcasts/s',
	table: 'usual',
	wants: [],
	guests: FEW,
	traffic: ([place], timing) => stormTraffic(place!, timing),
	metrics: [metrics.victimKeeps],
};

export const limitedRow: Row = {
	name: 'limited',
	title: 'V2V 64 B, both with limits that are not reached',
	table: 'all',
	wants: ['daemon'],
	guests: FEW,
	traffic: ([place], timing) => limitedTraffic(place!, timing),
	metrics: [metrics.keptWithLimits],
};

export const disruptionRow: Row = {
	name: 'disruption',
	title: 'kill -9 and restart of the daemon, V2V at 10,000 frames/s',
	table: 'usual',
	wants: ['daemon'],
	guests: FEW,
	unquiet: true,
	traffic: ([place]) => restartTraffic(place!),
	metrics: [metrics.lostFrames, metrics.receiverFull, metrics.outage, metrics.forgedPassed],
};

export function unpluggedRow(short: string, path: Path): Row {
	return {
		name: `unplugged-${short}`,
		title: `the wire unplugged for 200 ms, ${titleOf(short)} at 10,000 frames/s`,
		table: 'all',
		wants: [],
		guests: FEW,
		unquiet: true,
		traffic: ([place]) => unpluggedTraffic(place!, path),
		metrics: path === V2P ? [metrics.lasting] : [metrics.lostFrames, metrics.outage, metrics.forgedPassed],
	};
}

/** @param longer than other runs: 1 in 10,000 answers takes many to see. */
export function loadedRow(name: string, whose: 'bridge' | 'peer', table: Table, longer = 1): Row {
	const own = whose === 'peer';
	const half = own ? ownHalf : commonHalf;
	const find = own ? findLimit : findCommonLimit;
	return {
		name,
		title: `request/response V2V 64 B, while two others exchange half of the ${whose}'s${own ? ' own' : ''} limit`,
		table,
		wants: [],
		guests: FEW,
		prepare: ([place]) => find(place!),
		traffic: ([place], { seconds, warmup }) =>
			loadedTraffic(place!, half(place!), { seconds: seconds * longer, warmup }),
		metrics: [
			metrics.transactions,
			...metrics.delays('p50', 'p99', 'p999', 'p9999'),
			metrics.loadCarried,
			metrics.loadLoss,
		],
	};
}

/** Guests 0 and 2 may send the same; guest 0 sends twice that. */
export const overdrawnRow: Row = {
	name: 'overdrawn',
	title: `two guests with a limit of ${SHARE.toLocaleString('en')} frames/s, where the peer has limits; one sends twice that`,
	table: 'all',
	wants: [],
	guests: FEW,
	traffic: ([place], timing) => overdrawnTraffic(place!, timing),
	metrics: [metrics.fairness, metrics.overdrawn, metrics.offered, metrics.otherLoss],
};

/** To this version, from programs that share nothing with its own but what they do. */
export const upgradeRow: Row = {
	...disruptionRow,
	name: 'upgrade',
	title: "upgrade of the daemon, another version's programs replaced, V2V at 10,000 frames/s",
	table: 'all',
	wants: ['daemon', 'programs'],
	needs: { program: 'clang-14', package: 'clang-14 llvm-14 libbpf-dev' },
	prepare: ([place]) => place!.peer.downgrade!(),
	traffic: ([place]) => upgradeTraffic(place!),
};

export const floodedRow: Row = {
	name: 'flooded',
	title: 'two guests flood a third',
	table: 'all',
	wants: [],
	guests: FEW,
	traffic: ([place], timing) => floodedTraffic(place!, timing),
	metrics: [metrics.fairness, metrics.bothDeliveries],
};
