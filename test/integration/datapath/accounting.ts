/** Where a guest's frames went, as seen from outside, beside what ipvtap's counters say of them. */

import { call } from '../../../src/control/client.js';
import type { SlaveStats, Statistics } from '../../../src/control/model.js';
import { until } from '../../../src/lab/wait.js';
import { requireLink } from '../../../src/sys/netlink/link.js';
import { type Received, within } from '../../helpers/tap-guest.js';
import { far, type Guest, type Site } from './site.js';

export interface Books {
	/** Frames that the TAP's own device says it took from the guest. */
	written: number;
	stats: SlaveStats;
	/** Frames that rings of the port had no room for; they belong to nobody. */
	ringFull: number;
	/** Copies of multicast that could not be handed to the wire. */
	lostAtWire: number;
}

/** What one frame led to. `drops` counts the guest's own by reason. */
export interface Outcome {
	/** `sent`, or the errno's name with which the TAP refused it. */
	write: string;
	wire: Received[];
	victim: Received[];
	/** Frames that the kernel took and ipvtap never saw. */
	unseen: number;
	drops: Record<string, number>;
}

export async function books(
	site: Pick<Site, 'product' | 'host'>,
	guest: Pick<Guest, 'name' | 'slave'>,
): Promise<Books> {
	const read = async (): Promise<Books> => {
		const { masters, slaves } = await call<Statistics>(site.product.socket, 'GET', '/v1/stats');
		const stats = slaves.find(({ name }) => name === guest.name)!.stats;
		const written = within(site.host, () => requireLink(guest.slave.ifindex).stats.rx.packets);
		const { drops } = masters[0]!.stats;
		const atSlaves = slaves.reduce((total, slave) => total + (slave.stats.drops['copy-lost'] ?? 0), 0);
		return {
			written,
			stats,
			ringFull: drops['ring-full'] ?? 0,
			lostAtWire: (drops['copy-lost'] ?? 0) - atSlaves,
		};
	};
	return until('the backlog to be empty', 20_000, async () => {
		const now = await read();
		return now.stats.queued === 0 ? now : undefined;
	});
}

/**
 * Waits until all that `sender` has sent is dealt with, on both paths: a broadcast and a unicast frame each to
 * the victim and to the wire arrive behind it. @returns what came before them.
 */
export function settle(site: Site, sender: Guest, victim: Guest): Pick<Outcome, 'wire' | 'victim'> {
	const broadcast = site.marker(sender, site.everybody);
	sender.end.send(broadcast);
	const atVictim = victim.end.receiveUntil(same(broadcast));
	const atWire = site.far.receiveUntil(same(broadcast));
	const toVictim = site.marker(sender, victim);
	const toWire = site.marker(sender, far);
	sender.end.send(toVictim);
	sender.end.send(toWire);
	atVictim.push(...victim.end.receiveUntil(same(toVictim)));
	atWire.push(...site.far.receiveUntil(same(toWire)));
	const mine = [broadcast, toVictim, toWire];
	const others = ({ frame }: Received): boolean => !mine.some(marker => same(marker)({ frame }));
	return { wire: atWire.filter(others), victim: atVictim.filter(others) };
}
/** Frames that `settle` sends. */
export const markers = 3;

/** Sends one frame and follows it to its end. */
export async function follow(
	site: Site,
	sender: Guest,
	victim: Guest,
	frame: Uint8Array,
	vnet?: Uint8Array,
): Promise<Outcome> {
	const before = await books(site, sender);
	const write = sender.end.trySend(frame, vnet);
	const { wire, victim: atVictim } = settle(site, sender, victim);
	const after = await books(site, sender);
	return {
		write,
		wire: wire.filter(fromPort),
		victim: atVictim,
		unseen: after.written - before.written - (after.stats.tx.packets - before.stats.tx.packets),
		drops: difference(after.stats.drops, before.stats.drops),
	};
}

/** Not what the host's own stack sends by the master, which has nothing to do with any guest. */
export function fromPort({ frame }: Received): boolean {
	const type = frame.readUInt16BE(12);
	// MLD reports and neighbour discovery of the host's own link-local address: source fe80::…:fe00:2 made of its MAC.
	return !(type === 0x86dd && frame.subarray(22, 38).toString('hex') === 'fe80000000000000001a00fffe000002');
}

export function difference(
	after: Record<string, number>,
	before: Record<string, number>,
): Record<string, number> {
	return Object.fromEntries(
		Object.entries(after)
			.map(([reason, count]) => [reason, count - (before[reason] ?? 0)] as const)
			.filter(([, count]) => count !== 0),
	);
}

export function sum(drops: Record<string, number>): number {
	return Object.values(drops).reduce((total, count) => total + count, 0);
}

/** The payload of a marker is nobody else's, whatever MAC-NAT has done to the header. */
function same(marker: Buffer): (received: Pick<Received, 'frame'>) => boolean {
	return ({ frame }) => frame.subarray(26).equals(marker.subarray(26));
}
