/**
 * Exact addresses to edges, for the frame path: open addressing with linear probing over typed arrays, so that
 * a look-up costs a multiplication and usually one cache line. Deletion moves later entries back instead of
 * leaving tombstones, which keeps look-ups short however long a port lives. One thread owns a table.
 *
 * A look-up of an unknown address gives 0, which is EDGE_WIRE: whoever isn't known is on the wire.
 */
export class AddressTable {
	readonly #words: number;
	readonly #seed: number;
	#mask: number;
	#size = 0;
	#keys: Int32Array;
	/** 0 marks a free slot, so an edge is stored as edge + 1. */
	#edges: Uint16Array;

	/**
	 * @param words length of a key in 32-bit words: 1 for IPv4 (or an ifindex), 4 for IPv6.
	 * @param seed makes it hard for a guest to choose addresses that all land in one slot.
	 */
	constructor(words: 1 | 4, seed: number) {
		this.#words = words;
		this.#seed = seed | 1;
		this.#mask = CAPACITY_MIN - 1;
		this.#keys = new Int32Array(CAPACITY_MIN * words);
		this.#edges = new Uint16Array(CAPACITY_MIN);
	}

	get size(): number {
		return this.#size;
	}

	/** Edge that owns the IPv4 address, or 0. */
	find(key: number): number {
		const keys = this.#keys;
		const edges = this.#edges;
		const mask = this.#mask;
		let slot = mix(Math.imul(key, this.#seed)) & mask;
		for (;;) {
			const edge = edges[slot] as number;
			if (edge === 0) return 0;
			if (keys[slot] === key) return edge - 1;
			slot = (slot + 1) & mask;
		}
	}

	/** Edge that owns the 16-byte address at `at` of `frame`, or 0. */
	find6(frame: DataView, at: number): number {
		return this.findWords(
			frame.getInt32(at),
			frame.getInt32(at + 4),
			frame.getInt32(at + 8),
			frame.getInt32(at + 12),
		);
	}

	/** The same for an address given as its four words. */
	findWords(a: number, b: number, c: number, d: number): number {
		const keys = this.#keys;
		const edges = this.#edges;
		const mask = this.#mask;
		let slot = this.#hash4(a, b, c, d) & mask;
		for (;;) {
			const edge = edges[slot] as number;
			if (edge === 0) return 0;
			const k = slot << 2;
			if (keys[k + 3] === d && keys[k + 2] === c && keys[k + 1] === b && keys[k] === a) return edge - 1;
			slot = (slot + 1) & mask;
		}
	}

	/** Adds or changes an entry. `key` has as many words as the table's keys. */
	set(key: Int32Array, edge: number): void {
		if ((this.#size + 1) * 2 > this.#mask + 1) this.#grow();
		const slot = this.#slotOf(key);
		if (this.#edges[slot] === 0) this.#size++;
		this.#put(slot, key, edge + 1);
	}

	/** Removes an entry. @returns whether it was there. */
	delete(key: Int32Array): boolean {
		let hole = this.#slotOf(key);
		if (this.#edges[hole] === 0) return false;
		this.#size--;
		// An entry may move into the hole unless its own home lies between the hole and where it is (cyclically).
		for (let slot = (hole + 1) & this.#mask; this.#edges[slot] !== 0; slot = (slot + 1) & this.#mask) {
			const home = this.#home(this.#keyAt(slot));
			if (((slot - home) & this.#mask) < ((slot - hole) & this.#mask)) continue;
			this.#put(hole, this.#keyAt(slot), this.#edges[slot] as number);
			hole = slot;
		}
		this.#edges[hole] = 0;
		return true;
	}

	#slotOf(key: Int32Array): number {
		let slot = this.#home(key);
		while (this.#edges[slot] !== 0 && !this.#equals(slot, key)) slot = (slot + 1) & this.#mask;
		return slot;
	}

	#equals(slot: number, key: Int32Array): boolean {
		for (let word = 0; word < this.#words; word++) {
			if (this.#keys[slot * this.#words + word] !== key[word]) return false;
		}
		return true;
	}

	#home(key: Int32Array): number {
		const [a = 0, b = 0, c = 0, d = 0] = key;
		return (this.#words === 1 ? mix(Math.imul(a, this.#seed)) : this.#hash4(a, b, c, d)) & this.#mask;
	}

	#hash4(a: number, b: number, c: number, d: number): number {
		const seed = this.#seed;
		return mix(Math.imul(mix(Math.imul(a ^ seed, MULTIPLIER) ^ b) ^ c, seed) ^ Math.imul(d, MULTIPLIER));
	}

	#keyAt(slot: number): Int32Array {
		return this.#keys.slice(slot * this.#words, (slot + 1) * this.#words);
	}

	#put(slot: number, key: Int32Array, stored: number): void {
		this.#keys.set(key, slot * this.#words);
		this.#edges[slot] = stored;
	}

	#grow(): void {
		const keys = this.#keys;
		const edges = this.#edges;
		const capacity = edges.length * 2;
		this.#mask = capacity - 1;
		this.#keys = new Int32Array(capacity * this.#words);
		this.#edges = new Uint16Array(capacity);
		for (let slot = 0; slot < edges.length; slot++) {
			if (edges[slot] === 0) continue;
			const key = keys.subarray(slot * this.#words, (slot + 1) * this.#words);
			this.#put(this.#slotOf(key), key, edges[slot] as number);
		}
	}
}

const CAPACITY_MIN = 64;
/** 2^32 divided by the golden ratio: spreads consecutive keys (Knuth, TAOCP 3, 6.4). */
const MULTIPLIER = 0x9e3779b1 | 0;

/** The high bits of a product are the good ones; this brings them down to where the mask looks. */
function mix(hash: number): number {
	return (hash ^ (hash >>> 15)) | 0;
}
