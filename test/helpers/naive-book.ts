/** The slow model of the address book (design 5.4): a list, in the order in which addresses were taken. */
export type Origin = 'static' | 'learned' | 'host';

export interface NaiveEntry {
	/** Hexadecimal: 8 digits are IPv4, 32 are IPv6. */
	address: string;
	edge: number;
	origin: Origin;
}

export class NaiveBook {
	entries: NaiveEntry[] = [];
	readonly #quota: { 4: number; 6: number };

	constructor(quota: { 4: number; 6: number } = { 4: 4, 6: 8 }) {
		this.#quota = quota;
	}

	/** 0, the wire, for an address of nobody's. */
	ownerOf(address: string): number {
		return this.entries.find(entry => entry.address === address)?.edge ?? 0;
	}

	hasIpv4(edge: number): boolean {
		return this.entries.some(entry => entry.edge === edge && entry.address.length === 8);
	}

	assign(edge: number, address: string): boolean {
		const holder = this.entries.find(entry => entry.address === address);
		if (holder && holder.edge !== edge && holder.origin !== 'learned') return false;
		this.take(address, edge, 'static');
		return true;
	}

	claim(edge: number, address: string): boolean {
		const holder = this.entries.find(entry => entry.address === address);
		if (holder) return holder.edge === edge;
		const own = this.entries.filter(entry => entry.edge === edge && entry.address.length === address.length);
		if (own.length >= this.#quota[address.length === 8 ? 4 : 6]) {
			const oldest = own.find(entry => entry.origin === 'learned');
			if (!oldest) return false;
			this.release(oldest.address);
		}
		this.take(address, edge, 'learned');
		return true;
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

	take(address: string, edge: number, origin: Origin): void {
		this.release(address);
		this.entries.push({ address, edge, origin });
	}
}
