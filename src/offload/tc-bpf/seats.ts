/**
 * Who of a port's slaves gets copies of what is for groups, as the programs know it: a seat for each slave, and who has
 * asked for which group. Seats are taken from below, so that the programs go through few.
 *
 * Unless every slave has a seat, and is known to want this or that, no copies are made in the kernel: what is for groups is
 * the forwarder's then.
 */
import { familyOf } from '../../datapath/address-key.js';
import { HIGH_4, HIGH_6, type Wanted } from '../../datapath/groups.js';
import type { SlaveGroups } from '../offload.js';
import type { KernelObject } from './kernel-object.js';
import {
	indexBytes,
	listenerBytes,
	mapShapes,
	SEATS_MAX,
	type SeatValues,
	seatBytes,
	sumCounters,
} from './layout.js';

type Maps = KernelObject['maps'];

interface Seat extends SeatValues {
	/** Undefined: there was none left. */
	number: number | undefined;
	/** Whether anybody has said what groups it wants. */
	told: boolean;
	/** Keys of what it listens to, by their bytes in words. */
	listens: Map<string, Uint8Array>;
}

export class Seats {
	readonly #maps: Maps;
	/** By edge. */
	readonly #seats = new Map<number, Seat>();
	readonly #taken = new Set<number>();

	constructor(maps: Maps) {
		this.#maps = maps;
	}

	/** One more than the highest number of a seat that is taken; 0 where no copies can be made. */
	get count(): number {
		const all = [...this.#seats.values()];
		const ready = all.every(({ number, told }) => number !== undefined && told);
		return ready ? Math.max(-1, ...this.#taken) + 1 : 0;
	}

	/** A slave comes, or its limits change. @param limited whether it has an `rx`. */
	set(edge: number, ifindex: number, limited: boolean): void {
		let seat = this.#seats.get(edge);
		if (!seat) {
			const wishes = { allIpv4: true, allIpv6: true, exact: false, told: false, listens: new Map() };
			seat = { ...{ edge, ifindex, limited, ipv4: 0, number: this.#take() }, ...wishes };
			this.#seats.set(edge, seat);
		}
		this.#write(Object.assign(seat, { ifindex, limited }));
	}

	remove(edge: number): void {
		const seat = this.#seats.get(edge);
		if (!seat) return;
		const { number, listens } = seat;
		this.#seats.delete(edge);
		for (const key of listens.values()) this.#maps.listeners.delete(key);
		if (number === undefined) return;
		this.#maps.seats.set(indexBytes(number), new Uint8Array(this.#maps.seats.valueBytes));
		this.#taken.delete(number);
		for (const standing of this.#seats.values()) {
			if (standing.number !== undefined) continue;
			this.#write(Object.assign(standing, { number: this.#take() }));
			return;
		}
	}

	/** An address changes hands. Who has none of IPv4 gets no copies of it. */
	own(address: string, from: number | undefined, to: number | undefined): void {
		if (familyOf(address) === 6 || from === to) return;
		for (const [edge, by] of [
			[from, -1],
			[to, 1],
		] as const) {
			const seat = edge === undefined ? undefined : this.#seats.get(edge);
			if (seat) this.#write(Object.assign(seat, { ipv4: seat.ipv4 + by }));
		}
	}

	/** What it joins is known before it no longer gets everything, and the other way round. */
	setGroups(edge: number, { inet, inet6, exact }: SlaveGroups): void {
		const seat = this.#seats.get(edge);
		if (!seat) return;
		const keys = [...keysOf(HIGH_4, inet, edge), ...keysOf(HIGH_6, inet6, edge)];
		const wanted = new Map(keys.map(key => [key.join(), key]));
		const { listeners } = this.#maps;
		for (const [name, key] of wanted) if (!seat.listens.has(name)) listeners.set(key, LISTENS);
		const wishes = { allIpv4: inet === 'all', allIpv6: inet6 === 'all', exact, told: true };
		this.#write(Object.assign(seat, wishes));
		for (const [name, key] of seat.listens) if (!wanted.has(name)) listeners.delete(key);
		seat.listens = wanted;
	}

	/** Copies for the slave that were not tried, because it had just had no room. */
	notTried(edge: number): number {
		const number = this.#seats.get(edge)?.number;
		if (number === undefined) return 0;
		const value = this.#maps.held.get(indexBytes(number));
		return value ? (sumCounters(value, mapShapes.held.value)[1] as number) : 0;
	}

	/** The lowest that is free, as if nobody had sat there. */
	#take(): number | undefined {
		for (let number = 0; number < SEATS_MAX; number++) {
			if (this.#taken.has(number)) continue;
			this.#taken.add(number);
			this.#maps.held.set(indexBytes(number), new Uint8Array(this.#maps.held.valueBytes));
			return number;
		}
		return undefined;
	}

	#write(seat: Seat): void {
		if (seat.number !== undefined) this.#maps.seats.set(indexBytes(seat.number), seatBytes(seat));
	}
}

function keysOf(high: number, wanted: Wanted, edge: number): Uint8Array[] {
	return wanted === 'all' ? [] : wanted.lows.map(low => listenerBytes(high, low, edge));
}

const LISTENS = Uint8Array.of(1);
