/**
 * A batch of frames on their way out. By messages: one `sendmmsg` for all of them, each with its own interface. The
 * message headers and iovecs lie in memory allocated once; an iovec points at the frame where it is (in a receive ring,
 * or in the backlog), so that nothing is copied here. By a ring (see send-ring.ts): what is for one edge after the
 * other, short frames as slots, long ones as messages. A frame that can't be sent doesn't hold up the others.
 *
 *   messages   64 bytes each: struct mmsghdr { msghdr { name, namelen, iov, iovlen, … }, len }
 *   iovecs     16 bytes each: struct iovec { base, length }
 *   addresses  32 bytes per edge: struct sockaddr_ll, rewritten when the edge's interface changes
 */
import { rest } from '../sys/clock.js';
import { errno } from '../sys/libc.js';
import { type Mapping, mapShared, unmap } from '../sys/memory.js';
import { MSG_DONTWAIT, SOCKET_ADDRESS, sendMessages, writeSocketAddress } from '../sys/packet.js';
import { ETHERNET_HEADER } from '../wire/ethernet.js';
import { VNET_HEADER } from '../wire/vnet-header.js';
import {
	COPIES_LOST,
	type Counters,
	DROPS,
	FORWARDED,
	NOT_TRIED,
	OUT_BYTES,
	OUT_PACKETS,
	RX_LIMITED,
	STRIDE,
} from './counters.js';
import { KernelBuckets } from './kernel-buckets.js';
import type { SendRing } from './send-ring.js';
import type { BatchClock, TokenBuckets } from './token-buckets.js';
import { dropReasons, EDGE_WIRE, EDGES_MAX } from './verdict.js';

/** Memory that frames lie in, as the kernel is told about it: address split into what typed arrays can hold. */
export interface Region {
	frame: DataView;
	addressLow: number;
	addressHigh: number;
}

export function regionOf(mapping: Mapping): Region {
	return {
		frame: new DataView(mapping.bytes.buffer, mapping.bytes.byteOffset, mapping.length),
		addressLow: Number(mapping.address & 0xffffffffn),
		addressHigh: Number(mapping.address >> 32n),
	};
}

/** In place of an ingress edge: the frame is one copy of several. */
export const COPY = -1;

/** What edges may receive. */
export interface Receipts {
	clock: BatchClock;
	rx: TokenBuckets;
	/** Counters of the other thread, which delivers to the same edges and so spends the same tokens. */
	others: Counters;
}

export class TransmitBatch {
	readonly #fd: number;
	readonly #clock: BatchClock;
	readonly #rx: TokenBuckets;
	readonly #others: Counters;
	readonly #counters: Counters;
	readonly #memory: Mapping;
	readonly #capacity: number;
	readonly #messageAddresses: bigint[];
	readonly #words: Uint32Array;
	readonly #addresses: DataView;
	readonly #addressesLow: number;
	readonly #addressesHigh: number;
	readonly #ingress: Int32Array;
	readonly #edges: Int32Array;
	#shared: KernelBuckets | undefined;
	/** Until when nothing more is tried for an edge; 0: it is. */
	readonly #heldUntil = new Float64Array(EDGES_MAX);
	readonly #edgeAddresses: bigint[];
	/** For each frame the next one to the same edge, for each edge its last frame: -1 is none. */
	readonly #next: Int32Array;
	readonly #last = new Int32Array(EDGES_MAX).fill(-1);
	readonly #firsts: Int32Array;
	/** Bytes of the longest frame, virtio header included, that may go by a ring: it doesn't ask for the MTU. */
	#longest = ETHERNET_MTU + ETHERNET_HEADER + VNET_HEADER;
	#count = 0;
	/** Why the frame after those just sent was not: a drop reason, or 0. */
	#failure = 0;
	/** Whether this batch may still be rested for, and whether it was. */
	#mayRest = false;
	#rested = false;
	/** Edges that did not read while they were waited for. */
	readonly #deaf = new Uint8Array(EDGES_MAX);

	/** @param fd from `openSender`. @param capacity frames. */
	constructor(fd: number, capacity: number, counters: Counters, { clock, rx, others }: Receipts) {
		this.#fd = fd;
		this.#clock = clock;
		this.#rx = rx;
		this.#others = others;
		this.#counters = counters;
		this.#capacity = capacity;
		const addressesAt = capacity * (MESSAGE + IOVEC);
		this.#memory = mapShared(addressesAt + EDGES_MAX * ADDRESS);
		const { address, bytes } = this.#memory;
		this.#words = new Uint32Array(bytes.buffer, 0, addressesAt / 4);
		this.#addresses = new DataView(bytes.buffer, addressesAt);
		const addresses = address + BigInt(addressesAt);
		this.#addressesLow = Number(addresses & 0xffffffffn);
		this.#addressesHigh = Number(addresses >> 32n);
		this.#messageAddresses = Array.from({ length: capacity }, (_, i) => address + BigInt(i * MESSAGE));
		this.#edgeAddresses = Array.from({ length: EDGES_MAX }, (_, i) => addresses + BigInt(i * ADDRESS));
		this.#ingress = new Int32Array(capacity);
		this.#edges = new Int32Array(capacity);
		this.#next = new Int32Array(capacity);
		this.#firsts = new Int32Array(capacity);
		for (let index = 0; index < capacity; index++) this.#prepare(index);
	}

	/** From now on, frames for the edge go to this interface. */
	setInterface(edge: number, ifindex: number): void {
		writeSocketAddress(this.#addresses, edge * ADDRESS, ifindex);
	}

	/** What edges may receive is in this map of the kernel's; undefined: in buckets of this thread's. */
	shareBuckets(map: number | undefined): void {
		this.#shared?.close();
		this.#shared = map === undefined ? undefined : new KernelBuckets(map);
	}

	setMtu(mtu: number): void {
		this.#longest = mtu + ETHERNET_HEADER + VNET_HEADER;
	}

	get full(): boolean {
		return this.#count === this.#capacity;
	}

	/**
	 * Adds a frame: `length` bytes at `at` of the region, its virtio header in front of it. It must stay as it
	 * is until `flush`. The caller flushes when the batch is full. What its receiver's limit refuses is not added.
	 * @param ingress edge that it came from, or COPY.
	 */
	add(region: Region, at: number, length: number, edge: number, ingress: number): void {
		if (this.#heldUntil[edge] !== 0 && this.#isHeld(edge)) {
			this.#countNotTried(edge, ingress);
			return;
		}
		if (this.#rx.limits(edge) && !this.#mayReceive(edge, length)) {
			this.#countRefused(edge, ingress);
			return;
		}
		const index = this.#count++;
		this.#ingress[index] = ingress;
		this.#edges[index] = edge;
		const words = this.#words;
		const name = this.#addressesLow + edge * ADDRESS;
		const message = index * (MESSAGE / 4);
		words[message] = name;
		words[message + 1] = this.#addressesHigh + (name > 0xffffffff ? 1 : 0);
		const base = region.addressLow + at - VNET_HEADER;
		const iovec = (this.#capacity * MESSAGE + index * IOVEC) >> 2;
		words[iovec] = base;
		words[iovec + 1] = region.addressHigh + (base > 0xffffffff ? 1 : 0);
		words[iovec + 2] = length + VNET_HEADER;
	}

	/**
	 * Sends what was added, counts it, and is empty again.
	 * @param ring in whose mapping the frames lie, if they do.
	 */
	flush(ring?: SendRing): void {
		if (ring === undefined) this.#sendMessages(0, this.#count);
		else this.#sendByEdge(ring);
		this.#count = 0;
	}

	close(): void {
		this.#shared?.close();
		unmap(this.#memory);
	}

	/** The frames [first, end), each with its own message. */
	#sendMessages(first: number, end: number): void {
		let done = first;
		while (done < end) {
			const sent = sendMessages(this.#fd, this.#messageAddresses[done] as bigint, end - done, MSG_DONTWAIT);
			const failed = done + Math.max(0, sent);
			for (; done < failed; done++) this.#countSent(done);
			// `sendmmsg` stops at the first frame that fails and tells why only when asked to begin with it.
			if (sent < 0) this.#countFailed(done++, reasonOf(errno()));
		}
	}

	/** A ring goes to one interface at a time. What goes to one edge keeps its order; edges have none among them. */
	#sendByEdge(ring: SendRing): void {
		let edges = 0;
		for (let index = 0; index < this.#count; index++) {
			const edge = this.#edges[index] as number;
			const last = this.#last[edge] as number;
			if (last < 0) this.#firsts[edges++] = index;
			else this.#next[last] = index;
			this.#last[edge] = index;
			this.#next[index] = -1;
		}
		this.#mayRest = edges === 1;
		this.#rested = false;
		for (let number = 0; number < edges; number++) {
			let index = this.#firsts[number] as number;
			this.#last[this.#edges[index] as number] = -1;
			while (index >= 0) index = this.#sendSome(ring, index);
		}
	}

	/** Sends frames to one edge, from this one on. @returns the first that it didn't come to, or -1. */
	#sendSome(ring: SendRing, first: number): number {
		const edge = this.#edges[first] as number;
		let sent = this.#sendInOrder(ring, first, edge);
		if (sent > 0) this.#deaf[edge] = 0;
		let index = first;
		for (; sent > 0; sent--) {
			this.#countSent(index);
			index = this.#next[index] as number;
		}
		if (this.#failure === 0 || (this.#failure === RECEIVER_FULL && this.#rest(edge, index === first)))
			return index;
		this.#countFailed(index, this.#failure);
		index = this.#next[index] as number;
		for (; index >= 0 && this.#heldUntil[edge] !== 0; index = this.#next[index] as number) {
			this.#countNotTried(edge, this.#ingress[index] as number);
		}
		return index;
	}

	/** As many frames as fit the ring, or one alone that doesn't. @returns how many were sent, `#failure` tells of the next. */
	#sendInOrder(ring: SendRing, first: number, edge: number): number {
		let index = first;
		while (index >= 0 && this.#fill(ring, index)) index = this.#next[index] as number;
		if (index !== first) {
			const sent = ring.push(this.#edgeAddresses[edge] as bigint);
			this.#failure = ring.failure && reasonOf(ring.failure);
			return sent;
		}
		const sent = sendMessages(this.#fd, this.#messageAddresses[first] as bigint, 1, MSG_DONTWAIT);
		this.#failure = sent < 0 ? reasonOf(errno()) : 0;
		return Math.max(0, sent);
	}

	#fill(ring: SendRing, index: number): boolean {
		const words = this.#words;
		const iovec = (this.#capacity * MESSAGE + index * IOVEC) >> 2;
		const length = words[iovec + 2] as number;
		return length <= this.#longest && ring.fill(words[iovec] as number, words[iovec + 1] as number, length);
	}

	/**
	 * Once in a batch that is for nobody else, gives a guest that has its queue full the time to read, and perhaps the
	 * processor that it lacks. One that reads nothing meanwhile isn't waited for again before it has.
	 * @param again whether nothing went out since the last time. @returns whether to try again.
	 */
	#rest(edge: number, again: boolean): boolean {
		if (edge === EDGE_WIRE || this.#deaf[edge] !== 0) return false;
		if (this.#mayRest) {
			this.#mayRest = false;
			this.#rested = true;
			rest(REST_MICROSECONDS);
			this.#clock.expire();
			return true;
		}
		if (again && this.#rested) this.#deaf[edge] = 1;
		return false;
	}

	/** What was refused a moment ago would be again, at the price of sending it. */
	#isHeld(edge: number): boolean {
		if (this.#clock.now() < (this.#heldUntil[edge] as number)) return true;
		this.#heldUntil[edge] = 0;
		return false;
	}

	#countNotTried(edge: number, ingress: number): void {
		const counters = this.#counters;
		(counters[edge * STRIDE + NOT_TRIED] as number)++;
		if (ingress !== COPY) (counters[ingress * STRIDE + DROPS + RECEIVER_FULL] as number)++;
	}

	#countSent(index: number): void {
		const counters = this.#counters;
		const edge = (this.#edges[index] as number) * STRIDE;
		const iovec = (this.#capacity * MESSAGE + index * IOVEC) >> 2;
		(counters[edge + OUT_PACKETS] as number)++;
		(counters[edge + OUT_BYTES] as number) += (this.#words[iovec + 2] as number) - VNET_HEADER;
		const ingress = this.#ingress[index] as number;
		if (ingress !== COPY) (counters[ingress * STRIDE + FORWARDED] as number)++;
	}

	/** Both threads charge a bucket of their own with what both deliver, so together they keep to the one limit. */
	#mayReceive(edge: number, length: number): boolean {
		if (this.#shared) return this.#shared.takeRx(edge, length);
		this.#rx.charge(edge, this.#others[edge * STRIDE + OUT_BYTES] as number);
		return this.#rx.take(edge, length);
	}

	#countRefused(edge: number, ingress: number): void {
		const counters = this.#counters;
		(counters[edge * STRIDE + RX_LIMITED] as number)++;
		if (ingress !== COPY) (counters[ingress * STRIDE + DROPS + LIMIT_RX] as number)++;
	}

	#countFailed(index: number, reason: number): void {
		const ingress = this.#ingress[index] as number;
		if (reason === RECEIVER_FULL && this.#edges[index] !== EDGE_WIRE) {
			this.#heldUntil[this.#edges[index] as number] = this.#clock.now() + HOLD_MS;
		}
		const field =
			ingress === COPY
				? (this.#edges[index] as number) * STRIDE + COPIES_LOST
				: ingress * STRIDE + DROPS + reason;
		(this.#counters[field] as number)++;
	}

	#prepare(index: number): void {
		const iovecAt = this.#capacity * MESSAGE + index * IOVEC;
		const iovec = this.#memory.address + BigInt(iovecAt);
		const message = index * (MESSAGE / 4);
		this.#words[message + 2] = SOCKET_ADDRESS;
		this.#words[message + 4] = Number(iovec & 0xffffffffn);
		this.#words[message + 5] = Number(iovec >> 32n);
		this.#words[message + 6] = 1;
	}
}

/**
 * A TAP holds 500 frames or more, which a guest takes longer than this to read, so that it finds some when we look
 * again. The network card at the other end is faster, and there is no telling how full it is.
 */
const HOLD_MS = 0.1;
const REST_MICROSECONDS = 50;

const ETHERNET_MTU = 1500;
const MESSAGE = 64;
const IOVEC = 16;
const ADDRESS = 32;

const RECEIVER_FULL = dropReasons.indexOf('receiver-full');
const RECEIVER_DOWN = dropReasons.indexOf('receiver-down');
const TOO_BIG = dropReasons.indexOf('too-big');
const SEND_FAILED = dropReasons.indexOf('send-failed');
const LIMIT_RX = dropReasons.indexOf('limit-rx');

/** errno of a send to the reason that counts it (packet_snd in net/packet/af_packet.c). */
function reasonOf(errno: number): number {
	switch (errno) {
		case 11: // EAGAIN: the socket's buffer is full of frames that the master's driver still holds.
		case 105: // ENOBUFS: the device's queue is full.
			return RECEIVER_FULL;
		case 6: // ENXIO: the interface is gone.
		case 19: // ENODEV
		case 100: // ENETDOWN
			return RECEIVER_DOWN;
		case 90: // EMSGSIZE: longer than the interface's MTU, and not segmentable.
			return TOO_BIG;
		default:
			return SEND_FAILED;
	}
}
