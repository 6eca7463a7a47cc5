/**
 * Who owns which address, and by what right. The slow path keeps the one book of a port, because it is where
 * claims arrive; forwarder and control follow what `changed` tells them. Pure: no clock, no I/O.
 *
 *   static   given by the user: kept until taken away, never given to another
 *   learned  claimed by use: the oldest gives way when a slave's quota is full
 *   host     the master's own: nobody can claim it
 */
import { EDGE_HOST } from './verdict.js';

export type BookOrigin = 'static' | 'learned' | 'dhcp' | 'host';

export interface BookEntry {
	address: string;
	family: 4 | 6;
	edge: number;
	origin: BookOrigin;
	/** When a lease ends, milliseconds since 1970; absent for what has no end. */
	expires?: number;
}

export interface Quota {
	4: number;
	6: number;
}

/** design: 4 IPv4 and 8 IPv6 addresses a slave, as many as a guest with privacy addresses needs. */
export const QUOTA: Quota = { 4: 4, 6: 8 };

export class AddressBook {
	/** In the order in which addresses were taken, so that the oldest of a slave is its first. */
	readonly #entries = new Map<string, BookEntry>();
	readonly #quota: Quota;
	readonly #changed: (entry: BookEntry, change: 'added' | 'removed') => void;

	constructor(changed: (entry: BookEntry, change: 'added' | 'removed') => void, quota: Quota = QUOTA) {
		this.#changed = changed;
		this.#quota = quota;
	}

	/**
	 * Gives an address to a slave, taking it from one that only learned it.
	 * @returns who holds it by a better right, or undefined after success.
	 */
	assign(edge: number, address: string, family: 4 | 6): BookEntry | undefined {
		const holder = this.#entries.get(address);
		if (holder && holder.edge !== edge && (holder.origin === 'static' || holder.origin === 'host'))
			return holder;
		this.#put({ address, family, edge, origin: 'static' });
		return undefined;
	}

	/** A slave uses an address that nobody owns. @returns whether it does now. */
	claim(edge: number, address: string, family: 4 | 6): boolean {
		const holder = this.#entries.get(address);
		if (holder) return holder.edge === edge;
		const own = [...this.#entries.values()].filter(entry => entry.edge === edge && entry.family === family);
		if (own.length >= this.#quota[family]) {
			const oldest = own.find(({ origin }) => origin === 'learned');
			if (!oldest) return false;
			this.release(oldest.address);
		}
		this.#put({ address, family, edge, origin: 'learned' });
		return true;
	}

	/**
	 * A server has given an address to a slave, until `expires`.
	 * @returns false if somebody has it by a better right; then nothing has changed.
	 */
	lease(edge: number, address: string, family: 4 | 6, expires: number): boolean {
		const holder = this.#entries.get(address);
		if (holder && (holder.edge !== edge ? holder.origin !== 'learned' : holder.origin === 'static'))
			return false;
		this.#put({ address, family, edge, origin: 'dhcp', expires });
		return true;
	}

	/** Takes back the leases that have ended by `now`. @returns when the next one ends, or undefined. */
	expire(now: number): number | undefined {
		let next: number | undefined;
		for (const { address, expires } of [...this.#entries.values()]) {
			if (expires === undefined) continue;
			if (expires <= now) this.release(address);
			else if (next === undefined || expires < next) next = expires;
		}
		return next;
	}

	/** Sets what the host owns on the master; whoever held one of these loses it, and it is said. */
	setHost(addresses: readonly { address: string; family: 4 | 6 }[]): void {
		const wanted = new Set(addresses.map(({ address }) => address));
		for (const { address, edge } of [...this.#entries.values()]) {
			if (edge === EDGE_HOST && !wanted.has(address)) this.release(address);
		}
		for (const { address, family } of addresses) {
			if (this.#entries.get(address)?.edge !== EDGE_HOST) {
				this.#put({ address, family, edge: EDGE_HOST, origin: 'host' });
			}
		}
	}

	/** @returns whether the address was in the book. */
	release(address: string): boolean {
		const entry = this.#entries.get(address);
		if (!entry) return false;
		this.#entries.delete(address);
		this.#changed(entry, 'removed');
		return true;
	}

	releaseAll(edge: number): void {
		for (const entry of [...this.#entries.values()]) {
			if (entry.edge === edge) this.release(entry.address);
		}
	}

	holderOf(address: string): BookEntry | undefined {
		return this.#entries.get(address);
	}

	#put(entry: BookEntry): void {
		this.release(entry.address);
		this.#entries.set(entry.address, entry);
		this.#changed(entry, 'added');
	}
}
