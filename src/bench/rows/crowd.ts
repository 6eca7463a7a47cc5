/** Rows with many receivers, and with many guests. */
import { FEW_GUESTS, MANY_GUESTS } from '../ground.js';
import { scaleTraffic } from '../traffic/compared.js';
import { fanTraffic } from '../traffic/fan.js';
import * as metrics from './metrics.js';
import type { Row, Table } from './row.js';

export function fanRow(receivers: number): Row {
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

/** @param every of how many guests one has joined the group. */
export function groupRow(receivers: number, every: number, table: Table): Row {
	return {
		...fanRow(receivers),
		name: `group-${receivers}`,
		title: `multicast among ${receivers} guests, ${Math.floor(receivers / every)} of them members`,
		table,
		traffic: ([place], timing) => fanTraffic(place!, timing, every),
		metrics: [metrics.deliveries, metrics.strays, metrics.neighbourLoss],
	};
}

export function scaleRow(guests: number, table: Table): Row {
	return {
		name: `scale-${guests}`,
		title: `V2V 64 B among ${guests} guests`,
		table,
		wants: ['many'],
		guests: [FEW_GUESTS, guests],
		traffic: ([few, many], timing) => scaleTraffic(few!, many!, timing),
		metrics: [metrics.keptAmongMany],
	};
}

export const manyRow: Row = {
	...fanRow(MANY_GUESTS - 1),
	table: 'all',
	guests: [FEW_GUESTS, MANY_GUESTS],
	traffic: ([, many], timing) => fanTraffic(many!, timing),
};
