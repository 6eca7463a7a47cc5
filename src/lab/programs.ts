import { readFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { exec, toolsEnv } from './command.js';
import type { InitramfsEntry } from './initramfs.js';

/** A program of this machine's that a guest is to have too. */
export interface Program {
	/** Absolute. */
	path: string;
	/** LD_LIBRARY_PATH, for one whose libraries aren't where the loader looks by itself. */
	libraries?: string;
}

/**
 * The programs, the shared libraries that they need, and this machine's users, whom some of them become: members of
 * an initramfs, each at the path that it has here, so that the loader finds them as it does here.
 *
 * @throws IpvtapError `failed` for a file that ldd(1) can't read.
 */
export async function programEntries(programs: readonly Program[]): Promise<InitramfsEntry[]> {
	if (programs.length === 0) return [];
	const files = new Map<string, number>([
		['/etc/passwd', 0o644],
		['/etc/group', 0o644],
	]);
	for (const program of programs) {
		for (const path of [program.path, ...(await librariesOf(program))]) files.set(path, 0o755);
	}
	const folders = new Set([...files.keys()].flatMap(ancestors));
	const sorted = [...folders].sort((a, b) => a.length - b.length);
	return [
		...sorted.map(path => ({ path: path.slice(1), mode: 0o755 })),
		...(await Promise.all(
			[...files].map(async ([path, mode]) => ({ path: path.slice(1), mode, data: await readFile(path) })),
		)),
	];
}

/** Lines of ldd(1) are `name => /path (address)`, or `/path (address)` for the loader itself. */
async function librariesOf({ path, libraries = '' }: Program): Promise<string[]> {
	const env = { ...toolsEnv, LD_LIBRARY_PATH: libraries };
	const out = await exec('ldd', [path], { env });
	return [...out.matchAll(/(\/\S+) \(0x/g)].map(([, found]) => found!);
}

function ancestors(path: string): string[] {
	const folder = dirname(path);
	return folder === '/' ? [] : [...ancestors(folder), folder];
}
