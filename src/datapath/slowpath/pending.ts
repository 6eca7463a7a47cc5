/**
 * Frames that wait for their next hop's MAC, copied aside. Places are few, because a neighbour that exists answers
 * within milliseconds; a sender may hold no more of them than are free, so that one that knocks at every door of a
 * subnet leaves some for the others.
 */
import { type Mapping, mapShared, unmap } from '../../sys/memory.js';
import { VNET_HEADER } from '../../wire/vnet-header.js';
import { type Region, regionOf } from '../transmit.js';
import { EDGES_MAX } from '../verdict.js';

/** Frames of all next hops together, and of one. */
const PLACES = 64;
const PLACES_PER_HOP = 16;
/** Room for the longest frame, its virtio header in front: untouched memory costs nothing. */
const PLACE_BYTES = 72 << 10;
/** The kernel asks three times, a second apart (mcast_solicit, retrans_time_ms; arp(7)). */
export const PATIENCE_MS = 3500;

export interface Waiting {
	at: number;
	length: number;
	ingress: number;
}

export class Pending {
	readonly #memory: Mapping = mapShared(PLACES * PLACE_BYTES);
	readonly region: Region = regionOf(this.#memory);
	readonly #free = Array.from({ length: PLACES }, (_, place) => place);
	readonly #held = new Uint8Array(EDGES_MAX);
	readonly #hops = new Map<string, { until: number; frames: Waiting[] }>();

	/**
	 * Puts a frame aside. @param hop its next hop's address.
	 * @returns false if there is no place; otherwise whether it is the first that waits for this hop.
	 */
	park(
		frame: DataView,
		at: number,
		length: number,
		ingress: number,
		hop: string,
		now: number,
	): false | 'first' | 'more' {
		const entry = this.#hops.get(hop);
		const held = this.#held[ingress] as number;
		if (held >= this.#free.length || (entry && entry.frames.length >= PLACES_PER_HOP)) return false;
		if (length + VNET_HEADER > PLACE_BYTES) return false;
		const place = this.#free.pop() as number;
		const to = place * PLACE_BYTES;
		const bytes = new Uint8Array(frame.buffer, frame.byteOffset + at - VNET_HEADER, length + VNET_HEADER);
		this.#memory.bytes.set(bytes, to);
		this.#held[ingress] = held + 1;
		const waiting = { at: to + VNET_HEADER, length, ingress };
		if (entry) entry.frames.push(waiting);
		else this.#hops.set(hop, { until: now + PATIENCE_MS, frames: [waiting] });
		return entry ? 'more' : 'first';
	}

	/** What waits for the hop waits no longer; each frame's place is to be given back. */
	take(hop: string): Waiting[] {
		const frames = this.#hops.get(hop)?.frames ?? [];
		this.#hops.delete(hop);
		return frames;
	}

	/** What the slave's frames are that wait; each one's place is to be given back. */
	takeFrom(edge: number): Waiting[] {
		const taken: Waiting[] = [];
		for (const [hop, entry] of this.#hops) {
			taken.push(...entry.frames.filter(({ ingress }) => ingress === edge));
			entry.frames = entry.frames.filter(({ ingress }) => ingress !== edge);
			if (entry.frames.length === 0) this.#hops.delete(hop);
		}
		return taken;
	}

	giveBack({ at, ingress }: Waiting): void {
		this.#held[ingress] = (this.#held[ingress] as number) - 1;
		this.#free.push(Math.floor(at / PLACE_BYTES));
	}

	/** Next hops that frames wait for. */
	hops(): string[] {
		return [...this.#hops.keys()];
	}

	/** Next hops that should have answered by now. */
	overdue(now: number): string[] {
		return [...this.#hops].filter(([, { until }]) => until <= now).map(([hop]) => hop);
	}

	/** When the first of them should have, or undefined. */
	nextDue(): number | undefined {
		// In order of arrival, and all have the same patience.
		for (const { until } of this.#hops.values()) return until;
		return undefined;
	}

	close(): void {
		unmap(this.#memory);
	}
}
