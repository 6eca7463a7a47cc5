/**
 * Who owns which address, as it goes on in time: the book of who has what by which right, and what follows when
 * that changes. New addresses are probed for and announced, leases end, learned ones are asked after and forgotten,
 * and when another machine on the LAN turns out to use one, it is said. A guest that merely begins to use an address
 * has it only when nobody has answered, and loses it again if somebody does so soon after.
 */
import { AddressBook, type BookChange, type BookEntry, type Quota, TENTATIVE } from '../address-book.js';
import { familyOf } from '../address-key.js';
import type { TokenBuckets } from '../token-buckets.js';
import { drop, EDGE_HOST, EDGE_SLAVES } from '../verdict.js';
import { Ageing } from './ageing.js';
import { Announcer } from './announcer.js';

const DROP_DUPLICATE = drop('duplicate-address');
const DROP_TENTATIVE = drop('tentative');

/**
 * How a slave comes to want an address: its guest speaks from it, or asks whether somebody has it. Or it had it
 * before, or nobody on the wire can have it: then nobody is asked.
 */
export type Manner = 'use' | 'detect' | 'have';

/** As the bridge driver's ageing_time, ms. */
export const DEFAULT_AGE_MS = 300_000;
/** How long an address that another machine was seen to use can't be claimed. */
export const FOREIGN_MS = 60_000;
/**
 * Who has been said to be gone is believed to be for so long, whatever still comes from him: that was queued before, or
 * control says soon that somebody else is there.
 */
const GONE_MS = 500;
/** One duplicate is reported no more often than this. */
const REPORT_MS = 10_000;

export interface AddressesOptions {
	/** Milliseconds since 1970; must not go back. */
	now: () => number;
	changed: (entry: BookEntry, change: BookChange) => void;
	/** A slave has claimed an address that the LAN is asked about; or, not `open`, that has come to nothing. */
	claimed: (address: string, edge: number, open: boolean) => void;
	/** A slave has lost the address, or its claim. @param reason the verdict that drops what still waits to go on from there. */
	gone: (address: string, reason: number) => void;
	duplicate: (entry: BookEntry, mac: string) => void;
	/** Nobody here can claim the address until then, milliseconds since 1970. */
	foreign: (address: string, until: number) => void;
	/** Puts a probe or an announcement on the wire. */
	say: (address: string, what: 'probe' | 'announce') => void;
	/** Asks a guest whether it still uses an address. */
	ask: (address: string, edge: number) => void;
	quota?: Quota;
}

export class Addresses {
	readonly #now: () => number;
	readonly #book: AddressBook;
	readonly #announcer: Announcer;
	readonly #ageing: Ageing;
	readonly #options: AddressesOptions;
	/** Until when nothing is believed of slaves whose guest has gone. */
	readonly #goneUntil = new Map<number, number>();
	/** When each duplicate was last reported. */
	readonly #reported = new Map<string, number>();
	/** When something is due; what changes anything sets it to 0. */
	#due = Number.POSITIVE_INFINITY;

	constructor(options: AddressesOptions) {
		const { now, say, ask, quota } = options;
		this.#options = options;
		this.#now = now;
		this.#announcer = new Announcer((address, step) => {
			if (step === 'confirm') this.#book.confirm(address);
			else say(address, step);
		});
		this.#ageing = new Ageing(DEFAULT_AGE_MS, ask, address => this.#book.release(address));
		this.#book = new AddressBook((entry, change) => this.#changed(entry, change), quota);
	}

	holderOf(address: string): BookEntry | undefined {
		return this.#book.holderOf(address);
	}

	/**
	 * A slave wants an address that is not its own.
	 * @param budget what a new address is taken from.
	 * @returns GRANTED, TENTATIVE, or the verdict that drops its frame.
	 */
	claim(edge: number, address: string, manner: Manner, budget?: TokenBuckets): number {
		const isNew = this.#book.holderOf(address) === undefined;
		if (isNew && this.#isGone(edge)) return DROP_TENTATIVE;
		const tentative = manner !== 'have';
		const answer = this.#book.claim(edge, address, familyOf(address), tentative, budget);
		if (answer < 0 || !isNew) return answer;
		// Who speaks is alive, whether or not we have been told yet.
		this.#announcer.setLive(edge, true);
		this.#due = 0;
		if (answer === TENTATIVE) {
			this.#announcer.claimed(address, edge, this.#now(), manner === 'detect');
			this.#options.claimed(address, edge, true);
		} else this.#announcer.taken(address, edge, this.#now());
		return answer;
	}

	/** Gives a slave a static address. @returns who has it by a better right, or undefined. */
	assign(edge: number, address: string): BookEntry | undefined {
		const holder = this.#book.assign(edge, address, familyOf(address));
		if (!holder) this.#announcer.taken(address, edge, this.#now());
		return holder;
	}

	/** Takes an address back from the slave, if it has it. */
	release(edge: number, address: string): void {
		if (this.#book.holderOf(address)?.edge === edge) this.#book.release(address);
	}

	/** Takes an address from whoever has merely learned it, and is not that slave. */
	takeBack(edge: number, address: string): void {
		const holder = this.#book.holderOf(address);
		if (holder?.origin === 'learned' && holder.edge !== edge) this.#book.release(address);
	}

	releaseAll(edge: number): void {
		this.#announcer.setLive(edge, false);
		this.#goneUntil.delete(edge);
		this.#book.releaseAll(edge);
	}

	/** A server has given the slave an address. @param expires milliseconds since 1970. */
	lease(edge: number, address: string, expires: number): void {
		if (this.#isGone(edge)) return;
		const isNew = this.#book.holderOf(address)?.edge !== edge;
		const leased = this.#book.lease(edge, address, familyOf(address), expires);
		if (leased && isNew) this.#announcer.taken(address, edge, this.#now());
		this.#due = 0;
	}

	/** A lease was given back, or taken away; what the slave has by another right it keeps. */
	endLease(edge: number, address: string): void {
		const holder = this.#book.holderOf(address);
		if (holder?.edge === edge && holder.origin === 'dhcp') this.#book.release(address);
	}

	/** What the slave had learned, or been leased, in an earlier life of this port. */
	restore(edge: number, address: string, expires: number | undefined): void {
		if (expires !== undefined) this.lease(edge, address, expires);
		else this.claim(edge, address, 'have');
	}

	setHost(addresses: readonly string[]): void {
		this.#book.setHost(addresses.map(address => ({ address, family: familyOf(address) })));
	}

	setGateways(addresses: readonly string[]): void {
		this.#book.setGateways(addresses);
	}

	/** @param age milliseconds that a learned address is believed in without a proof. */
	setAge(age: number): void {
		this.#ageing.setAge(age);
	}

	/** The slave's TAP has been opened, or closed: who is gone has learned nothing, and needn't be found. */
	setLive(edge: number, live: boolean): void {
		if (this.#announcer.isLive(edge) === live) return;
		this.#announcer.setLive(edge, live);
		if (live) this.#goneUntil.delete(edge);
		else this.#goneUntil.set(edge, this.#now() + GONE_MS);
		for (const entry of [...this.#book.entries()]) {
			if (entry.edge !== edge) continue;
			if (live) this.#announcer.taken(entry.address, edge, this.#now());
			else if (entry.origin !== 'static') this.#book.release(entry.address);
		}
		this.#due = 0;
	}

	/** The LAN must hear of every address anew: the master has another MAC, or its link was away. */
	announceAll(): void {
		for (const { address, edge, tentative } of this.#book.entries()) {
			if (edge < EDGE_SLAVES) continue;
			// The question may not have been heard.
			if (tentative) this.#announcer.claimed(address, edge, this.#now(), false);
			else this.#announcer.returned(address, edge, this.#now());
		}
		this.#due = 0;
	}

	/** A guest answered that it still has the address. @returns whether it had been asked. */
	proven(address: string): boolean {
		return this.#ageing.proven(address, this.#now());
	}

	/** Another machine says that a slave's address, or one that a slave has claimed, is its own. */
	contest(address: string, mac: string): void {
		const entry = this.#book.holderOf(address);
		if (!entry || entry.edge === EDGE_HOST) return;
		const now = this.#now();
		const isRecent = this.#announcer.forget(address) || entry.tentative === true;
		if (isRecent) this.#options.foreign(address, now + FOREIGN_MS);
		if (now - (this.#reported.get(address) ?? Number.NEGATIVE_INFINITY) >= REPORT_MS) {
			this.#reported.set(address, now);
			this.#options.duplicate(entry, mac);
		}
		// Who was there first keeps it; whom the user gave it to has it by a better right.
		if (isRecent) this.setForeign(address, now + FOREIGN_MS);
		this.#due = 0;
	}

	/** @param until milliseconds since 1970. */
	setForeign(address: string, until: number): void {
		this.#book.setForeign(address, until);
		this.#due = 0;
	}

	/** Does what is due. @returns milliseconds until something is again, or Infinity. */
	tick(): number {
		const now = this.#now();
		if (now >= this.#due) {
			const ends = [this.#book.expire(now), this.#ageing.tick(now), this.#announcer.tick(now)];
			this.#due = Math.min(...ends.map(end => end ?? Number.POSITIVE_INFINITY));
		}
		return this.#due - now;
	}

	#isGone(edge: number): boolean {
		const until = this.#goneUntil.get(edge);
		return until !== undefined && this.#now() < until;
	}

	#changed(entry: BookEntry, change: BookChange): void {
		const { address, edge, origin, tentative } = entry;
		this.#due = 0;
		if (change === 'removed') {
			this.#announcer.forget(address);
			this.#reported.delete(address);
			this.#options.gone(address, this.#book.isForeign(address) ? DROP_DUPLICATE : DROP_TENTATIVE);
		}
		if (tentative) {
			this.#options.claimed(address, edge, false);
			return;
		}
		if (change !== 'removed' && origin === 'learned') this.#ageing.learned(address, edge, this.#now());
		else this.#ageing.removed(address);
		this.#options.changed(entry, change);
	}
}
