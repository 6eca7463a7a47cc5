/** flock(2): the lock that the kernel takes back when its holder ends, however it ends. */
import { check, errno, libc } from './libc.js';

/**
 * Locks an open file for this process, without waiting. The lock goes when the descriptor is closed.
 * @returns false if another open file has it. @throws SysError. @syscalls flock
 */
export function tryLock(fd: number): boolean {
	const result = flock(fd, LOCK_EX | LOCK_NB);
	if (result < 0 && errno() === EWOULDBLOCK) return false;
	check(result, 'flock');
	return true;
}

// asm-generic/fcntl.h
const LOCK_EX = 2;
const LOCK_NB = 4;
// asm-generic/errno.h: EAGAIN by another name.
const EWOULDBLOCK = 11;

const flock = libc.func('int flock(int fd, int operation)') as (fd: number, operation: number) => number;
