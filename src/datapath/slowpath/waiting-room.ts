/**
 * What becomes of frames that wait (pending.ts): they go on from the beginning when that is known which they wait for,
 * or are given up. Meanwhile each is counted as waiting.
 */
import { type Counters, DROPS, STRIDE, WAITING } from '../counters.js';
import type { Region } from '../transmit.js';
import { Pending, type PendingOptions, type Waiting } from './pending.js';
import type { FrameSink } from './slowpath.js';

export interface WaitingRoomOptions extends PendingOptions {
	counters: Counters;
	sink: FrameSink;
	now: () => number;
	/** Takes a frame that has waited all the way, from the beginning. */
	again: (region: Region, at: number, length: number, ingress: number) => void;
}

export class WaitingRoom {
	readonly #options: WaitingRoomOptions;
	readonly #pending: Pending;

	constructor(options: WaitingRoomOptions) {
		this.#options = options;
		this.#pending = new Pending(options);
	}

	/** @returns false if there is no place for it; otherwise whether it is the first that waits for the address. */
	park(
		frame: DataView,
		at: number,
		length: number,
		ingress: number,
		address: string,
	): false | 'first' | 'more' {
		const { counters, now } = this.#options;
		const parked = this.#pending.park(frame, at, length, ingress, address, now());
		if (parked !== false) (counters[ingress * STRIDE + WAITING] as number)++;
		return parked;
	}

	/** What waits for the address goes on. */
	release(address: string): void {
		const { again } = this.#options;
		this.#end(this.#pending.take(address), ({ at, length, ingress }) =>
			again(this.#pending.region, at, length, ingress),
		);
	}

	releaseAll(): void {
		for (const address of this.#pending.addresses()) this.release(address);
	}

	/** What waits for the address is dropped. @param reason the verdict, which may depend on the frame. */
	lose(address: string, reason: (frame: DataView, at: number, ingress: number) => number): void {
		this.#end(this.#pending.take(address), ({ at, ingress }) =>
			this.#drop(ingress, reason(this.#pending.region.frame, at, ingress)),
		);
	}

	/** The slave is gone, and nothing of it goes on. @param reason the verdict. */
	forget(edge: number, reason: number): void {
		this.#end(this.#pending.takeFrom(edge), ({ ingress }) => this.#drop(ingress, reason));
	}

	/** Has `late` release or lose what has waited too long. @returns milliseconds until something has again, or Infinity. */
	tick(late: (address: string) => void): number {
		const { now } = this.#options;
		for (const address of this.#pending.overdue(now())) late(address);
		const due = this.#pending.nextDue();
		return due === undefined ? Number.POSITIVE_INFINITY : Math.max(0, due - now() + 1);
	}

	close(): void {
		this.#pending.close();
	}

	#end(frames: readonly Waiting[], how: (waiting: Waiting) => void): void {
		const { counters, sink } = this.#options;
		for (const waiting of frames) {
			(counters[waiting.ingress * STRIDE + WAITING] as number)--;
			how(waiting);
			sink.flush();
			this.#pending.giveBack(waiting);
		}
	}

	#drop(ingress: number, reason: number): void {
		(this.#options.counters[ingress * STRIDE + DROPS - reason] as number)++;
	}
}
