/**
 * Whose DHCP client identifiers are whose. A server knows its clients by what they call themselves, so who uses
 * another's name gets his address, or gives it back for him. First come, first served: an identifier is its
 * guest's while it has a lease, or has been heard of in the last minutes. Pure: no clock.
 */
export interface Identity {
	readonly edge: number;
	/** Milliseconds of the caller's clock; then somebody else may use it. */
	until: number;
	/** What a server has leased to it, where one identifier has one address. */
	address?: string;
}

/** As long as a client may be silent between two messages of one exchange (RFC 2131, 4.1; RFC 8415, 7.6: 120 s). */
const QUIET_MS = 120_000;
/**
 * What one guest may call itself at a time: firmware, boot loader, installer and system may each have a name of
 * their own, and a DHCPv6 client one for each association. Bounds the leases that one guest can take.
 */
const IDENTITIES_MAX = 8;

export class Identities {
	readonly #byName = new Map<string, Identity>();
	readonly #names = new Map<number, Set<string>>();

	/** A guest calls itself so. @returns undefined if another guest does, or this one has too many names already. */
	claim(edge: number, name: string, now: number): Identity | undefined {
		const known = this.#byName.get(name);
		if (known && known.until > now) {
			if (known.edge !== edge) return undefined;
			known.until = Math.max(known.until, now + QUIET_MS);
			return known;
		}
		if (known) this.#forgetName(known.edge, name);
		const names = this.#names.get(edge) ?? new Set();
		for (const other of names) {
			if ((this.#byName.get(other) as Identity).until <= now) this.#forgetName(edge, other);
		}
		if (names.size >= IDENTITIES_MAX) return undefined;
		const identity = { edge, until: now + QUIET_MS };
		this.#byName.set(name, identity);
		this.#names.set(edge, names.add(name));
		return identity;
	}

	/** Forgets a slave that has gone. */
	forget(edge: number): void {
		for (const name of this.#names.get(edge) ?? []) this.#byName.delete(name);
		this.#names.delete(edge);
	}

	#forgetName(edge: number, name: string): void {
		this.#byName.delete(name);
		this.#names.get(edge)?.delete(name);
	}
}
