/**
 * A transmit ring (packet_mmap.rst): frames are copied into its slots, and one call hands a run of them to one
 * interface. Beside `sendmmsg` that saves the kernel reading a message header, an address and an iovec for each frame,
 * and its look at who else wants the processor in between: a receiver that the first frame wakes finds all of them.
 *
 *   slot   struct tpacket2_hdr | virtio header and frame, from byte 32
 *
 * A slot is ours while its status is AVAILABLE. The kernel takes slots in order and stays at the first that it can't
 * send, so what it leaves is taken back and filled anew: both sides always agree on which slot is the next.
 */
import { errno } from '../sys/libc.js';
import {
	SEND_DATA,
	SEND_SLOT,
	sendSlots,
	TP_LENGTH,
	TP_STATUS_AVAILABLE,
	TP_STATUS_SEND_REQUEST,
	TP_STATUS_WRONG_FORMAT,
} from '../sys/packet.js';
import { VNET_HEADER, VNET_HEADER_LENGTH } from '../wire/vnet-header.js';
import type { RingSetup } from './messages.js';
import type { Region } from './transmit.js';

export class SendRing {
	/** Why the frame after the last one that `push` sent could not go: an errno, 0 if there is none. */
	failure = 0;
	readonly #fd: number;
	readonly #addressLow: number;
	readonly #addressHigh: number;
	readonly #bytes: Uint8Array;
	readonly #words: Int32Array;
	readonly #halves: Uint16Array;
	readonly #start: number;
	readonly #slots: number;
	/** Next slot to fill, and the first filled one that has not been handed over. */
	#head = 0;
	#pushed = 0;
	/** Bytes of the frames in between, as the kernel counts them. */
	#filled = 0;

	/** @param region the mapping of both rings of a socket, of which this one is the end. */
	constructor(setup: RingSetup, region: Region) {
		const { buffer, byteLength } = region.frame;
		this.#fd = setup.fd;
		this.#addressLow = region.addressLow;
		this.#addressHigh = region.addressHigh;
		this.#bytes = new Uint8Array(buffer);
		this.#words = new Int32Array(buffer);
		this.#halves = new Uint16Array(buffer);
		this.#start = byteLength - setup.sendSlots * SEND_SLOT;
		this.#slots = setup.sendSlots;
	}

	/**
	 * Copies a frame into the next slot, if it lies in the same mapping.
	 * @param addressLow, addressHigh of its virtio header. @param length bytes from there.
	 * @returns false if it doesn't, is too long, or the kernel still holds the slot for a driver that has not sent it.
	 */
	fill(addressLow: number, addressHigh: number, length: number): boolean {
		const at = addressLow - this.#addressLow + (addressHigh - this.#addressHigh) * 2 ** 32;
		if (at < 0 || at >= this.#start || length > SEND_SLOT - SEND_DATA) return false;
		const slot = this.#start + this.#head * SEND_SLOT;
		if (this.#words[slot >> 2] !== TP_STATUS_AVAILABLE) return false;
		const data = slot + SEND_DATA;
		this.#bytes.copyWithin(data, at, at + length);
		// All of it is "header", which the kernel copies. What it took by reference a guest would read only when the slot
		// is long ours again, for a TAP lets go of a frame as soon as it has queued it.
		this.#halves[(data + VNET_HEADER_LENGTH) >> 1] = length - VNET_HEADER;
		this.#words[(slot + TP_LENGTH) >> 2] = length;
		Atomics.store(this.#words, slot >> 2, TP_STATUS_SEND_REQUEST);
		this.#head = this.#after(this.#head);
		this.#filled += length - VNET_HEADER;
		return true;
	}

	/**
	 * Hands over what was filled. @param address of a `sockaddr_ll` that names the interface.
	 * @returns how many frames went out, from the first; if not all, `failure` tells of the next, and the rest is gone.
	 */
	push(address: bigint): number {
		let bytes = sendSlots(this.#fd, address);
		// The first call after the interface that the socket receives from went down says that, whomever it sends to.
		if (bytes < 0 && errno() === ENETDOWN) bytes = sendSlots(this.#fd, address);
		this.failure = bytes < 0 ? errno() : 0;
		let slot = this.#pushed;
		let sent = 0;
		if (bytes === this.#filled) {
			sent = (this.#head - slot + this.#slots) % this.#slots;
		} else {
			for (; slot !== this.#head && this.#taken(slot); slot = this.#after(slot)) sent++;
			// Not an error for the kernel, since some went out: the socket's buffer is full.
			if (this.failure === 0) this.failure = EAGAIN;
			this.#takeBack(slot);
		}
		this.#pushed = this.#head;
		this.#filled = 0;
		return sent;
	}

	#taken(slot: number): boolean {
		const status = Atomics.load(this.#words, (this.#start + slot * SEND_SLOT) >> 2);
		return status !== TP_STATUS_SEND_REQUEST && status !== TP_STATUS_WRONG_FORMAT;
	}

	/** The slots from `first` on are empty again, and the next frame goes where the kernel looks for it. */
	#takeBack(first: number): void {
		for (let slot = first; slot !== this.#head; slot = this.#after(slot)) {
			this.#words[(this.#start + slot * SEND_SLOT) >> 2] = TP_STATUS_AVAILABLE;
		}
		this.#head = first;
	}

	#after(slot: number): number {
		return slot + 1 === this.#slots ? 0 : slot + 1;
	}
}

const EAGAIN = 11;
const ENETDOWN = 100;
