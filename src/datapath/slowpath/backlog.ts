/**
 * The bounded queue between the forwarder (one producer) and the slow path (one consumer): records of varying
 * length in a ring of shared memory, so that a 64 KB frame and a 60-byte one both fit without 64 KB slots.
 *
 *      0        4         8
 *      | length | ingress | virtio header and frame …, padded to 8 |
 *
 * A length of WRAP sends the reader back to the start. Positions count bytes for ever, modulo 2^32; the ring's
 * size is a power of two, so the mask finds the place and the difference is what is queued.
 *
 * A sender may queue no more frames, and no more bytes, than there is room left for (Choudhury and Hahne's dynamic thresholds with
 * α = 1): alone it gets half of the backlog, and however many storm, somebody new always finds room.
 */
import { VNET_HEADER } from '../../wire/vnet-header.js';
import {
	BACKLOGGED,
	BACKLOGGED_BYTES,
	type Counters,
	STRIDE,
	UNBACKLOGGED,
	UNBACKLOGGED_BYTES,
} from '../counters.js';
import type { Region } from '../transmit.js';
import { drop } from '../verdict.js';

/** Bytes of frames that a backlog holds at the most. */
export const BACKLOG_BYTES = 4 << 20;

/** Words of control memory, each on a cache line of its own (16 words). */
const PRODUCED = 0;
const CONSUMED = 16;
const FRAMES_IN = 32;
const FRAMES_OUT = 48;
const SLEEPING = 64;
export const BACKLOG_CONTROL_WORDS = 80;

export const QUEUED = 0;
const DROP_FULL = drop('backlog-full');
const DROP_BUDGET = drop('backlog-budget');

const HEADER = 8;
const WRAP = 0xffffffff;

export class Backlog {
	readonly #ring: DataView;
	readonly #control: Int32Array;
	readonly #limit: number;
	/** Where the frame of the record at hand begins, its length, and its ingress edge. */
	at = 0;
	length = 0;
	ingress = 0;

	/** @param control shared, BACKLOG_CONTROL_WORDS long. @param limit frames. */
	constructor(region: Region, control: Int32Array, limit: number) {
		this.#ring = region.frame;
		this.#control = control;
		this.#limit = limit;
	}

	/**
	 * Copies a frame, with its virtio header, to the end of the queue.
	 * @param own the producer's counters. @param consumer the consumer's.
	 * @returns QUEUED, or the verdict that drops it.
	 */
	push(
		frame: DataView,
		at: number,
		length: number,
		ingress: number,
		own: Counters,
		consumer: Counters,
	): number {
		const control = this.#control;
		const waiting = ((control[FRAMES_IN] as number) - Atomics.load(control, FRAMES_OUT)) | 0;
		const free = this.#limit - waiting;
		if (free <= 0) return DROP_FULL;
		const entry = ingress * STRIDE;
		if ((own[entry + BACKLOGGED] as number) - (consumer[entry + UNBACKLOGGED] as number) >= free) {
			return DROP_BUDGET;
		}
		const produced = control[PRODUCED] as number;
		let place = produced & (BACKLOG_BYTES - 1);
		const record = (HEADER + VNET_HEADER + length + 7) & ~7;
		const skip = place + record > BACKLOG_BYTES ? BACKLOG_BYTES - place : 0;
		const used = (produced - Atomics.load(control, CONSUMED)) | 0;
		if (used + skip + record > BACKLOG_BYTES) return DROP_FULL;
		const held = (own[entry + BACKLOGGED_BYTES] as number) - (consumer[entry + UNBACKLOGGED_BYTES] as number);
		if (held + record > BACKLOG_BYTES - used) return DROP_BUDGET;
		if (skip > 0) {
			this.#ring.setUint32(place, WRAP);
			place = 0;
		}
		this.#ring.setUint32(place, length);
		this.#ring.setUint32(place + 4, ingress);
		copyWords(frame, at - VNET_HEADER, this.#ring, place + HEADER, VNET_HEADER + length);
		(own[entry + BACKLOGGED] as number)++;
		(own[entry + BACKLOGGED_BYTES] as number) += record;
		Atomics.store(control, FRAMES_IN, ((control[FRAMES_IN] as number) + 1) | 0);
		Atomics.store(control, PRODUCED, (produced + skip + record) | 0);
		return QUEUED;
	}

	/** Makes the oldest record the one at hand, until `shift`. @returns false if there is none. */
	peek(): boolean {
		const control = this.#control;
		let consumed = control[CONSUMED] as number;
		if (consumed === Atomics.load(control, PRODUCED)) return false;
		let place = consumed & (BACKLOG_BYTES - 1);
		if (this.#ring.getUint32(place) === WRAP) {
			consumed = (consumed + BACKLOG_BYTES - place) | 0;
			Atomics.store(control, CONSUMED, consumed);
			place = 0;
		}
		this.length = this.#ring.getUint32(place);
		this.ingress = this.#ring.getUint32(place + 4);
		this.at = place + HEADER + VNET_HEADER;
		return true;
	}

	/** Gives the place of the record at hand back. @param own the consumer's counters. */
	shift(own: Counters): void {
		const control = this.#control;
		const record = (HEADER + VNET_HEADER + this.length + 7) & ~7;
		(own[this.ingress * STRIDE + UNBACKLOGGED] as number)++;
		(own[this.ingress * STRIDE + UNBACKLOGGED_BYTES] as number) += record;
		Atomics.store(control, FRAMES_OUT, ((control[FRAMES_OUT] as number) + 1) | 0);
		Atomics.store(control, CONSUMED, ((control[CONSUMED] as number) + record) | 0);
	}

	/** The consumer says that it is about to sleep; it must look once more before it does. */
	setSleeping(sleeping: boolean): void {
		Atomics.store(this.#control, SLEEPING, sleeping ? 1 : 0);
	}

	/** Whether the consumer sleeps and must be woken; asking claims the waking. */
	takeSleeper(): boolean {
		return Atomics.load(this.#control, SLEEPING) === 1 && Atomics.exchange(this.#control, SLEEPING, 0) === 1;
	}
}

/** Word by word, because `set` and `subarray` would make an object per frame. */
function copyWords(from: DataView, fromAt: number, to: DataView, toAt: number, length: number): void {
	const whole = length & ~3;
	for (let offset = 0; offset < whole; offset += 4)
		to.setInt32(toAt + offset, from.getInt32(fromAt + offset));
	for (let offset = whole; offset < length; offset++)
		to.setUint8(toAt + offset, from.getUint8(fromAt + offset));
}
