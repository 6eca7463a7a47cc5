/** The end of this process. */
import { libc } from './libc.js';

/**
 * Ends this process at once and every thread of it, wherever each may be. process.exit() waits for its worker threads,
 * and one that is in a system call without a limit, as a frame thread is when no frames come, never gets there.
 * @syscalls exit_group
 */
export function endProcess(status: number): never {
	exit(status);
	throw new Error('_exit(2) came back');
}

const exit = libc.func('void _exit(int status)') as (status: number) => void;
