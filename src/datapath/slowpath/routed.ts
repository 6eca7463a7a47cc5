/**
 * What routing leaves to the slow path: frames that are refused get their sender told why, frames whose next hop's
 * MAC isn't known wait while the kernel finds it out, and frames that are too long for their next hop are cut.
 */
import { ETH_TYPE, ETHERNET_HEADER, ETHERTYPE_IPV4 } from '../../wire/ethernet.js';
import { IPV4_DESTINATION, IPV6_DESTINATION } from '../../wire/ip.js';
import { addressText } from '../address-key.js';
import type { Counters } from '../counters.js';
import { forward } from '../forward/forward.js';
import { mtuOf } from '../forward/route.js';
import type { PortState } from '../port-state.js';
import { COPY, type Region } from '../transmit.js';
import { drop, EDGE_WIRE, isRefusal, refuse, SLOW_FRAGMENT, SLOW_REFUSE, SLOW_RESOLVE } from '../verdict.js';
import { Fragmenter } from './fragment.js';
import { Refuser } from './refuse.js';
import type { FrameSink } from './slowpath.js';
import { WaitingRoom } from './waiting-room.js';

const DROP_TOO_BIG = drop('too-big');
const DROP_UNRESOLVED = drop('unresolved');
const REFUSE_UNREACHABLE = refuse('unreachable');

/** Frames that may wait for neighbours. */
const PLACES = 64;
/** The kernel asks three times, a second apart (mcast_solicit, retrans_time_ms; arp(7)). */
export const PATIENCE_MS = 3500;

export interface RoutedOptions {
	state: PortState;
	counters: Counters;
	sink: FrameSink;
	now: () => number;
	/** Has the kernel find out the MAC of a next hop on the master. */
	resolve: (address: string) => void;
	/** Takes a frame that has waited all the way, from the beginning. */
	again: (region: Region, at: number, length: number, ingress: number) => void;
}

export class Routed {
	readonly #options: RoutedOptions;
	readonly #refuser = new Refuser();
	readonly #waiting: WaitingRoom;
	readonly #fragmenter = new Fragmenter();

	constructor(options: RoutedOptions) {
		this.#options = options;
		this.#waiting = new WaitingRoom({ ...options, places: PLACES, patience: PATIENCE_MS });
	}

	/** @returns what came of it: a drop, SLOW_RESOLVE while it waits (and is counted as waiting), SLOW_FRAGMENT. Other verdicts as they are. */
	handle(verdict: number, region: Region, at: number, length: number, ingress: number): number {
		if (isRefusal(verdict)) return this.#refuse(verdict, region.frame, at, ingress);
		if (verdict === SLOW_RESOLVE) return this.#park(region.frame, at, length, ingress);
		return verdict === SLOW_FRAGMENT ? this.#fragment(region.frame, at, length, ingress) : verdict;
	}

	/** The next hop is known now, or is known not to answer. */
	settle(hop: string, failed: boolean): void {
		if (failed) this.#waiting.lose(hop, this.#unreachable);
		else this.#waiting.release(hop);
	}

	/** Everything that waits is decided anew. */
	settleAll(): void {
		this.#waiting.releaseAll();
	}

	/** The slave is gone, and nothing of it goes on. */
	forget(edge: number): void {
		this.#waiting.forget(edge, DROP_UNRESOLVED);
	}

	/** Gives up what has waited too long. @returns milliseconds until there is something to give up again, or Infinity. */
	tick(): number {
		return this.#waiting.tick(hop => this.settle(hop, true));
	}

	close(): void {
		this.#refuser.close();
		this.#waiting.close();
		this.#fragmenter.close();
	}

	#refuse(verdict: number, frame: DataView, at: number, ingress: number): number {
		const { state, sink, now } = this.#options;
		const length = this.#refuser.complain(state, frame, at, verdict, ingress, now());
		if (length > 0) {
			sink.add(this.#refuser.region, this.#refuser.at, length, ingress, COPY);
			// The next error is written in the same place.
			sink.flush();
		}
		return SLOW_REFUSE - verdict;
	}

	#park(frame: DataView, at: number, length: number, ingress: number): number {
		const { resolve, state } = this.#options;
		const hop = nextHop(state, frame, at);
		const parked = this.#waiting.park(frame, at, length, ingress, hop);
		if (parked === false) return DROP_UNRESOLVED;
		if (parked === 'first') resolve(hop);
		return SLOW_RESOLVE;
	}

	readonly #unreachable = (frame: DataView, at: number, ingress: number): number =>
		this.#refuse(REFUSE_UNREACHABLE, frame, at, ingress);

	#fragment(frame: DataView, at: number, length: number, ingress: number): number {
		const { state, sink } = this.#options;
		const mtu = mtuOf(state, state.routing.find(frame, at + ETHERNET_HEADER));
		const { region } = this.#fragmenter;
		for (const piece of this.#fragmenter.cut(frame, at, mtu)) {
			const verdict = forward(state, region.frame, piece.at, piece.length, ingress);
			// All go the same way, so the first tells.
			if (verdict === SLOW_RESOLVE) return this.#park(frame, at, length, ingress);
			// Below the 68 bytes that every IPv4 link takes, a piece may still be too long.
			if (verdict !== EDGE_WIRE) return DROP_TOO_BIG;
			if (sink.full) sink.flush();
			sink.add(region, piece.at, piece.length, EDGE_WIRE, COPY);
		}
		sink.flush();
		return SLOW_FRAGMENT;
	}
}

/** The address whose MAC a frame waits for: the router's, or its own destination. */
function nextHop(state: PortState, frame: DataView, at: number): string {
	const { routing } = state;
	const ipv4 = frame.getUint16(at + ETH_TYPE) === ETHERTYPE_IPV4;
	const ip = at + ETHERNET_HEADER;
	const hop = ipv4 ? routing.find(frame, ip) : routing.find6(frame, ip);
	const { family, bytes, at: gateway } = routing.gateway(hop);
	if (family === 0)
		return addressText(frame, ip + (ipv4 ? IPV4_DESTINATION : IPV6_DESTINATION), ipv4 ? 4 : 6);
	return addressText(bytes, gateway, family === 4 ? 4 : 6);
}
