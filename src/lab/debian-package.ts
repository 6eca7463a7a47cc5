import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { IpvtapError } from '../errors.js';
import { type CommandOptions, exec, run } from './command.js';

/**
 * Downloads a Debian package and unpacks the members that match tar patterns into a folder; a pattern that nothing
 * matches is passed over. Nothing is installed, so it needs no root and changes nothing on the machine.
 *
 * @throws IpvtapError `failed` with apt's words when the package can't be had.
 */
export async function fetchPackage(name: string, folder: string, members: readonly string[]): Promise<void> {
	const downloads = await mkdtemp(join(folder, 'download-'));
	const download: [string[], CommandOptions] = [
		['download', '-q', name],
		{ timeout: downloadTimeoutMs, cwd: downloads },
	];
	const first = await run('apt-get', ...download);
	if (first.rc !== 0) {
		// The lists may be older than the mirror, which keeps only the last version.
		await updateLists();
		await exec('apt-get', ...download);
	}
	const archive = (await readdir(downloads)).find(file => file.endsWith('.deb'));
	if (archive === undefined) throw new IpvtapError('failed', `download ${name}: apt-get left no file`);
	await exec('sh', ['-c', unpack, 'sh', join(downloads, archive), folder, ...members], {
		timeout: unpackTimeoutMs,
	});
	await rm(downloads, { recursive: true });
}

/** tar fails for patterns without a match when it has done all the rest. */
const unpack = `archive=$1; folder=$2; words=$(dirname "$1")/words; shift 2
dpkg-deb --fsys-tarfile "$archive" | tar -x -C "$folder" --wildcards "$@" 2>"$words" ||
	! grep -v -e ': Not found in archive$' -e 'Exiting with failure status' "$words" >&2`;

/** Brings apt's lists up to date; what comes of it is seen in the next thing asked of apt. */
export async function updateLists(): Promise<void> {
	await run('apt-get', ['update', '-q'], { timeout: downloadTimeoutMs });
}

/** Downloads take as long as the mirror does; a kernel is 70 MB. */
const downloadTimeoutMs = 300_000;
const unpackTimeoutMs = 120_000;
