/**
 * Theory of operation. A token bucket for each edge: tokens come at a steady rate up to the burst, and what passes
 * takes as many as it costs. Whatever finds a token left passes, and may leave the bucket in debt, which the rate
 * pays back. So a frame longer than what is left, or than the whole burst, needs no rule of its own, the rate holds
 * all the same, and over any time at most burst + rate × time + one frame passes (of `tc-tbf`'s and libvirt's
 * buckets the strict ones would never let a frame through that is longer than the burst).
 *
 * All of an edge lies together in one typed array. An edge without a limit costs one read of it, and no look at
 * the clock; for the others the clock is read once a batch at the most. Each thread has its own.
 *
 *      edge × WORDS   rate (per millisecond; 0: no limit) | burst | tokens | when they were counted | charged
 */
import { EDGES_MAX } from './verdict.js';

/** A limit as the frame threads, and an offload, are told it. */
export interface Bucket {
	/** Bytes, frames or addresses a second. */
	rate: number;
	/** As many at once after a rest. */
	burst: number;
}

/** Writes milliseconds that never go back into the first place. */
export type ReadClock = (into: Float64Array) => void;

/** Time that stands still from one `expire` to the next, so that all frames of a batch share one look at the clock. */
export class BatchClock {
	readonly #read: ReadClock;
	readonly #now = new Float64Array(1);
	#fresh = false;

	constructor(read: ReadClock) {
		this.#read = read;
	}

	/** A new batch begins. */
	expire(): void {
		this.#fresh = false;
	}

	now(): number {
		if (!this.#fresh) {
			this.#read(this.#now);
			this.#fresh = true;
		}
		return this.#now[0] as number;
	}
}

export class TokenBuckets {
	readonly #clock: BatchClock;
	readonly #words = new Float64Array(EDGES_MAX * WORDS);

	constructor(clock: BatchClock) {
		this.#clock = clock;
	}

	/** Limits an edge, or lifts its limit. A limit that only changes takes no tokens away but those above the burst. */
	set(edge: number, bucket: Bucket | undefined): void {
		const words = this.#words;
		const at = edge * WORDS;
		if (bucket === undefined) {
			words.fill(0, at, at + WORDS);
			return;
		}
		if (words[at + RATE] === 0) {
			words[at + TOKENS] = bucket.burst;
			words[at + COUNTED] = this.#clock.now();
			words[at + CHARGED] = -1;
		} else {
			// What has come in until now came at the old rate; what doesn't fit the new burst is lost with the next look.
			this.#fill(at);
		}
		words[at + RATE] = bucket.rate / 1000;
		words[at + BURST] = bucket.burst;
	}

	limits(edge: number): boolean {
		return this.#words[edge * WORDS + RATE] !== 0;
	}

	/** @returns whether it may pass; then it has been paid for. */
	take(edge: number, cost: number): boolean {
		const at = edge * WORDS;
		if (this.#words[at + RATE] === 0) return true;
		this.#fill(at);
		const tokens = this.#words[at + TOKENS] as number;
		if (tokens <= 0) return false;
		this.#words[at + TOKENS] = tokens - cost;
		return true;
	}

	/** The same for what never costs more than the burst: it owes nothing that others would have to wait for. */
	takeWithinBurst(edge: number, cost: number): boolean {
		return this.take(edge, Math.min(cost, this.#words[edge * WORDS + BURST] as number));
	}

	/**
	 * Takes what has passed elsewhere, asked or not, off a limited edge's tokens.
	 * @param total of all that ever has; what it was at the first call is not charged.
	 */
	charge(edge: number, total: number): void {
		const words = this.#words;
		const at = edge * WORDS;
		const before = words[at + CHARGED] as number;
		words[at + CHARGED] = total;
		if (before < 0 || total <= before) return;
		this.#fill(at);
		words[at + TOKENS] = (words[at + TOKENS] as number) - (total - before);
	}

	#fill(at: number): void {
		const words = this.#words;
		const now = this.#clock.now();
		const gained = (now - (words[at + COUNTED] as number)) * (words[at + RATE] as number);
		words[at + TOKENS] = Math.min(words[at + BURST] as number, (words[at + TOKENS] as number) + gained);
		words[at + COUNTED] = now;
	}
}

const RATE = 0;
const BURST = 1;
const TOKENS = 2;
const COUNTED = 3;
const CHARGED = 4;
const WORDS = 5;
