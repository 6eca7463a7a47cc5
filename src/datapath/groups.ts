/**
 * Which slave wants which group: one table per port, from group MAC to slaves, because a MAC is what a guest's NIC
 * filters by, so what IGMP, MLD and QEMU's rx-filter all come down to. Pure: no clock, no I/O.
 *
 *   rx-filter    QEMU knows what the guest's driver has asked its NIC for: exact, link-local groups included
 *   reports      IGMP and MLD, each for its family: what the guest's stack has joined, and not yet left
 *   neither      all groups of the family
 *
 * A report may lie only to its sender's own loss. Memberships age unless they are reported again (RFC 3376, 8.4);
 * when the last one ends like that, its guest may be a system that doesn't answer, and nothing is known of it any
 * more; after it has left its last group by saying so, it is known to have none.
 */
import { addressText } from './address-key.js';
import { EDGES_MAX } from './verdict.js';

export type Family = 4 | 6;

/** What QEMU's `query-rx-filter` says about multicast. */
export interface RxFilter {
	/** All of it: wanted so, promiscuous, or more groups than the device has room for. */
	all: boolean;
	/** Group MACs, in lower case with colons. */
	macs: readonly string[];
}

/** What a slave wants of one family. */
export type Wanted =
	| 'all'
	| {
			/** As they are known: addresses from reports, MACs from an rx-filter. */
			names: string[];
			/** The last four bytes of their MACs. */
			lows: number[];
	  };

/** RFC 3376, 8.4 and RFC 3810, 9.4: twice the query interval, and a query's time to be answered. */
export const MEMBERSHIP_MS = 260_000;
/** A query's answers come spread over a second; before that, what isn't reported yet may be wanted all the same. */
export const SETTLE_MS = 2_000;
/** Groups of one slave and family: more than a virtio NIC's filter holds (MAC_TABLE_ENTRIES in QEMU). */
export const GROUPS_MAX = 64;

export class Groups {
	/** 1 where an edge gets every group of the family. */
	readonly all4 = new Uint8Array(EDGES_MAX).fill(1);
	readonly all6 = new Uint8Array(EDGES_MAX).fill(1);
	/** 1 where the table is the whole truth, link-local groups included. */
	readonly exact = new Uint8Array(EDGES_MAX);
	readonly #slaves = new Map<number, Slave>();
	/** By the last four bytes of the group's MAC. */
	readonly #members4 = new Map<number, Set<number>>();
	readonly #members6 = new Map<number, Set<number>>();
	/** Slaves whose wishes have changed since they were last asked for. */
	readonly changed = new Set<number>();

	/** A slave begins, or another guest begins to use it: nothing is known. @param settledAt when silence means something. */
	open(edge: number, settledAt = 0): void {
		const filter = this.#slaves.get(edge)?.filter;
		this.close(edge);
		this.#slaves.set(edge, { edge, settledAt, filter, 4: unknown(), 6: unknown() });
		this.#renew(edge);
		this.changed.add(edge);
	}

	close(edge: number): void {
		const slave = this.#slaves.get(edge);
		if (!slave) return;
		for (const family of families) {
			for (const low of slave[family].lows) this.#remove(family, low, edge);
			this.#all(family)[edge] = 1;
		}
		this.exact[edge] = 0;
		this.#slaves.delete(edge);
		this.changed.delete(edge);
	}

	/** Takes an rx-filter, or its loss. */
	setFilter(edge: number, filter: RxFilter | undefined): void {
		const slave = this.#slaves.get(edge);
		if (!slave) return;
		slave.filter = filter;
		this.#renew(edge);
		this.changed.add(edge);
	}

	/** Takes what another port has heard the same slave want, and believes it for good. */
	restore(edge: number, family: Family, wanted: Wanted): void {
		const slave = this.#slaves.get(edge);
		if (!slave) return;
		slave.settledAt = 0;
		const side = slave[family];
		side.known = wanted !== 'all';
		side.groups.clear();
		const { names, lows } = wanted === 'all' ? { names: [], lows: [] } : wanted;
		for (const [index, name] of names.entries())
			side.groups.set(name, { name, low: lows[index] as number, expires: Number.POSITIVE_INFINITY });
		this.#renewFamily(slave, family);
	}

	hasFilter(edge: number): boolean {
		return this.#slaves.get(edge)?.filter !== undefined;
	}

	/**
	 * The slave has sent a report of this family, and `join` and `leave` have said what was in it: now that counts. A
	 * report may have a thousand records, each of which would make the table anew.
	 */
	heard(edge: number, family: Family): void {
		const slave = this.#slaves.get(edge);
		if (!slave) return;
		const side = slave[family];
		if (side.known && !side.stale) return;
		side.known = true;
		this.#renewFamily(slave, family);
	}

	/** @param at where the group's address lies in `frame`. */
	join(edge: number, family: Family, frame: DataView, at: number, now: number): void {
		const side = this.#slaves.get(edge)?.[family];
		if (!side || !isGroup(family, frame, at)) return;
		const key = keyAt(family, frame, at);
		const member = side.groups.get(key);
		if (member) {
			member.expires = now + MEMBERSHIP_MS;
			return;
		}
		if (side.groups.size >= GROUPS_MAX) {
			side.refused++;
			side.overflowUntil = now + MEMBERSHIP_MS;
		} else {
			const low = lowOf(family, frame, at);
			side.groups.set(key, { low, expires: now + MEMBERSHIP_MS });
		}
		side.stale = true;
	}

	leave(edge: number, family: Family, frame: DataView, at: number): void {
		const side = this.#slaves.get(edge)?.[family];
		if (side?.groups.delete(keyAt(family, frame, at))) side.stale = true;
	}

	/** Forgets what has aged. @returns when something will next, or undefined. */
	expire(now: number): number | undefined {
		let next: number | undefined;
		const due = (at: number): void => {
			if (at > now && (next === undefined || at < next)) next = at;
		};
		for (const slave of this.#slaves.values()) {
			const settles = !slave.settled && slave.settledAt <= now;
			if (settles) slave.settled = true;
			due(slave.settledAt);
			for (const family of families) {
				const ended = endOf(slave[family], now);
				if (ended || settles) this.#renewFamily(slave, family);
				for (const { expires } of slave[family].groups.values()) due(expires);
				due(slave[family].overflowUntil);
			}
		}
		return next;
	}

	/** Slaves that have asked for the group MAC; undefined if none has. */
	members(high: number, low: number): ReadonlySet<number> | undefined {
		if (high === HIGH_4) return this.#members4.get(low);
		return high === HIGH_6 ? this.#members6.get(low) : undefined;
	}

	wanted(edge: number, family: Family): Wanted {
		const slave = this.#slaves.get(edge);
		const lows = slave ? lowsOf(slave, family) : 'all';
		return lows === 'all' ? 'all' : { names: namesOf(slave as Slave, family), lows };
	}

	/** How many joins went beyond the quota. */
	refused(edge: number): number {
		const slave = this.#slaves.get(edge);
		return slave ? slave[4].refused + slave[6].refused : 0;
	}

	#renew(edge: number): void {
		const slave = this.#slaves.get(edge) as Slave;
		this.exact[edge] = slave.filter ? 1 : 0;
		for (const family of families) this.#renewFamily(slave, family);
	}

	/** Makes the table say what follows from all that is known of the slave. */
	#renewFamily(slave: Slave, family: Family): void {
		const { edge } = slave;
		const wanted = lowsOf(slave, family);
		const lows = new Set(wanted === 'all' ? [] : wanted);
		const side = slave[family];
		for (const low of side.lows) if (!lows.has(low)) this.#remove(family, low, edge);
		for (const low of lows) if (!side.lows.has(low)) this.#add(family, low, edge);
		side.lows = lows;
		side.stale = false;
		this.#all(family)[edge] = wanted === 'all' ? 1 : 0;
		this.changed.add(edge);
	}

	#add(family: Family, low: number, edge: number): void {
		const table = this.#members(family);
		const members = table.get(low);
		if (members) members.add(edge);
		else table.set(low, new Set([edge]));
	}

	#remove(family: Family, low: number, edge: number): void {
		const members = this.#members(family).get(low);
		if (members?.delete(edge) && members.size === 0) this.#members(family).delete(low);
	}

	#members(family: Family): Map<number, Set<number>> {
		return family === 4 ? this.#members4 : this.#members6;
	}

	#all(family: Family): Uint8Array {
		return family === 4 ? this.all4 : this.all6;
	}
}

/** The first two bytes of IPv4's and IPv6's group MACs (RFC 1112, 6.4; RFC 2464, 7). */
export const HIGH_4 = 0x0100;
export const HIGH_6 = 0x3333;

interface Slave {
	edge: number;
	settledAt: number;
	settled?: boolean;
	filter: RxFilter | undefined;
	4: Side;
	6: Side;
}

/** What is known of a slave in one family. */
interface Side {
	/** Has it reported anything, since its guest came? */
	known: boolean;
	groups: Map<number | string, Member>;
	/** While in the future, some of its groups are not in the list. */
	overflowUntil: number;
	refused: number;
	/** What of it is in the table. */
	lows: Set<number>;
	/** Whether the table doesn't say yet what was joined and left. */
	stale: boolean;
}

interface Member {
	/** As another port knows it; otherwise its key tells. */
	name?: string;
	low: number;
	expires: number;
}

const families = [4, 6] as const;

function unknown(): Side {
	return { known: false, groups: new Map(), overflowUntil: 0, refused: 0, lows: new Set(), stale: false };
}

/** The groups that a slave wants, by the last four bytes of their MACs. */
function lowsOf(slave: Slave, family: Family): 'all' | number[] {
	const { filter, settledAt, settled } = slave;
	if (filter) return filter.all ? 'all' : macsOf(filter, family).map(lowOfMac);
	const { known, groups, overflowUntil } = slave[family];
	if (!known || overflowUntil !== 0 || (settledAt !== 0 && !settled)) return 'all';
	return Array.from(groups.values(), ({ low }) => low);
}

/** Their names, in the same order. */
function namesOf({ filter, ...sides }: Slave, family: Family): string[] {
	if (filter) return macsOf(filter, family);
	return Array.from(sides[family].groups, ([key, { name }]) => name ?? textOf(key));
}

function macsOf({ macs }: RxFilter, family: Family): string[] {
	return macs.filter(mac => mac.startsWith(family === 4 ? '01:00:5e:' : '33:33:'));
}

function lowOfMac(mac: string): number {
	return Number.parseInt(mac.replaceAll(':', '').slice(4), 16) | 0;
}

/** @returns whether anything has ended by now. */
function endOf(side: Side, now: number): boolean {
	let ended = false;
	for (const [key, { expires }] of side.groups) {
		if (expires > now) continue;
		side.groups.delete(key);
		ended = true;
	}
	// Silence is not a leave.
	if (ended && side.groups.size === 0) side.known = false;
	if (side.overflowUntil === 0 || side.overflowUntil > now) return ended;
	side.overflowUntil = 0;
	return true;
}

/** A report may name anything; 224.0.0.0/4 and ff00::/8 are groups. */
function isGroup(family: Family, frame: DataView, at: number): boolean {
	return family === 4 ? frame.getInt32(at) >>> 28 === 14 : frame.getUint8(at) === 0xff;
}

function keyAt(family: Family, frame: DataView, at: number): number | string {
	const first = frame.getInt32(at);
	if (family === 4) return first;
	return `${first},${frame.getInt32(at + 4)},${frame.getInt32(at + 8)},${frame.getInt32(at + 12)}`;
}

function textOf(key: number | string): string {
	const words = typeof key === 'number' ? [key] : key.split(',').map(Number);
	const bytes = new DataView(new ArrayBuffer(words.length * 4));
	for (const [index, word] of words.entries()) bytes.setInt32(index * 4, word);
	return addressText(bytes, 0, words.length === 1 ? 4 : 6);
}

function lowOf(family: Family, frame: DataView, at: number): number {
	return family === 4 ? 0x5e000000 | (frame.getInt32(at) & 0x7fffff) : frame.getInt32(at + 12);
}
