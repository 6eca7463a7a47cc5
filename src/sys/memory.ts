/**
 * Memory that the kernel, or another thread, sees too: addresses of buffers for system calls, and anonymous
 * shared mappings that every thread of this process can view.
 */
import koffi from 'koffi';
import { check, libc } from './libc.js';

/** A mapping: `address` and `length` (bytes) may travel to another thread, `bytes` may not. */
export interface Mapping {
	address: bigint;
	length: number;
	bytes: Uint8Array;
}

/**
 * Maps zeroed memory shared by all threads of the process.
 * @param length bytes; rounded up to whole pages by the kernel.
 * @throws SysError. @syscalls mmap
 */
export function mapShared(length: number): Mapping {
	return map(length, MAP_SHARED | MAP_ANONYMOUS, -1);
}

/** Maps a file descriptor that has a mapping of its own (an AF_PACKET ring). @throws SysError. @syscalls mmap */
export function mapFd(fd: number, length: number): Mapping {
	return map(length, MAP_SHARED, fd);
}

/** The same memory, seen from this thread. The mapping must outlive every use of the view. */
export function viewOf(address: bigint, length: number): Uint8Array {
	return new Uint8Array(koffi.view(address, length));
}

/** Gives the memory back. Every view of it becomes a trap: stop the threads that use it first. @syscalls munmap */
export function unmap(mapping: Mapping): void {
	check(munmap(mapping.address, mapping.length), 'munmap');
}

/**
 * Where a buffer's first byte lies. It stays valid for as long as the buffer itself is referenced from somewhere
 * that the collector can see; a module's constant that only lent its address is not.
 */
export function addressOf(buffer: Uint8Array | Int32Array | Uint32Array): bigint {
	return koffi.address(buffer);
}

function map(length: number, flags: number, fd: number): Mapping {
	const address = BigInt(mmap(null, length, PROT_READ | PROT_WRITE, flags, fd, 0));
	if (address === MAP_FAILED) check(-1, `mmap of ${length} bytes`);
	return { address, length, bytes: viewOf(address, length) };
}

// asm-generic/mman-common.h
const PROT_READ = 1;
const PROT_WRITE = 2;
const MAP_SHARED = 1;
const MAP_ANONYMOUS = 0x20;
const MAP_FAILED = 0xffffffffffffffffn;

const mmap = libc.func('void *mmap(void *addr, size_t length, int prot, int flags, int fd, long offset)') as (
	addr: null,
	length: number,
	prot: number,
	flags: number,
	fd: number,
	offset: number,
) => bigint;
const munmap = libc.func('int munmap(void *addr, size_t length)') as (addr: bigint, length: number) => number;
