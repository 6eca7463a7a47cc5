/**
 * Longest prefix match, for the frame path: a table of exact keys per prefix length, asked from the longest to the
 * shortest. Hosts use few lengths (a default route, their subnets, single addresses), so that a look-up is a handful
 * of probes; it allocates nothing, and a change touches one entry. Linux's own trie (net/ipv4/fib_trie.c) is better
 * only where there are many lengths, as on a router of the backbone.
 *
 * A prefix leads to a number from 1 to 65534, whose meaning is the caller's; nothing found gives 0.
 */
import { AddressTable } from '../address-table.js';

export class Fib {
	readonly #words: 1 | 4;
	readonly #seed: number;
	/** Lengths in use and their tables, longest first. */
	#lengths: number[] = [];
	#tables: AddressTable[] = [];

	/** @param words length of an address in 32-bit words: 1 for IPv4, 4 for IPv6. */
	constructor(words: 1 | 4, seed: number) {
		this.#words = words;
		this.#seed = seed;
	}

	get size(): number {
		return this.#tables.reduce((sum, table) => sum + table.size, 0);
	}

	/** The number of the longest prefix that the IPv4 address has, or 0. */
	find(address: number): number {
		const lengths = this.#lengths;
		const tables = this.#tables;
		for (let index = 0; index < tables.length; index++) {
			const found = (tables[index] as AddressTable).find(
				address & (MASKS[lengths[index] as number] as number),
			);
			if (found !== 0) return found;
		}
		return 0;
	}

	/** The same for the 16-byte address at `at` of `frame`. */
	find6(frame: DataView, at: number): number {
		const lengths = this.#lengths;
		const tables = this.#tables;
		const a = frame.getInt32(at);
		const b = frame.getInt32(at + 4);
		const c = frame.getInt32(at + 8);
		const d = frame.getInt32(at + 12);
		for (let index = 0; index < tables.length; index++) {
			const word = (lengths[index] as number) << 2;
			const found = (tables[index] as AddressTable).findWords(
				a & (MASKS6[word] as number),
				b & (MASKS6[word + 1] as number),
				c & (MASKS6[word + 2] as number),
				d & (MASKS6[word + 3] as number),
			);
			if (found !== 0) return found;
		}
		return 0;
	}

	/** Adds or changes a prefix; bits of `address` beyond its length don't count. */
	set(address: Int32Array, length: number, value: number): void {
		let index = this.#lengths.findIndex(other => other <= length);
		if (index < 0) index = this.#lengths.length;
		if (this.#lengths[index] !== length) {
			this.#lengths.splice(index, 0, length);
			this.#tables.splice(index, 0, new AddressTable(this.#words, this.#seed));
		}
		this.#tables[index]?.set(masked(address, length), value);
	}

	/** @returns whether the prefix was there. */
	delete(address: Int32Array, length: number): boolean {
		const index = this.#lengths.indexOf(length);
		const table = this.#tables[index];
		if (!table?.delete(masked(address, length))) return false;
		if (table.size === 0) {
			this.#lengths.splice(index, 1);
			this.#tables.splice(index, 1);
		}
		return true;
	}
}

/** The first `length` bits of a word; shifting by 32 shifts by nothing in JavaScript. */
function mask(length: number): number {
	return length <= 0 ? 0 : length >= 32 ? -1 : -1 << (32 - length);
}

const MASKS = Int32Array.from({ length: 33 }, (_, length) => mask(length));
/** Four words per length. */
const MASKS6 = Int32Array.from({ length: 129 * 4 }, (_, index) => mask((index >> 2) - (index & 3) * 32));

function masked(address: Int32Array, length: number): Int32Array {
	return address.map((word, index) => word & mask(length - index * 32));
}
