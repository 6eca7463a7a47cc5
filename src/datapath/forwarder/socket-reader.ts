/**
 * A frame source without a ring, for after a ring has jammed. tpacket_rcv (net/packet/af_packet.c) marks a slot
 * as taken before it makes the virtio header, and forgets the mark when a frame's kind of GSO has no such header
 * (UDP fragmentation, SCTP): from then on no frame enters the ring. Any guest can send one, because TAPs take it
 * from anybody. A plain socket answers EINVAL for that one frame and goes on.
 */
import { errno } from '../../sys/libc.js';
import { type Mapping, mapShared, unmap } from '../../sys/memory.js';
import { MSG_DONTWAIT, receiveMessages } from '../../sys/packet.js';
import { VNET_HEADER } from '../../wire/vnet-header.js';
import { type Region, regionOf } from '../transmit.js';
import type { FrameSource } from './frame-source.js';
import { LONG_FRAME } from './ring-reader.js';

/** Frames of one `recvmmsg`, each with room for the longest. */
const MESSAGES = 32;
/** struct mmsghdr, struct iovec, struct sockaddr_ll and one control message with struct tpacket_auxdata. */
const MESSAGE = 64;
const IOVEC = 16;
const NAME = 32;
const CONTROL = 64;
const HEADERS = MESSAGES * (MESSAGE + IOVEC + NAME + CONTROL);
const NAME_LENGTH = 20;
const CONTROL_HEADER = 16;

export class SocketReader implements FrameSource {
	readonly fd: number;
	readonly region: Region;
	readonly sendRing = undefined;
	at = 0;
	length = 0;
	ifindex = 0;
	tag = 0;
	status = 0;
	/** Frames that had no virtio header, since the caller last looked. */
	refused = 0;
	readonly #memory: Mapping;
	readonly #words: Int32Array;
	#count = 0;
	#index = 0;

	/** @param fd from `openReceiver`. */
	constructor(fd: number) {
		this.fd = fd;
		this.#memory = mapShared(HEADERS + MESSAGES * LONG_FRAME);
		this.region = regionOf(this.#memory);
		this.#words = new Int32Array(this.#memory.bytes.buffer, 0, HEADERS / 4);
		for (let index = 0; index < MESSAGES; index++) this.#prepare(index);
	}

	next(): boolean {
		// One batch is one system call: what comes after it belongs to the next.
		if (this.#count === 0) this.#receive();
		const index = this.#index;
		if (index >= this.#count) return false;
		this.#index = index + 1;
		const words = this.#words;
		const control = (CONTROL_AT + index * CONTROL) >> 2;
		this.at = HEADERS + index * LONG_FRAME + VNET_HEADER;
		this.length = Math.max(0, (words[(index * MESSAGE + 56) >> 2] as number) - VNET_HEADER);
		this.ifindex = words[(NAME_AT + index * NAME + 4) >> 2] as number;
		this.status = words[control + CONTROL_HEADER / 4] as number;
		// struct tpacket_auxdata: status, len, snaplen, u16 mac, net, vlan_tci, vlan_tpid.
		this.tag = (words[control + (CONTROL_HEADER + 16) / 4] as number) & 0xffff;
		return true;
	}

	release(): void {
		for (let index = 0; index < this.#count; index++) this.#rearm(index);
		this.#count = 0;
		this.#index = 0;
	}

	close(): void {
		unmap(this.#memory);
	}

	#receive(): void {
		for (let tries = 0; tries < MESSAGES; tries++) {
			const count = receiveMessages(this.fd, this.#memory.address, MESSAGES, MSG_DONTWAIT, null);
			if (count >= 0) {
				this.#count = count;
				return;
			}
			if (errno() !== EINVAL) return;
			this.refused++;
		}
	}

	#prepare(index: number): void {
		const { address } = this.#memory;
		const message = index * MESSAGE;
		const iovec = IOVEC_AT + index * IOVEC;
		this.#point(message, address + BigInt(NAME_AT + index * NAME));
		this.#point(message + 16, address + BigInt(iovec));
		this.#words[(message + 24) >> 2] = 1;
		this.#point(message + 32, address + BigInt(CONTROL_AT + index * CONTROL));
		this.#point(iovec, address + BigInt(HEADERS + index * LONG_FRAME));
		this.#words[(iovec + 8) >> 2] = LONG_FRAME;
		this.#rearm(index);
	}

	/** The kernel overwrites what a message may hold with what it holds. */
	#rearm(index: number): void {
		const words = this.#words;
		const message = index * MESSAGE;
		words[(message + 8) >> 2] = NAME_LENGTH;
		words[(message + 40) >> 2] = CONTROL;
		words[(CONTROL_AT + index * CONTROL + CONTROL_HEADER) >> 2] = 0;
	}

	#point(at: number, address: bigint): void {
		this.#words[at >> 2] = Number(BigInt.asIntN(32, address));
		this.#words[(at >> 2) + 1] = Number(address >> 32n);
	}
}

const IOVEC_AT = MESSAGES * MESSAGE;
const NAME_AT = IOVEC_AT + MESSAGES * IOVEC;
const CONTROL_AT = NAME_AT + MESSAGES * NAME;
const EINVAL = 22;
