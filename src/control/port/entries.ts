/** The addresses of one slave as `list` and the API show them, kept up from what the slow path reports. Pure. */
import { familyOf } from '../addresses.js';
import type { AddressEntry } from '../model.js';
import type { AddressReport } from './frame-threads.js';

export class Entries {
	readonly #entries = new Map<string, AddressEntry>();
	readonly #remembered: readonly AddressEntry[];

	/** @param remembered what the slave had in an earlier life of the port: what comes back is as old as it was. */
	constructor(remembered: readonly AddressEntry[] = []) {
		this.#remembered = remembered;
	}

	/** In the order in which they came. */
	list(): AddressEntry[] {
		return [...this.#entries.values()];
	}

	/** @returns the entry as it is now, or was. @param now milliseconds since 1970. */
	apply({ address, origin, change, expires }: AddressReport, now: number): AddressEntry {
		const before = this.#entries.get(address) ?? this.#remembered.find(entry => entry.address === address);
		const entry: AddressEntry = {
			address,
			family: familyOf(address),
			origin: origin === 'host' ? 'static' : origin,
			...(origin === 'static' ? {} : { since: before?.since ?? new Date(now).toISOString() }),
			...(expires === undefined ? {} : { expires: new Date(expires).toISOString() }),
		};
		if (change === 'removed') this.#entries.delete(address);
		else this.#entries.set(address, entry);
		return entry;
	}

	/** Another machine uses the address too. */
	contested(address: string, mac: string): void {
		const entry = this.#entries.get(address);
		if (entry) this.#entries.set(address, { ...entry, duplicate: mac });
	}
}
