/**
 * Finding the daemon, and starting one. Any number of commands may do so at once: the locks decide which of the
 * daemons stays (lock.ts), the others say so and end, and every command then talks to the one that stayed.
 */
import { spawn } from 'node:child_process';
import {
	closeSync,
	existsSync,
	type FSWatcher,
	mkdirSync,
	openSync,
	renameSync,
	statSync,
	watch,
} from 'node:fs';
import { basename, dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Config, limits } from '../config.js';
import { IpvtapError, isErrorCode } from '../errors.js';
import { call, DaemonAbsent } from './client.js';
import { requireCapabilities } from './privileges.js';

/** What a starting daemon tells the command that started it, over Node's IPC channel. */
export type StartReport =
	| { ready: true }
	/** `wait`: another daemon has the place, and its socket will answer, or be free, in a moment. */
	| { error: { code: string; message: string; hint?: string }; wait?: boolean };

/** Asks the daemon; starts one if there is none. @throws IpvtapError. */
export async function ask<T>(config: Config, method: string, path: string, body?: unknown): Promise<T> {
	const deadline = performance.now() + limits.startMs;
	let busy: IpvtapError | undefined;
	for (;;) {
		try {
			return await call<T>(config.socket, method, path, body);
		} catch (error) {
			if (!(error instanceof DaemonAbsent) || !config.autostart) throw error;
			if (performance.now() >= deadline) throw busy ? inTheWay(error, busy) : error;
		}
		busy = await start(config, deadline);
	}
}

/** As `ask`, but null if no daemon runs and none left anything behind that one should take care of. */
export async function askIfAny<T>(
	config: Config,
	method: string,
	path: string,
	body?: unknown,
): Promise<T | null> {
	try {
		return await call<T>(config.socket, method, path, body);
	} catch (error) {
		if (!(error instanceof DaemonAbsent)) throw error;
		if (!existsSync(config.stateFile)) return null;
	}
	return ask<T>(config, method, path, body);
}

/**
 * Returns when a daemon answers, or when it's worth asking again; then with the error that says who has its place.
 * @throws the daemon's own error if it can't start.
 */
async function start(config: Config, deadline: number): Promise<IpvtapError | undefined> {
	requireCapabilities('start the daemon');
	const report = await launch(config, deadline);
	if ('ready' in report) return undefined;
	const { code, message, hint } = report.error;
	if (!report.wait) {
		throw new IpvtapError(isErrorCode(code) ? code : 'failed', `can't start the daemon: ${message}`, {
			hint: hint ?? `its log is ${config.logFile}`,
		});
	}
	// Another command's daemon was faster. It may not answer yet, or may be on its way out.
	await socketChange(config.socket, deadline);
	return new IpvtapError('conflict', message);
}

/** Somebody took the socket of a daemon away, or it hangs. */
function inTheWay(absent: DaemonAbsent, busy: IpvtapError): IpvtapError {
	return new IpvtapError('daemon-unreachable', `${absent.message}; ${busy.message}`, {
		hint: 'end that daemon, if need be with kill -9: the next one adopts its slaves',
	});
}

/** A process of its own session, with nothing of ours open but its log. */
function launch(config: Config, deadline: number): Promise<StartReport> {
	const log = openLog(config);
	const main = fileURLToPath(new URL('../cli/main.js', import.meta.url));
	const child = spawn(process.execPath, [main, 'daemon', '--until-idle'], {
		cwd: '/',
		detached: true,
		env: { ...process.env, IPVTAP_SOCKET: config.socket, IPVTAP_STATE_DIR: config.stateDir },
		stdio: ['ignore', log, log, 'ipc'],
	});
	closeSync(log);
	return new Promise<StartReport>((resolve, reject) => {
		const timer = setTimeout(
			() => {
				child.kill('SIGTERM');
				reject(
					new IpvtapError('timed-out', `the daemon was not ready after ${limits.startMs / 1000} s`, {
						hint: `its log is ${config.logFile}`,
					}),
				);
			},
			Math.max(lastTryMs, deadline - performance.now()),
		);
		const settle = (report: StartReport): void => {
			clearTimeout(timer);
			resolve(report);
		};
		child.once('message', message => settle(message as StartReport));
		child.once('error', error => settle({ error: { code: 'failed', message: error.message } }));
		child.once('exit', (status, signal) => {
			settle({
				error: {
					code: 'failed',
					message: `it ended with ${signal ?? `status ${status}`} before it was ready`,
				},
			});
		});
	}).finally(() => {
		if (child.connected) child.disconnect();
		child.unref();
	});
}

function openLog(config: Config): number {
	try {
		mkdirSync(config.stateDir, { recursive: true, mode: 0o755 });
		const before = statSync(config.logFile, { throwIfNoEntry: false });
		if (before && before.size > limits.logBytes) renameSync(config.logFile, `${config.logFile}.1`);
		return openSync(config.logFile, 'a', 0o640);
	} catch (error) {
		throw new IpvtapError(
			'permission',
			`can't write ${config.logFile}: ${(error as NodeJS.ErrnoException).code}`,
			{
				hint: 'run as root, or set IPVTAP_STATE_DIR to a folder of your own',
				cause: error,
			},
		);
	}
}

/**
 * Waits for the socket to come or go, or its lock to be given up. A change just before the watch began, or the death of
 * a daemon, is made up for by a look every so often.
 */
function socketChange(socket: string, deadline: number): Promise<void> {
	return new Promise(resolve => {
		const done = (): void => {
			watcher?.close();
			clearTimeout(timer);
			resolve();
		};
		const timer = setTimeout(done, Math.min(lookEveryMs, Math.max(0, deadline - performance.now())));
		const watcher = watchFolder(dirname(socket), name => {
			if (name === basename(socket) || name === `${basename(socket)}.lock`) done();
		});
		watcher?.on('error', done);
	});
}

/** @returns null if the folder isn't there yet. */
function watchFolder(folder: string, onChange: (name: string | null) => void): FSWatcher | null {
	try {
		return watch(folder, (_, name) => onChange(name));
	} catch {
		return null;
	}
}

/** Each look costs a process. */
const lookEveryMs = 1000;
/** For a daemon that finds its place taken to say so, however late it is. */
const lastTryMs = 5000;
