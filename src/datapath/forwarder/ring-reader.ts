/**
 * A receive ring as the forwarder walks it: slots in order, each ours while its status says so. A frame longer
 * than a slot waits whole on the socket behind the ring, in the same order (packet_mmap.rst, TP_STATUS_COPY),
 * and is read into a lane of long frames, where it stays until the batch has been sent.
 */
import { type Mapping, mapShared, unmap, viewOf } from '../../sys/memory.js';
import {
	MSG_DONTWAIT,
	receive,
	SEND_SLOT,
	TP_IFINDEX,
	TP_LENGTH,
	TP_MAC,
	TP_SNAPLEN,
	TP_STATUS_COPY,
	TP_STATUS_USER,
	TP_VLAN_TCI,
} from '../../sys/packet.js';
import { VNET_HEADER } from '../../wire/vnet-header.js';
import type { RingSetup } from '../messages.js';
import { SendRing } from '../send-ring.js';
import { type Region, regionOf } from '../transmit.js';
import type { FrameSource } from './frame-source.js';

/** A GSO frame is 64 KB at the most, with its headers (GSO_LEGACY_MAX_SIZE), and the virtio header comes on top. */
export const LONG_FRAME = 68 * 1024;
/** Long frames of one batch: more would not fit the second-level cache anyway. */
export const LONG_FRAMES = 16;

export class RingReader implements FrameSource {
	readonly fd: number;
	readonly sendRing: SendRing;
	readonly #region: Region;
	readonly #lane: Mapping;
	readonly #laneRegion: Region;
	readonly #laneAddresses: bigint[];
	readonly #words: Int32Array;
	readonly #halves: Uint16Array;
	readonly #slotSize: number;
	readonly #slots: number;
	/** Next slot that the kernel hands over; slots before it and from `#released` on are in the batch. */
	#head = 0;
	#released = 0;
	#longFrames = 0;

	region: Region;
	at = 0;
	length = 0;
	ifindex = 0;
	tag = 0;
	status = 0;

	constructor(setup: RingSetup) {
		this.fd = setup.fd;
		this.#slotSize = setup.slotSize;
		this.#slots = setup.slots;
		const length = setup.slotSize * setup.slots + SEND_SLOT * setup.sendSlots;
		const bytes = viewOf(setup.address, length);
		this.#region = regionOf({ address: setup.address, length, bytes });
		this.sendRing = new SendRing(setup, this.#region);
		this.#words = new Int32Array(bytes.buffer);
		this.#halves = new Uint16Array(bytes.buffer);
		this.#lane = mapShared(LONG_FRAME * LONG_FRAMES);
		this.#laneRegion = regionOf(this.#lane);
		this.#laneAddresses = Array.from(
			{ length: LONG_FRAMES },
			(_, index) => this.#lane.address + BigInt(index * LONG_FRAME),
		);
		this.region = this.#region;
	}

	/** @returns false also while there is no room to read a long frame into. */
	next(): boolean {
		const head = this.#head;
		const slot = head * this.#slotSize;
		const word = slot >> 2;
		const status = Atomics.load(this.#words, word);
		if ((status & TP_STATUS_USER) === 0) return false;
		const long = (status & TP_STATUS_COPY) !== 0;
		if (long && this.#longFrames === LONG_FRAMES) return false;
		const following = head + 1 === this.#slots ? 0 : head + 1;
		// All slots in the batch: the kernel has nothing to give until they are released.
		if (following === this.#released) return false;
		this.#head = following;
		this.status = status;
		this.ifindex = this.#words[word + (TP_IFINDEX >> 2)] as number;
		this.tag = this.#halves[(slot + TP_VLAN_TCI) >> 1] as number;
		this.region = this.#region;
		this.at = slot + (this.#halves[(slot + TP_MAC) >> 1] as number);
		this.length = this.#words[word + (TP_SNAPLEN >> 2)] as number;
		if (long) this.#readLong();
		else if (this.length !== this.#words[word + (TP_LENGTH >> 2)]) this.length = 0;
		return true;
	}

	/** Gives the batch's slots back to the kernel. */
	release(): void {
		const words = this.#words;
		for (let slot = this.#released; slot !== this.#head; ) {
			words[(slot * this.#slotSize) >> 2] = 0;
			slot = slot + 1 === this.#slots ? 0 : slot + 1;
		}
		this.#released = this.#head;
		this.#longFrames = 0;
	}

	close(): void {
		unmap(this.#lane);
	}

	/** A length of 0 says that the frame is lost: there was no room to keep it whole. */
	#readLong(): void {
		const index = this.#longFrames++;
		const bytes = receive(this.fd, this.#laneAddresses[index] as bigint, LONG_FRAME, MSG_DONTWAIT);
		this.region = this.#laneRegion;
		this.at = index * LONG_FRAME + VNET_HEADER;
		this.length = Math.max(0, bytes - VNET_HEADER);
	}
}
