/**
 * The host's neighbours on the master, as far as their MACs are known. Control follows the kernel's table and gives
 * each a slot, the same one in every thread; whoever sends to a neighbour sets the byte of its slot in memory that
 * all threads share. That is how control learns which of the stale ones are still in use and want to be confirmed:
 * one plain store per frame, and no message.
 */
import { parseMac } from '../../wire/ethernet.js';
import { keyOf } from '../address-key.js';
import { AddressTable } from '../address-table.js';

/** Slots, of which 0 means unknown. The kernel itself keeps 1024 by default (gc_thresh3, arp(7)). */
export const NEIGHBOURS_MAX = 8192;

export class Neighbours {
	readonly #ipv4: AddressTable;
	readonly #ipv6: AddressTable;
	/** MAC of each slot; the first two bytes, and the last four. */
	readonly macHigh = new Uint16Array(NEIGHBOURS_MAX);
	readonly macLow = new Int32Array(NEIGHBOURS_MAX);
	/** 1 where a frame has gone since somebody looked. */
	readonly used: Uint8Array;

	constructor(seed: number, used: Uint8Array) {
		this.#ipv4 = new AddressTable(1, seed);
		this.#ipv6 = new AddressTable(4, seed);
		this.used = used;
	}

	/** Slot of the IPv4 neighbour, or 0 if its MAC isn't known. */
	find(address: number): number {
		return this.#ipv4.find(address);
	}

	find6(frame: DataView, at: number): number {
		return this.#ipv6.find6(frame, at);
	}

	/** @param slot 1 to NEIGHBOURS_MAX - 1. */
	set(address: string, slot: number, mac: string): void {
		const { high, low } = parseMac(mac);
		this.macHigh[slot] = high;
		this.macLow[slot] = low;
		const key = keyOf(address);
		(key.family === 4 ? this.#ipv4 : this.#ipv6).set(key.words, slot);
	}

	delete(address: string): void {
		const key = keyOf(address);
		(key.family === 4 ? this.#ipv4 : this.#ipv6).delete(key.words);
	}
}
