/** ioctl(2) is variadic in C; on the 64-bit ABIs of Linux one more word goes where a fixed argument would. */
import { libc } from './libc.js';

/** @param argument what the request reads, or writes into. @returns -1 for an error. @syscalls ioctl */
export const ioctlPointer = libc.func('int ioctl(int fd, unsigned long request, void *argument)') as (
	fd: number,
	request: number,
	argument: Uint8Array | Int32Array,
) => number;

/** @returns -1 for an error. @syscalls ioctl */
export const ioctlValue = libc.func('int ioctl(int fd, unsigned long request, long argument)') as (
	fd: number,
	request: number,
	argument: number,
) => number;
