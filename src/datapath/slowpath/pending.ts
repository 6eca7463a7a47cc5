/**
 * Frames that wait for something to be known about an address, copied aside: for the MAC of their next hop, or for
 * whether their own source is free. Places are few, because who exists answers within milliseconds; a sender may hold
 * no more of them than are free, so that one that knocks at every door of a subnet, or tries every address of it,
 * leaves some for the others.
 */
import { type Mapping, mapShared, unmap } from '../../sys/memory.js';
import { VNET_HEADER } from '../../wire/vnet-header.js';
import { type Region, regionOf } from '../transmit.js';
import { EDGES_MAX } from '../verdict.js';

/** Frames that wait for one address. */
const PLACES_PER_ADDRESS = 16;
/** Room for the longest frame, its virtio header in front: untouched memory costs nothing. */
const PLACE_BYTES = 72 << 10;

export interface PendingOptions {
	/** Frames of all addresses together. */
	places: number;
	/** How long after the first frame for an address nobody waits for it any longer, ms. */
	patience: number;
}

export interface Waiting {
	at: number;
	length: number;
	ingress: number;
}

export class Pending {
	/** Made when a frame has to wait for the first time. */
	#memory: { mapping: Mapping; region: Region } | undefined;
	readonly #bytes: number;
	readonly #patience: number;
	readonly #free: number[];
	readonly #held = new Uint16Array(EDGES_MAX);
	readonly #addresses = new Map<string, { until: number; frames: Waiting[] }>();

	constructor({ places, patience }: PendingOptions) {
		this.#bytes = places * PLACE_BYTES;
		this.#patience = patience;
		this.#free = Array.from({ length: places }, (_, place) => place);
	}

	/** Where frames that wait lie. */
	get region(): Region {
		return this.#use().region;
	}

	/**
	 * Puts a frame aside. @param address what it waits for.
	 * @returns false if there is no place; otherwise whether it is the first that waits for this address.
	 */
	park(
		frame: DataView,
		at: number,
		length: number,
		ingress: number,
		address: string,
		now: number,
	): false | 'first' | 'more' {
		const entry = this.#addresses.get(address);
		const held = this.#held[ingress] as number;
		if (held >= this.#free.length || (entry && entry.frames.length >= PLACES_PER_ADDRESS)) return false;
		if (length + VNET_HEADER > PLACE_BYTES) return false;
		const place = this.#free.pop() as number;
		const to = place * PLACE_BYTES;
		const bytes = new Uint8Array(frame.buffer, frame.byteOffset + at - VNET_HEADER, length + VNET_HEADER);
		this.#use().mapping.bytes.set(bytes, to);
		this.#held[ingress] = held + 1;
		const waiting = { at: to + VNET_HEADER, length, ingress };
		if (entry) entry.frames.push(waiting);
		else this.#addresses.set(address, { until: now + this.#patience, frames: [waiting] });
		return entry ? 'more' : 'first';
	}

	/** What waits for the address waits no longer; each frame's place is to be given back. */
	take(address: string): Waiting[] {
		const frames = this.#addresses.get(address)?.frames ?? [];
		this.#addresses.delete(address);
		return frames;
	}

	/** What the slave's frames are that wait; each one's place is to be given back. */
	takeFrom(edge: number): Waiting[] {
		const taken: Waiting[] = [];
		for (const [address, entry] of this.#addresses) {
			taken.push(...entry.frames.filter(({ ingress }) => ingress === edge));
			entry.frames = entry.frames.filter(({ ingress }) => ingress !== edge);
			if (entry.frames.length === 0) this.#addresses.delete(address);
		}
		return taken;
	}

	giveBack({ at, ingress }: Waiting): void {
		this.#held[ingress] = (this.#held[ingress] as number) - 1;
		this.#free.push(Math.floor(at / PLACE_BYTES));
	}

	/** What frames wait for. */
	addresses(): string[] {
		return [...this.#addresses.keys()];
	}

	/** What nobody waits for any longer. */
	overdue(now: number): string[] {
		return [...this.#addresses].filter(([, { until }]) => until <= now).map(([address]) => address);
	}

	/** When there is something of the kind, or undefined. */
	nextDue(): number | undefined {
		// In order of arrival, and all have the same patience.
		for (const { until } of this.#addresses.values()) return until;
		return undefined;
	}

	close(): void {
		if (this.#memory) unmap(this.#memory.mapping);
	}

	#use(): { mapping: Mapping; region: Region } {
		if (!this.#memory) {
			const mapping = mapShared(this.#bytes);
			this.#memory = { mapping, region: regionOf(mapping) };
		}
		return this.#memory;
	}
}
