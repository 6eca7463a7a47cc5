/**
 * A batch of frames on their way out: one `sendmmsg` for all of them, each with its own interface. The message
 * headers and iovecs lie in memory allocated once; an iovec points at the frame where it is (in a receive ring,
 * or in the backlog), so that nothing is copied here. A frame that can't be sent doesn't hold up the others.
 *
 *   messages   64 bytes each: struct mmsghdr { msghdr { name, namelen, iov, iovlen, … }, len }
 *   iovecs     16 bytes each: struct iovec { base, length }
 *   addresses  32 bytes per edge: struct sockaddr_ll, rewritten when the edge's interface changes
 */
import { errno } from '../sys/libc.js';
import { type Mapping, mapShared, unmap } from '../sys/memory.js';
import { MSG_DONTWAIT, SOCKET_ADDRESS, sendMessages, writeSocketAddress } from '../sys/packet.js';
import { VNET_HEADER } from '../wire/vnet-header.js';
import {
	COPIES_LOST,
	type Counters,
	DROPS,
	FORWARDED,
	OUT_BYTES,
	OUT_PACKETS,
	RX_LIMITED,
	STRIDE,
} from './counters.js';
import { KernelBuckets } from './kernel-buckets.js';
import type { TokenBuckets } from './token-buckets.js';
import { dropReasons, EDGES_MAX } from './verdict.js';

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
	rx: TokenBuckets;
	/** Counters of the other thread, which delivers to the same edges and so spends the same tokens. */
	others: Counters;
}

export class TransmitBatch {
	readonly #fd: number;
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
	#count = 0;

	/** @param fd from `openSender`. @param capacity frames. */
	constructor(fd: number, capacity: number, counters: Counters, { rx, others }: Receipts) {
		this.#fd = fd;
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
		this.#ingress = new Int32Array(capacity);
		this.#edges = new Int32Array(capacity);
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

	get full(): boolean {
		return this.#count === this.#capacity;
	}

	/**
	 * Adds a frame: `length` bytes at `at` of the region, its virtio header in front of it. It must stay as it
	 * is until `flush`. The caller flushes when the batch is full. What its receiver's limit refuses is not added.
	 * @param ingress edge that it came from, or COPY.
	 */
	add(region: Region, at: number, length: number, edge: number, ingress: number): void {
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

	/** Sends what was added, counts it, and is empty again. */
	flush(): void {
		const count = this.#count;
		let done = 0;
		while (done < count) {
			const sent = sendMessages(this.#fd, this.#messageAddresses[done] as bigint, count - done, MSG_DONTWAIT);
			const end = done + Math.max(0, sent);
			for (; done < end; done++) this.#countSent(done);
			// `sendmmsg` stops at the first frame that fails and tells why only when asked to begin with it.
			if (sent < 0) this.#countFailed(done++, reasonOf(errno()));
		}
		this.#count = 0;
	}

	close(): void {
		this.#shared?.close();
		unmap(this.#memory);
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
