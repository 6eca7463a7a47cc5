/**
 * What slaves may use of the port where an offload counts it: token buckets in the kernel's memory, as struct limits of
 * bpf/port.h has them, which bpf/buckets.h takes from. There a bucket is the moment when it was or will be empty. The
 * frame threads take `rx` here for what they deliver themselves, so that a guest has one limit, whoever delivers.
 *
 * BigInts, against the rule of the frame path, are made for what a limited slave is given, and not for what it is
 * refused: 64 bits can be read by halves, but not added to while the kernel adds to them as well.
 */
import { monotonicMs } from '../sys/clock.js';
import { type Mapping, mapFd, unmap } from '../sys/memory.js';
import type { EdgeLimits } from './limits.js';
import type { Bucket } from './token-buckets.js';
import { EDGES_MAX } from './verdict.js';

/** Of one edge: three buckets in this order, and how many frames its `rx` has refused. */
const kinds = ['tx', 'rx', 'slow'] as const;
export const LIMITS_BYTES = 80;

export class KernelBuckets {
	readonly #memory: Mapping;
	readonly #words: BigInt64Array;
	/** The same, each word its lower half first. */
	readonly #halves: Uint32Array;

	/** @param map descriptor; not needed any more afterwards. @throws SysError. */
	constructor(map: number) {
		this.#memory = mapFd(map, EDGES_MAX * LIMITS_BYTES);
		const { bytes } = this.#memory;
		this.#words = new BigInt64Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 8);
		this.#halves = new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
	}

	/** `pay` of bpf/buckets.h. @returns whether a frame of so many bytes may be delivered; then it has been paid for. */
	takeRx(edge: number, bytes: number): boolean {
		const words = this.#words;
		const at = (edge * LIMITS_BYTES) / 8 + RX;
		const rate = this.#read(at + RATE);
		if (rate === 0) return true;
		const now = monotonicMs() * 1e6;
		const empty = this.#read(at + EMPTY);
		if (empty >= now) return false;
		const earns = Math.trunc((bytes * SECOND) / rate);
		const full = now - this.#read(at + BURST);
		if (empty < full) Atomics.store(words, at + EMPTY, BigInt(Math.trunc(full + earns)));
		else Atomics.add(words, at + EMPTY, BigInt(earns));
		return true;
	}

	close(): void {
		unmap(this.#memory);
	}

	/** A word that may grow meanwhile: what is read of it belongs together if the upper half hasn't changed in between. */
	#read(word: number): number {
		const halves = this.#halves;
		for (;;) {
			const upper = Atomics.load(halves, 2 * word + 1);
			const lower = Atomics.load(halves, 2 * word);
			// Signed: a bucket that has been filling since before the machine started was empty before that.
			if (Atomics.load(halves, 2 * word + 1) === upper) return (upper | 0) * 2 ** 32 + lower;
		}
	}
}

/**
 * One edge's limits for the kernel.
 * @param before what they were: a limit that only changes takes no tokens away but those above the burst.
 * @param now nanoseconds of the monotonic clock.
 */
export function limitsBytes(
	limits: EdgeLimits,
	before: Uint8Array = new Uint8Array(LIMITS_BYTES),
	now = Math.trunc(monotonicMs() * 1e6),
): Uint8Array {
	const old = wordsOf(before);
	const words = new BigInt64Array(LIMITS_BYTES / 8);
	for (const [index, kind] of kinds.entries()) {
		const bucket = limits[kind];
		const at = index * BUCKET;
		if (bucket) words.set(bucketWords(bucket, tokensOf(old.subarray(at, at + BUCKET), now), now), at);
	}
	words[REFUSED] = old[REFUSED] as bigint;
	return new Uint8Array(words.buffer);
}

/** Frames for an edge that its `rx` has refused in the kernel. */
export function refusedOf(limits: Uint8Array): number {
	return Number(wordsOf(limits)[REFUSED]);
}

/** @param tokens that there are, undefined where there was no limit. */
function bucketWords({ rate, burst }: Bucket, tokens = burst, now: number): bigint[] {
	// Of fractions the kernel knows nothing; a rate of none would be no limit.
	const whole = Math.max(1, Math.round(rate));
	const span = (amount: number) => BigInt(Math.trunc((amount * SECOND) / whole));
	return [BigInt(whole), span(burst), BigInt(now) - span(Math.min(tokens, burst))];
}

function tokensOf(bucket: BigInt64Array, now: number): number | undefined {
	const [rate = 0, burst = 0, empty = 0] = Array.from(bucket, Number);
	return rate === 0 ? undefined : (Math.min(burst, now - empty) * rate) / SECOND;
}

function wordsOf(limits: Uint8Array): BigInt64Array {
	return new BigInt64Array(limits.buffer, limits.byteOffset, LIMITS_BYTES / 8);
}

const SECOND = 1e9;
const RATE = 0;
const BURST = 1;
const EMPTY = 2;
const BUCKET = 3;
const RX = BUCKET;
const REFUSED = 3 * BUCKET;
