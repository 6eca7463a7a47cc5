/**
 * Ends of a port that a test holds itself, to send exact bytes and see exactly what arrives: a guest that has
 * nothing but the slave's TAP, and the far end of the master's wire. Both are a descriptor that carries frames
 * with a virtio-net header in front. Calls wait in poll(2) on the test's own thread: whatever they wait for
 * happens in other processes.
 */
import { closeSync, constants, openSync, readSync, writevSync } from 'node:fs';
import type { Namespace } from '../../src/lab/namespace.js';
import { PollSet } from '../../src/sys/fd.js';
import { check, libc } from '../../src/sys/libc.js';
import {
	IFF_PERSIST,
	openTap,
	setOffload,
	setSendBuffer,
	TUN_F_CSUM,
	TUN_F_TSO4,
	TUN_F_TSO6,
	tapFlags,
} from '../../src/sys/tap.js';
import { VNET_HEADER } from '../../src/wire/vnet-header.js';

export interface Received {
	/** The virtio-net header, 10 bytes. */
	vnet: Buffer;
	/** From the destination MAC on. */
	frame: Buffer;
}

export interface TapGuestOptions {
	/** Accept frames unsegmented and without checksum, as QEMU does when the guest's driver can. */
	offloads?: boolean;
}

/** Checksum and TCP segmentation, as QEMU sets them for Linux's virtio-net. */
export const guestOffloads = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6;

export class FrameEnd {
	readonly fd: number;
	readonly #poll: PollSet;
	readonly #again: Received[] = [];
	/** Frames that came and were not heard. */
	overheard = 0;
	readonly #overhears: (frame: Buffer) => boolean;

	/** @param overhears frames that are as if they had never come. */
	constructor(fd: number, overhears: (frame: Buffer) => boolean = () => false) {
		this.fd = fd;
		this.#overhears = overhears;
		this.#poll = new PollSet(fd);
	}

	/** @throws the kernel's error when it doesn't take the frame. */
	send(frame: Uint8Array, vnet: Uint8Array = noVnet): void {
		writevSync(this.fd, [vnet, frame]);
	}

	/** As `send`, for frames that the kernel may well refuse. @returns its errno's name, or `sent`. */
	trySend(frame: Uint8Array, vnet?: Uint8Array): string {
		for (;;) {
			try {
				this.send(frame, vnet);
				return 'sent';
			} catch (error) {
				const code = (error as NodeJS.ErrnoException).code ?? String(error);
				// The socket's buffer is full of frames that are on their way.
				if (code !== 'EAGAIN' && code !== 'ENOBUFS') return code;
				this.#poll.wait(1);
			}
		}
	}

	/** Makes frames that were received the next ones again. */
	putBack(frames: readonly Received[]): void {
		this.#again.unshift(...frames);
	}

	/** The next frame, or undefined when none comes within `timeout` milliseconds. */
	receive(timeout = 5000): Received | undefined {
		const again = this.#again.shift();
		if (again !== undefined) return again;
		const deadline = performance.now() + timeout;
		for (;;) {
			const length = this.#read();
			if (length > 0) {
				const frame = Buffer.from(scratch.subarray(VNET_HEADER, length));
				if (this.#overhears(frame)) {
					this.overheard++;
					continue;
				}
				return { vnet: Buffer.from(scratch.subarray(0, VNET_HEADER)), frame };
			}
			const left = deadline - performance.now();
			if (left <= 0) return undefined;
			this.#poll.wait(Math.ceil(left));
		}
	}

	/** Frames up to and with the first that `wanted` accepts. @throws if it doesn't come in time. */
	receiveUntil(wanted: (received: Received) => boolean, timeout = 5000): Received[] {
		const frames: Received[] = [];
		const deadline = performance.now() + timeout;
		for (;;) {
			const received = this.receive(Math.max(0, deadline - performance.now()));
			if (received === undefined) {
				const seen = frames.map(({ frame }) => frame.subarray(0, 64).toString('hex')).join('\n');
				throw new Error(`the frame waited for did not come in ${timeout} ms; these did:\n${seen || 'none'}`);
			}
			frames.push(received);
			if (wanted(received)) return frames;
		}
	}

	/** What has arrived by now. */
	drain(): Received[] {
		const frames: Received[] = [];
		for (;;) {
			const received = this.receive(0);
			if (received === undefined) return frames;
			frames.push(received);
		}
	}

	close(): void {
		closeSync(this.fd);
	}

	#read(): number {
		try {
			return readSync(this.fd, scratch);
		} catch (error) {
			const { code } = error as NodeJS.ErrnoException;
			if (code === 'EAGAIN' || code === 'ENETDOWN') return 0;
			throw error;
		}
	}
}

/** Opens a slave's TAP by its name, as QEMU does. @throws if there is no such TAP. */
export function openGuest(
	namespace: Namespace,
	ifname: string,
	{ offloads = true }: TapGuestOptions = {},
): FrameEnd {
	return within(namespace, () => {
		const fd = openTap(ifname);
		if ((tapFlags(fd).flags & IFF_PERSIST) === 0) {
			closeSync(fd);
			throw new Error(`there was no TAP ${ifname}`);
		}
		setOffload(fd, offloads ? guestOffloads : 0);
		setSendBuffer(fd, 0x7fffffff);
		return new FrameEnd(fd);
	});
}

/**
 * Runs `body` with this thread inside another network namespace: sockets and TAPs opened there stay there.
 * It must not wait for anything, as the thread would come back too early.
 */
export function within<T>(namespace: Pick<Namespace, 'path'>, body: () => T): T {
	const home = openSync('/proc/thread-self/ns/net', constants.O_RDONLY);
	const there = openSync(namespace.path, constants.O_RDONLY);
	try {
		check(setns(there, CLONE_NEWNET), 'setns');
		try {
			return body();
		} finally {
			check(setns(home, CLONE_NEWNET), 'setns');
		}
	} finally {
		closeSync(home);
		closeSync(there);
	}
}

/** The longest frame, with its virtio header, that anybody sends. */
const scratch = Buffer.alloc(80 * 1024);
const noVnet = new Uint8Array(VNET_HEADER);

// linux/sched.h
const CLONE_NEWNET = 0x40000000;
const setns = libc.func('int setns(int fd, int type)') as (fd: number, type: number) => number;
