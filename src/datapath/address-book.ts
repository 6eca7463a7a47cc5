/**
 * Who owns which address, and by what right. The slow path keeps the one book of a port, because it is where
 * claims arrive; forwarder and control follow what `changed` tells them. Pure: no clock, no I/O.
 *
 *   static   given by the user: kept until taken away, never given to another
 *   learned  claimed by use: the oldest gives way when a slave's quota is full
 *   dhcp     given by a server, until its lease ends
 *   host     the master's own: nobody can claim it
 *
 * Beside these it knows addresses that nobody here may claim: gateways, for good, and such as another machine
 * on the LAN has been seen to use, for a while.
 *
 * A claim may be tentative: then the address is taken, as far as others' claims and the quota go, but not yet its
 * slave's, and nobody is told of it.
 */
import type { TokenBuckets } from './token-buckets.js';
import { drop, EDGE_HOST } from './verdict.js';

export type BookOrigin = 'static' | 'learned' | 'dhcp' | 'host';

export interface BookEntry {
	address: string;
	family: 4 | 6;
	edge: number;
	origin: BookOrigin;
	/** When a lease ends, milliseconds since 1970; absent for what has no end. */
	expires?: number;
	/** Claimed, and not yet known to be free. */
	tentative?: true;
}

/** `renewed`: the slave has it already, by another right or for longer now. */
export type BookChange = 'added' | 'renewed' | 'removed';

export interface Quota {
	4: number;
	6: number;
}

/** design: 4 IPv4 and 8 IPv6 addresses a slave, as many as a guest with privacy addresses needs. */
export const QUOTA: Quota = { 4: 4, 6: 8 };

/**
 * Leases of one slave and family. A guest's names bound what honest servers give it (dhcp-identity.ts), but an answer of
 * DHCPv6 may be as long as its sender likes, and whoever hears the question can give one.
 */
export const LEASES_MAX = 16;

/** What `claim` returns when the slave owns the address now. */
export const GRANTED = 0;
/** And when it is to own the address, unless somebody else turns out to have it. */
export const TENTATIVE = 1;
const DROP_IP_SPOOF = drop('ip-spoof');
const DROP_QUOTA = drop('address-quota');
const DROP_GATEWAY = drop('gateway-address');
const DROP_DUPLICATE = drop('duplicate-address');
const DROP_LEARN_BUDGET = drop('learn-budget');

export class AddressBook {
	/** In the order in which addresses were taken, so that the oldest of a slave is its first. */
	readonly #entries = new Map<string, BookEntry>();
	readonly #quota: Quota;
	#gateways: ReadonlySet<string> = new Set();
	/** Addresses of other machines, and when that is forgotten, milliseconds since 1970. */
	readonly #foreign = new Map<string, number>();
	readonly #changed: (entry: BookEntry, change: BookChange) => void;

	/** @param changed is told of tentative entries only that they are removed. */
	constructor(changed: (entry: BookEntry, change: BookChange) => void, quota: Quota = QUOTA) {
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

	/**
	 * A slave uses an address that nobody owns.
	 * @param tentative whether it has to be found out first that nobody has it; `confirm` ends that.
	 * @param budget what an address that is new, and only that, is taken from.
	 * @returns GRANTED, TENTATIVE, or the verdict that drops its frame.
	 */
	claim(edge: number, address: string, family: 4 | 6, tentative = false, budget?: TokenBuckets): number {
		const holder = this.#entries.get(address);
		if (holder?.edge === edge) return holder.tentative ? TENTATIVE : GRANTED;
		if (holder) return DROP_IP_SPOOF;
		if (this.#gateways.has(address)) return DROP_GATEWAY;
		if (this.#foreign.has(address)) return DROP_DUPLICATE;
		const own = this.#own(edge, family);
		const full = own.length >= this.#quota[family];
		const oldest = full ? own.find(({ origin }) => origin === 'learned') : undefined;
		if (full && !oldest) return DROP_QUOTA;
		if (budget?.take(edge, 1) === false) return DROP_LEARN_BUDGET;
		if (oldest) this.release(oldest.address);
		this.#put({ address, family, edge, origin: 'learned', ...(tentative ? { tentative } : {}) });
		return tentative ? TENTATIVE : GRANTED;
	}

	/** Nobody has the address that a slave has claimed: it is its own. */
	confirm(address: string): void {
		const entry = this.#entries.get(address);
		if (!entry?.tentative) return;
		const { tentative: _, ...own } = entry;
		// In its place: the address is as old as its claim.
		this.#entries.set(address, own);
		this.#changed(own, 'added');
	}

	/**
	 * A server has given an address to a slave, until `expires`.
	 * @returns false if somebody has it by a better right, or the slave has too many; then nothing has changed.
	 */
	lease(edge: number, address: string, family: 4 | 6, expires: number): boolean {
		const holder = this.#entries.get(address);
		if (holder && (holder.edge !== edge ? holder.origin !== 'learned' : holder.origin === 'static'))
			return false;
		if (this.#gateways.has(address)) return false;
		const leases = this.#own(edge, family).filter(({ origin }) => origin === 'dhcp');
		if (holder?.origin !== 'dhcp' && leases.length >= LEASES_MAX) return false;
		this.#put({ address, family, edge, origin: 'dhcp', expires });
		return true;
	}

	/** From now on these can't be claimed; who has one already keeps it: the host may well route through a guest. */
	setGateways(addresses: Iterable<string>): void {
		this.#gateways = new Set(addresses);
	}

	/** Another machine uses the address: whoever learned it loses it, and nobody can claim it until then. */
	setForeign(address: string, until: number): void {
		this.#foreign.set(address, until);
		if (this.#entries.get(address)?.origin === 'learned') this.release(address);
	}

	isForeign(address: string): boolean {
		return this.#foreign.has(address);
	}

	/** Forgets what has ended by `now`. @returns when the next thing ends, or undefined. */
	expire(now: number): number | undefined {
		let next: number | undefined;
		for (const [address, until] of this.#foreign) {
			if (until <= now) this.#foreign.delete(address);
			else if (next === undefined || until < next) next = until;
		}
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

	/** In the order in which they were taken. */
	entries(): IterableIterator<BookEntry> {
		return this.#entries.values();
	}

	holderOf(address: string): BookEntry | undefined {
		return this.#entries.get(address);
	}

	/** In the order in which they were taken. A storm of claims comes by here: no list of all. */
	#own(edge: number, family: 4 | 6): BookEntry[] {
		const own: BookEntry[] = [];
		for (const entry of this.#entries.values()) {
			if (entry.edge === edge && entry.family === family) own.push(entry);
		}
		return own;
	}

	#put(entry: BookEntry): void {
		const before = this.#entries.get(entry.address);
		if (before?.edge !== entry.edge) this.release(entry.address);
		this.#entries.delete(entry.address);
		this.#entries.set(entry.address, entry);
		if (entry.tentative) return;
		const isRenewal = before?.edge === entry.edge && !before.tentative;
		this.#changed(entry, isRenewal ? 'renewed' : 'added');
	}
}
