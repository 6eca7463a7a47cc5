import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process';
import { IpvtapError } from '../errors.js';

export interface CommandOptions {
	/** Written to the program's standard input, which is empty without it. */
	input?: string;
	/** Milliseconds until the program is killed. */
	timeout?: number;
	cwd?: string;
	env?: NodeJS.ProcessEnv;
}

export interface Finished {
	/** Exit status; a program ended by a signal has 128 + its number, as in a shell. */
	rc: number;
	/** Standard output, decoded as UTF-8. */
	out: string;
	/** Standard error, decoded as UTF-8. */
	err: string;
}

const defaultTimeoutMs = 30_000;

/**
 * The environment for the programs of a lab: system tools are found where an unprivileged user's PATH has
 * none, and never among npm's commands, which npm puts first in PATH and of which one is called `nft`.
 */
export const toolsEnv: NodeJS.ProcessEnv = {
	...process.env,
	PATH: [
		...(process.env.PATH ?? '').split(':').filter(isSystemFolder),
		'/usr/sbin',
		'/sbin',
		'/usr/bin',
		'/bin',
	].join(':'),
	LC_ALL: 'C.UTF-8',
};

/**
 * Runs a program to its end and gives back what it printed, whatever its exit status.
 *
 * @throws IpvtapError `not-found` when there is no such program, `timed-out` when it had to be killed.
 */
export async function run(
	file: string,
	args: readonly string[],
	options: CommandOptions = {},
): Promise<Finished> {
	const child = spawn(file, args, spawnOptions(options));
	const out: Buffer[] = [];
	const err: Buffer[] = [];
	child.stdout?.on('data', (chunk: Buffer) => out.push(chunk));
	child.stderr?.on('data', (chunk: Buffer) => err.push(chunk));
	// A program may end without reading its input; what it says about that is in its exit status.
	child.stdin?.on('error', () => {});
	child.stdin?.end(options.input ?? '');
	const timeout = options.timeout ?? defaultTimeoutMs;
	let late = false;
	const timer = setTimeout(() => {
		late = true;
		child.kill('SIGKILL');
		// Whatever it started may still hold the other ends of the pipes.
		child.stdout?.destroy();
		child.stderr?.destroy();
	}, timeout);
	try {
		const rc = await closed(child, file);
		const finished = { rc, out: Buffer.concat(out).toString(), err: Buffer.concat(err).toString() };
		if (late) throw new IpvtapError('timed-out', `${line(file, args)}: no end after ${timeout} ms`);
		return finished;
	} finally {
		clearTimeout(timer);
	}
}

/**
 * As {@link run}, for programs that have to succeed: gives back their standard output.
 *
 * @throws IpvtapError `failed` with the program's own words when its exit status isn't 0.
 */
export async function exec(
	file: string,
	args: readonly string[],
	options: CommandOptions = {},
): Promise<string> {
	const { rc, out, err } = await run(file, args, options);
	if (rc === 0) return out;
	const words = (err.trim() || out.trim() || 'no message').slice(-2000);
	throw new IpvtapError('failed', `${line(file, args)}: exit status ${rc}: ${words}`);
}

/** Waits for a child's end and the end of its output, and gives back its exit status. */
export function closed(child: ChildProcess, file: string): Promise<number> {
	return new Promise((resolve, reject) => {
		child.once('error', cause => reject(cannotStart(file, cause)));
		child.once('close', (code, signal) => resolve(code ?? 128 + signalNumber(signal)));
	});
}

export function cannotStart(file: string, cause: unknown): IpvtapError {
	const missing = cause instanceof Error && 'code' in cause && cause.code === 'ENOENT';
	return missing
		? new IpvtapError('not-found', `start ${file}: no such program`, { hint: 'run bin/setup', cause })
		: new IpvtapError('failed', `start ${file}: ${String(cause)}`, { cause });
}

function spawnOptions(options: CommandOptions): SpawnOptions {
	return {
		stdio: ['pipe', 'pipe', 'pipe'],
		...(options.cwd === undefined ? {} : { cwd: options.cwd }),
		env: options.env ?? toolsEnv,
	};
}

function isSystemFolder(folder: string): boolean {
	return folder !== '' && !folder.includes('node_modules');
}

function line(file: string, args: readonly string[]): string {
	const words = [file, ...args].join(' ');
	return words.length > 200 ? `${words.slice(0, 200)}…` : words;
}

/** Numbers of the signals that end programs here (signal(7), x86 and ARM). */
function signalNumber(signal: NodeJS.Signals | null): number {
	return { SIGHUP: 1, SIGINT: 2, SIGKILL: 9, SIGSEGV: 11, SIGTERM: 15 }[String(signal)] ?? 0;
}
