/** A peer, set up as often as there are numbers of guests that the rows ask for. */
import { performance } from 'node:perf_hooks';
import { mapsMb, residentMb } from './cpu.js';
import { Ground } from './ground.js';
import type { MakePeer } from './peers/index.js';
import type { Peer } from './peers/peer.js';
import type { Programs } from './programs.js';

/** One copy of it, with a ground of its own. */
export interface Place {
	peer: Peer;
	ground: Ground;
	/** For files of perf(1). */
	folder: string;
}

/** What it took to set a place up. */
export interface Setup {
	peer: string;
	guests: number;
	seconds: number;
	/** Of each guest, ms, sorted; empty where attaching one is making a TAP. */
	attachMs: number[];
	/** Of some of them to be taken off again, ms, sorted. */
	detachMs?: readonly number[];
	/** What the peer's processes hold once all guests are there; of the kernel's, their eBPF maps. */
	residentMb: number | undefined;
	mapsMb?: number | undefined;
}

export class Site {
	readonly name: string;
	readonly peer: Peer;
	readonly setups: Setup[] = [];
	/** Why rows couldn't be measured on it: none is tried again. */
	readonly problems = new Map<string, string>();
	/** Numbers of guests that it couldn't be set up with. */
	readonly #failed = new Map<number, unknown>();
	readonly #make: MakePeer;
	readonly #programs: Programs;
	readonly #folder: string;
	readonly #places = new Map<number, Place>();

	constructor(make: MakePeer, programs: Programs, folder: string) {
		this.#make = make;
		this.peer = make();
		this.name = this.peer.name;
		this.#programs = programs;
		this.#folder = folder;
	}

	/** The place with so many guests, made when it is first asked for. @throws IpvtapError. */
	async place(guests: number): Promise<Place> {
		const known = this.#places.get(guests);
		if (known !== undefined) return known;
		if (this.#failed.has(guests)) throw this.#failed.get(guests);
		const from = performance.now();
		const ground = await Ground.make(this.name, guests, this.#programs);
		const peer = this.#make();
		const place = { peer, ground, folder: this.#folder };
		this.#places.set(guests, place);
		try {
			await peer.prepare(ground);
		} catch (error) {
			this.#failed.set(guests, error);
			this.#places.delete(guests);
			await endPlace(peer, ground);
			throw error;
		}
		const pids = peer.pids();
		this.setups.push({
			peer: this.name,
			guests,
			seconds: (performance.now() - from) / 1000,
			attachMs: (peer.attachMs ?? []).toSorted((a, b) => a - b),
			residentMb: pids.length > 0 ? residentMb(pids) : undefined,
			mapsMb: pids.length > 0 ? mapsMb(pids) : undefined,
		});
		return place;
	}

	/** Takes down the places that have another number of guests. */
	async keep(numbers: readonly number[]): Promise<void> {
		for (const [guests, place] of this.#places) {
			const { peer, ground } = place;
			if (numbers.includes(guests)) continue;
			this.#places.delete(guests);
			try {
				await this.#detachSome(place);
			} finally {
				await endPlace(peer, ground);
			}
		}
	}

	close(): Promise<void> {
		return this.keep([]);
	}

	/** Takes guests off one by one, and keeps how long that takes. */
	async #detachSome({ peer, ground }: Place): Promise<void> {
		if (peer.detach === undefined) return;
		const detachMs: number[] = [];
		for (let guest = 0; guest < Math.min(ground.guests, DETACHED_MAX); guest++) {
			const from = performance.now();
			await peer.detach(guest);
			detachMs.push(performance.now() - from);
		}
		const setup = this.setups.findLast(({ guests }) => guests === ground.guests);
		if (setup !== undefined) setup.detachMs = detachMs.sort((a, b) => a - b);
	}
}

/** Of a thousand guests these are enough for a 99th percentile. */
const DETACHED_MAX = 200;

async function endPlace(peer: Peer, ground: Ground): Promise<void> {
	try {
		await peer.close();
	} finally {
		await ground.remove();
	}
}
