/** The slow model of the address book (design 5.4): a list, in the order in which addresses were taken. */
export type Origin = 'static' | 'learned' | 'dhcp' | 'host';

export interface NaiveEntry {
	/** Hexadecimal: 8 digits are IPv4, 32 are IPv6. */
	address: string;
	edge: number;
	origin: Origin;
	expires: number | undefined;
	/** Claimed, and nobody has been told. */
	tentative: boolean;
}

export class NaiveBook {
	entries: NaiveEntry[] = [];
	gateways: string[] = [];
	foreign: { address: string; until: number }[] = [];
	readonly #quota: { 4: number; 6: number };

	constructor(quota: { 4: number; 6: number } = { 4: 4, 6: 8 }) {
		this.#quota = quota;
	}

	/** 0, the wire, for an address of nobody's. */
	ownerOf(address: string): number {
		return this.entries.find(entry => entry.address === address && !entry.tentative)?.edge ?? 0;
	}

	/** Whoever has it, or has claimed it. */
	holderOf(address: string): NaiveEntry | undefined {
		return this.entries.find(entry => entry.address === address);
	}

	hasIpv4(edge: number): boolean {
		return this.entries.some(entry => entry.edge === edge && entry.address.length === 8 && !entry.tentative);
	}

	assign(edge: number, address: string): boolean {
		const holder = this.entries.find(entry => entry.address === address);
		if (holder && holder.edge !== edge && (holder.origin === 'static' || holder.origin === 'host'))
			return false;
		this.take(address, edge, 'static');
		return true;
	}

	/** @returns the reason of the refusal, '' if the slave has the address now, `tentative` if it has claimed it. */
	claim(edge: number, address: string, tentative = false): string {
		const holder = this.holderOf(address);
		if (holder?.edge === edge) return holder.tentative ? 'tentative' : '';
		if (holder) return 'ip-spoof';
		if (this.gateways.includes(address)) return 'gateway-address';
		if (this.foreign.some(other => other.address === address)) return 'duplicate-address';
		const own = this.entries.filter(entry => entry.edge === edge && entry.address.length === address.length);
		if (own.length >= this.#quota[address.length === 8 ? 4 : 6]) {
			const oldest = own.find(entry => entry.origin === 'learned');
			if (!oldest) return 'address-quota';
			this.release(oldest.address);
		}
		this.take(address, edge, 'learned', undefined, tentative);
		return tentative ? 'tentative' : '';
	}

	confirm(address: string): void {
		for (const entry of this.entries) if (entry.address === address) entry.tentative = false;
	}

	lease(edge: number, address: string, expires: number): boolean {
		const holder = this.entries.find(entry => entry.address === address);
		const right = holder && holder.edge !== edge ? ['static', 'dhcp', 'host'] : ['static'];
		if (holder && right.includes(holder.origin)) return false;
		if (this.gateways.includes(address)) return false;
		const leases = this.entries.filter(
			one => one.edge === edge && one.origin === 'dhcp' && one.address.length === address.length,
		);
		if (leases.length >= 16 && !leases.some(one => one.address === address)) return false;
		this.take(address, edge, 'dhcp', expires);
		return true;
	}

	setForeign(address: string, until: number): void {
		this.entries = this.entries.filter(entry => entry.address !== address || entry.origin !== 'learned');
		this.foreign = [...this.foreign.filter(other => other.address !== address), { address, until }];
	}

	expire(now: number): number | undefined {
		this.entries = this.entries.filter(({ expires }) => expires === undefined || expires > now);
		this.foreign = this.foreign.filter(({ until }) => until > now);
		const ends = [
			...this.entries.flatMap(({ expires }) => expires ?? []),
			...this.foreign.map(({ until }) => until),
		];
		return ends.length === 0 ? undefined : Math.min(...ends);
	}

	setHost(addresses: readonly string[]): void {
		this.entries = this.entries.filter(
			({ origin, address }) => origin !== 'host' || addresses.includes(address),
		);
		for (const address of addresses) {
			if (!this.entries.some(entry => entry.address === address && entry.origin === 'host'))
				this.take(address, 1, 'host');
		}
	}

	release(address: string): boolean {
		const before = this.entries.length;
		this.entries = this.entries.filter(entry => entry.address !== address);
		return this.entries.length < before;
	}

	releaseAll(edge: number): void {
		this.entries = this.entries.filter(entry => entry.edge !== edge);
	}

	take(address: string, edge: number, origin: Origin, expires?: number, tentative = false): void {
		this.release(address);
		this.entries.push({ address, edge, origin, expires, tentative });
	}
}
