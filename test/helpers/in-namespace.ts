/**
 * Network namespaces for integration tests. A test file runs in a process of its own (AVA with
 * `workerThreads: false`), so it may simply leave the machine's namespace for good: nothing it does can touch the
 * machine's devices, and everything it made goes when it ends, however it ends.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { isMainThread } from 'node:worker_threads';
import { check, libc } from '../../src/sys/libc.js';

/**
 * Moves this thread into a new network namespace, empty but for a `lo` that is down. Child processes and worker
 * threads started later are born into it. libuv's thread pool is not: no asynchronous `fs` on /proc/net or
 * /dev/net/tun afterwards, only the Sync functions. /sys still shows the old namespace.
 * @throws SysError EPERM without CAP_SYS_ADMIN: integration tests need root.
 */
export function enterFreshNamespace(): void {
	if (!isMainThread)
		throw new Error('a worker thread can not take the process along: run AVA with workerThreads: false');
	check(unshare(CLONE_NEWNET), 'unshare');
}

export interface Outcome {
	status: number | null;
	stdout: string;
	stderr: string;
}

/**
 * Runs a compiled script with this Node in a fresh namespace of its own, where /sys is right too.
 * @param words that start Node.
 */
export function runInNamespace(
	script: URL,
	args: readonly string[] = [],
	timeoutMs = 60_000,
	words: readonly string[] = [process.execPath],
): Outcome {
	const command = 'mount -t sysfs sysfs /sys && exec "$@"';
	const node = [...words, fileURLToPath(script), ...args];
	return spawnSync('unshare', ['--net', '--mount', '--', 'sh', '-c', command, 'sh', ...node], {
		encoding: 'utf8',
		timeout: timeoutMs,
	});
}

/** Runs a program in the namespace of this thread, to its end. @returns stdout. @throws with its stderr if it fails. */
export function run(command: string, ...args: string[]): string {
	return execFileSync(command, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
}

// linux/sched.h
const CLONE_NEWNET = 0x40000000;
const unshare = libc.func('int unshare(int flags)') as (flags: number) => number;
