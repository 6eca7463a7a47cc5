/**
 * Frames from addresses that their slave doesn't own. A guest may come to own most addresses by using them, but not
 * before it is known that nobody on the LAN has them (addresses.ts asks, and decides): until then nothing that it says
 * from there leaves, because one frame is enough to draw others' traffic to it for seconds. What it has said meanwhile
 * waits, so that the first packet of a guest that was just configured is late and not lost.
 *
 * Its own question whether somebody has the address harms nobody, and goes out at once.
 */
import { ETH_TYPE, ETHERNET_HEADER, ETHERTYPE_ARP, ETHERTYPE_IPV6 } from '../../wire/ethernet.js';
import { ARP_SENDER_IP, IPV6_SOURCE, isLinkLocal6, isUnspecified6 } from '../../wire/ip.js';
import { NEIGHBOUR_SOLICITATION, ndType } from '../../wire/ndp.js';
import { GRANTED, TENTATIVE } from '../address-book.js';
import { addressText } from '../address-key.js';
import type { Counters } from '../counters.js';
import { claimedAddress } from '../forward/claim.js';
import { forward } from '../forward/forward.js';
import { MODE_L2, type PortState } from '../port-state.js';
import type { Region } from '../transmit.js';
import { drop, EDGE_WIRE, SLOW_ANSWER, SLOW_CLAIM } from '../verdict.js';
import type { Addresses, Manner } from './addresses.js';
import { Claimable } from './claimable.js';
import { sourceAddress } from './heard.js';
import { rewriteForWire } from './rewrite.js';
import type { FrameSink } from './slowpath.js';
import { WaitingRoom } from './waiting-room.js';

const DROP_IP_SPOOF = drop('ip-spoof');
const DROP_TENTATIVE = drop('tentative');

/** Frames that may wait: a hundred guests that boot at the same time, each with the first few of its own. */
const PLACES = 256;
/**
 * Frames go on when control says that the kernel's filters know the address, or else the answer to the first would
 * not find its way back. This is for a control that doesn't come to it: twice as long as a claim takes (announcer.ts), ms.
 */
const PATIENCE_MS = 500;

export interface ClaimsOptions {
	state: PortState;
	counters: Counters;
	sink: FrameSink;
	/** Milliseconds since 1970. */
	now: () => number;
	addresses: Addresses;
	/** Takes a frame that has waited all the way, from the beginning. */
	again: (region: Region, at: number, length: number, ingress: number) => void;
}

export class Claims {
	readonly claimable = new Claimable();
	readonly #options: ClaimsOptions;
	readonly #waiting: WaitingRoom;
	/** What the frame at hand has waited for. */
	#released: string | undefined;

	constructor(options: ClaimsOptions) {
		this.#options = options;
		this.#waiting = new WaitingRoom({ ...options, places: PLACES, patience: PATIENCE_MS });
	}

	/**
	 * Takes a frame for which the decision was SLOW_CLAIM.
	 * @returns the verdict with which it is to go on; SLOW_CLAIM while it waits, and is counted as waiting.
	 */
	handle({ frame }: Region, at: number, length: number, ingress: number): number {
		const { state } = this.#options;
		// An advertisement claims its target after its source.
		for (let claims = 0; claims < 2; claims++) {
			const family = frame.getUint16(at + ETH_TYPE) === ETHERTYPE_IPV6 ? 6 : 4;
			const offset = claimedAddress(state, frame, at, ingress);
			const address = addressText(frame, offset, family);
			const answer = this.#claim(frame, at, offset, family, address, ingress);
			if (answer === TENTATIVE) {
				return this.#inVain(frame, at, offset, address)
					? DROP_TENTATIVE
					: this.#wait(frame, at, length, ingress, address);
			}
			if (answer !== GRANTED) return this.#refuse(frame, at, ingress, address, answer);
			const verdict = forward(state, frame, at, length, ingress);
			if (verdict !== SLOW_CLAIM) return verdict;
		}
		return DROP_IP_SPOOF;
	}

	/** The address is its slave's, and the kernel knows it: what has waited for it goes on. */
	ready(address: string): void {
		this.#released = address;
		this.#waiting.release(address);
		this.#released = undefined;
	}

	/** The address is no slave's any more, or never was. @param reason the verdict that drops what has waited for it. */
	gone(address: string, reason: number): void {
		this.#waiting.lose(address, () => reason);
	}

	/** @returns milliseconds until there is something to do again, or Infinity. */
	tick(): number {
		return this.#waiting.tick(address => this.ready(address));
	}

	close(): void {
		this.#waiting.close();
	}

	/** @returns GRANTED, TENTATIVE, or the verdict that drops the frame. */
	#claim(
		frame: DataView,
		at: number,
		offset: number,
		family: 4 | 6,
		address: string,
		ingress: number,
	): number {
		const { state, addresses, now } = this.#options;
		const refusal = this.claimable.refusal(state, frame, offset, family, ingress, now());
		if (refusal !== GRANTED) return refusal;
		// In l3 and l3s, slaves' link-local addresses are those of another link than the wire: nobody there has them.
		const elsewhere = state.mode !== MODE_L2 && family === 6 && isLinkLocal6(frame, offset);
		const manner: Manner = elsewhere ? 'have' : isQuestion(frame, at) ? 'detect' : 'use';
		return addresses.claim(ingress, address, manner, state.limits.learn);
	}

	/**
	 * With a full quota, an advertisement's source and target would take each other's place for ever: it waits for each of
	 * them once, and the source comes first.
	 */
	#inVain(frame: DataView, at: number, offset: number, address: string): boolean {
		if (this.#released === undefined) return false;
		return address === this.#released || offset === sourceAddress(frame, at);
	}

	#wait(frame: DataView, at: number, length: number, ingress: number, address: string): number {
		const { state } = this.#options;
		if (state.mode === MODE_L2 && isQuestion(frame, at)) {
			rewriteForWire(state, frame, at);
			return EDGE_WIRE;
		}
		const waits = this.#waiting.park(frame, at, length, ingress, address) !== false;
		return waits ? SLOW_CLAIM : DROP_TENTATIVE;
	}

	/** Who asks for what another guest is about to have is told so, as that one's own stack would not do yet. */
	#refuse(frame: DataView, at: number, ingress: number, address: string, refusal: number): number {
		const holder = this.#options.addresses.holderOf(address);
		const late = holder?.tentative === true && holder.edge !== ingress;
		return late && isQuestion(frame, at) ? SLOW_ANSWER : refusal;
	}
}

/** An ARP probe (RFC 5227, 2.1.1), or the solicitation of duplicate address detection (RFC 4862, 5.4.2). */
function isQuestion(frame: DataView, at: number): boolean {
	const l3 = at + ETHERNET_HEADER;
	if (frame.getUint16(at + ETH_TYPE) === ETHERTYPE_ARP) return frame.getInt32(l3 + ARP_SENDER_IP) === 0;
	return (
		frame.getUint16(at + ETH_TYPE) === ETHERTYPE_IPV6 &&
		isUnspecified6(frame, l3 + IPV6_SOURCE) &&
		ndType(frame, l3) === NEIGHBOUR_SOLICITATION
	);
}
