/** File descriptors: closing, waiting for several at once, and the event counters that wake a waiting thread. */
import { check, errno, libc } from './libc.js';
import { addressOf } from './memory.js';

/** @throws SysError, except for EINTR, after which Linux has closed the descriptor all the same. @syscalls close */
export function closeFd(fd: number): void {
	if (close(fd) < 0 && errno() !== EINTR) check(-1, `close ${fd}`);
}

/** Opens an event counter (eventfd(2)): non-blocking, closed on exec. @syscalls eventfd2 */
export function openEvent(): number {
	return check(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC), 'eventfd');
}

/** Wakes whoever waits for the event. Cheap enough for the frame path: no allocation, one system call. */
export function signalEvent(fd: number): void {
	write(fd, ONE, 8);
}

/** Takes the event back, so that the next wait waits. */
export function clearEvent(fd: number): void {
	read(fd, SCRATCH, 8);
}

/** Lets another thread that waits for this processor go first. @syscalls sched_yield */
export const yieldProcessor = libc.func('int sched_yield()') as () => number;

/** A fixed set of descriptors to wait for: 8 bytes each (`struct pollfd`), filled once, allocated never again. */
export class PollSet {
	readonly #fds: Int32Array;
	readonly #address: bigint;
	readonly #count: number;

	constructor(...fds: number[]) {
		this.#count = fds.length;
		this.#fds = new Int32Array(fds.length * 2);
		fds.forEach((fd, index) => {
			this.#fds[index * 2] = fd;
			this.#fds[index * 2 + 1] = POLLIN;
		});
		this.#address = addressOf(this.#fds);
	}

	/**
	 * Waits until one is readable, in error, or `timeout` milliseconds are over (-1: for ever).
	 * @returns how many are, 0 after the time is over; a signal counts as neither. @syscalls poll
	 */
	wait(timeout: number): number {
		return Math.max(0, poll(this.#address, this.#count, timeout));
	}

	/** Whether the descriptor number `index` was ready when `wait` returned. */
	ready(index: number): boolean {
		return this.#returned(index) !== 0;
	}

	/** Whether it has an error to report, and will be ready until somebody asks for it. */
	failed(index: number): boolean {
		return (this.#returned(index) & POLLERR) !== 0;
	}

	#returned(index: number): number {
		return (this.#fds[index * 2 + 1] as number) >>> 16;
	}
}

const EINTR = 4;
const POLLIN = 1;
const POLLERR = 8;
const EFD_NONBLOCK = 0o4000;
const EFD_CLOEXEC = 0o2000000;

const ONE = new Uint8Array(BigUint64Array.of(1n).buffer);
const SCRATCH = new Uint8Array(8);

const close = libc.func('int close(int fd)') as (fd: number) => number;
const eventfd = libc.func('int eventfd(unsigned int initial, int flags)') as (
	initial: number,
	flags: number,
) => number;
const write = libc.func('long write(int fd, const void *buffer, size_t length)') as (
	fd: number,
	buffer: Uint8Array,
	length: number,
) => number;
const read = libc.func('long read(int fd, void *buffer, size_t length)') as (
	fd: number,
	buffer: Uint8Array,
	length: number,
) => number;
const poll = libc.func('int poll(void *fds, unsigned long count, int timeout)') as (
	fds: bigint,
	count: number,
	timeout: number,
) => number;
