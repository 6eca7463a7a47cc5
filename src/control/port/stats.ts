/** Counters of the frame threads, turned round to how their readers count. Pure. */
import type { EdgeCounters } from '../../datapath/counters.js';
import type { LinkCounter } from '../../sys/netlink/link.js';
import type { SlaveStats } from '../model.js';

export function noStats(): SlaveStats {
	return { rx: { packets: 0, bytes: 0 }, tx: { packets: 0, bytes: 0 }, drops: {}, queued: 0 };
}

/**
 * A slave's counters from its guest's side.
 * @param device what the TAP sent to its guest: the kernel alone knows what the guest read, and what it dropped
 * because the guest didn't. What it would have dropped, too, was not tried.
 */
export function edgeStats(edge: EdgeCounters, device: LinkCounter): SlaveStats {
	const stats = noStats();
	stats.rx = { packets: device.packets, bytes: device.bytes };
	stats.tx = edge.in;
	stats.queued = edge.queued;
	addDrops(stats, edge);
	count(stats, 'limit-rx', edge.rxLimited);
	count(stats, 'receiver-full', device.dropped + edge.notTried);
	return stats;
}

/** Adds an edge to a port's totals; only the wire's traffic counts as the port's. */
export function addStats(total: SlaveStats, edge: EdgeCounters, isWire: boolean): void {
	if (isWire) {
		const { packets, bytes } = edge.ignored;
		total.rx = { packets: edge.in.packets - packets, bytes: edge.in.bytes - bytes };
		total.tx = edge.out;
	}
	total.queued += edge.queued;
	// By receiver, so that the copies that were refused are among them.
	const { 'limit-rx': _, ...drops } = edge.drops;
	addDrops(total, { ...edge, drops });
	count(total, 'limit-rx', edge.rxLimited);
}

function addDrops(stats: SlaveStats, edge: EdgeCounters): void {
	for (const [reason, times] of Object.entries(edge.drops)) count(stats, reason, times);
	count(stats, 'copy-lost', edge.copiesLost);
	count(stats, 'ring-full', edge.ringDrops);
}

function count(stats: SlaveStats, reason: string, times: number): void {
	if (times > 0) stats.drops[reason] = (stats.drops[reason] ?? 0) + times;
}
