/** Rows in which something else goes on, or goes wrong. */
import { FEW_GUESTS } from '../ground.js';
import { limitedTraffic } from '../traffic/compared.js';
import { restartTraffic, unpluggedTraffic } from '../traffic/disruption.js';
import { type Path, V2P } from '../traffic/emulated.js';
import { floodedTraffic } from '../traffic/fan.js';
import { loadedTraffic } from '../traffic/loaded.js';
import { stormTraffic } from '../traffic/storm.js';
import { titleOf } from './emulated.js';
import * as metrics from './metrics.js';
import type { Row } from './row.js';

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
	metrics: [metrics.lostFrames, metrics.outage, metrics.forgedPassed],
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

export const loadedRow: Row = {
	name: 'rr-loaded',
	title: "request/response V2V 64 B, while two others exchange half of the bridge's limit",
	table: 'usual',
	wants: [],
	guests: FEW,
	traffic: ([place], timing) => loadedTraffic(place!, timing),
	metrics: [metrics.transactions, ...metrics.delays('p50', 'p99', 'p999'), metrics.loadLoss],
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
