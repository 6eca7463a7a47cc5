import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir, rename, rm } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { IpvtapError } from '../errors.js';
import { track } from './cleanup.js';
import { cannotStart, toolsEnv } from './command.js';

/**
 * Where prepared things are kept between runs: `IPVTAP_CACHE_DIR`, or else `/var/cache/ipvtap` for root
 * (hier(5)) and `$XDG_CACHE_HOME/ipvtap` for everybody else.
 */
export function cacheFolder(): string {
	const { IPVTAP_CACHE_DIR, XDG_CACHE_HOME } = process.env;
	if (IPVTAP_CACHE_DIR) return IPVTAP_CACHE_DIR;
	if (process.geteuid?.() === 0) return '/var/cache/ipvtap';
	return join(XDG_CACHE_HOME || join(homedir(), '.cache'), 'ipvtap');
}

/**
 * Gives the path of `name` in the cache; when it isn't there, `build` makes it, a file or a folder, at
 * the path it is handed. It appears under its name only when whole, and of two processes that want it at
 * once one builds and the other waits.
 */
export async function cached(name: string, build: (path: string) => Promise<void>): Promise<string> {
	const folder = cacheFolder();
	const path = join(folder, name);
	if (existsSync(path)) return path;
	await mkdir(folder, { recursive: true }).catch(cause => {
		throw new IpvtapError('permission', `make the cache folder ${folder}: ${cause.message}`, {
			hint: 'set IPVTAP_CACHE_DIR to a folder you may write to',
			cause,
		});
	});
	await locked(join(folder, `.${name}.lock`), async () => {
		if (existsSync(path)) return;
		const unfinished = join(folder, `.${name}.unfinished`);
		await rm(unfinished, { recursive: true, force: true });
		await build(unfinished);
		await rename(unfinished, path);
	});
	return path;
}

/**
 * Runs `action` while holding the lock file. flock(1) holds it in our stead: it echoes a line as soon as
 * the lock is its own, and lets go when its input ends, which the death of this process also does.
 */
async function locked(file: string, action: () => Promise<void>): Promise<void> {
	const holder = spawn('flock', [file, 'cat'], { stdio: ['pipe', 'pipe', 'ignore'], env: toolsEnv });
	const ended = once(holder, 'exit').catch(cause => {
		throw cannotStart('flock', cause);
	});
	const forget = track(() => holder.kill());
	try {
		holder.stdin.write('\n');
		await Promise.race([once(holder.stdout, 'data'), ended]);
		await action();
	} finally {
		holder.stdin.end();
		await ended;
		forget();
	}
}
