/**
 * Which of the host's neighbours have which slot of the frame path's table, and which of them want to be confirmed.
 * Pure: it is told of neighbours and says what is to be passed on.
 */
import { NEIGHBOURS_MAX } from '../../datapath/routing/neighbours.js';
import {
	type Neighbour,
	NUD_DELAY,
	NUD_FAILED,
	NUD_NOARP,
	NUD_PERMANENT,
	NUD_PROBE,
	NUD_REACHABLE,
	NUD_STALE,
} from '../../sys/netlink/neighbour.js';

export interface NeighbourChange {
	kind: 'neighbour';
	address: string;
	slot: number;
	mac?: string;
	failed?: true;
}

export class NeighbourSlots {
	readonly #known = new Map<string, { slot: number; mac: string; stale: boolean }>();
	readonly #free: number[] = [];
	#count = 1;

	/** The kernel's entry is this now. @returns what to tell the frame threads, if anything. */
	update({ address, mac, state }: Neighbour, gone: boolean): NeighbourChange | undefined {
		if (gone || mac === undefined || (state & VALID) === 0) {
			return this.#forget(address, !gone && (state & NUD_FAILED) !== 0);
		}
		const known = this.#known.get(address);
		const stale = (state & NUD_STALE) !== 0;
		if (known) {
			known.stale = stale;
			if (known.mac === mac) return undefined;
			known.mac = mac;
			return { kind: 'neighbour', address, slot: known.slot, mac };
		}
		if (this.#free.length === 0 && this.#count === NEIGHBOURS_MAX) return undefined;
		const slot = this.#free.pop() ?? this.#count++;
		this.#known.set(address, { slot, mac, stale });
		return { kind: 'neighbour', address, slot, mac };
	}

	/** @returns changes that forget all but these. */
	retain(addresses: ReadonlySet<string>): NeighbourChange[] {
		const gone = [...this.#known.keys()].filter(address => !addresses.has(address));
		return gone.flatMap(address => this.#forget(address, false) ?? []);
	}

	/** Stale ones that frames have gone to since the last call: the kernel should find out whether they still live. */
	takeUsed(used: Uint8Array): string[] {
		const addresses: string[] = [];
		for (const [address, { slot, stale }] of this.#known) {
			if (used[slot] === 1 && stale) addresses.push(address);
			used[slot] = 0;
		}
		return addresses;
	}

	#forget(address: string, failed: boolean): NeighbourChange | undefined {
		const known = this.#known.get(address);
		if (!known) return failed ? { kind: 'neighbour', address, slot: 0, failed } : undefined;
		this.#known.delete(address);
		this.#free.push(known.slot);
		return { kind: 'neighbour', address, slot: known.slot, ...(failed ? { failed } : {}) };
	}
}

/** linux/neighbour.h, NUD_VALID: the MAC may be used. */
const VALID = NUD_PERMANENT | NUD_NOARP | NUD_REACHABLE | NUD_PROBE | NUD_STALE | NUD_DELAY;
