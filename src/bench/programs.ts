/** The C programs of the benchmark: compiled when first used, kept in the cache under the hash of their text. */
import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { IpvtapError } from '../errors.js';
import { cached } from '../lab/cache.js';
import { exec } from '../lab/command.js';
import { projectFolder } from './project.js';

export interface Programs {
	/** Emulates two guests, or a guest and the wire. */
	guest: string;
	/** A guest that speaks to all. */
	fan: string;
	/** A client of TCP and UDP, and its server. */
	connect: string;
	/** The C twin of the userspace forwarder. */
	forwarder: string;
}

/** @throws IpvtapError `not-found` without a compiler. */
export async function buildPrograms(): Promise<Programs> {
	const folder = join(projectFolder, 'test', 'bench', 'c');
	const hash = createHash('sha256');
	for (const name of (await readdir(folder)).sort()) hash.update(await readFile(join(folder, name)));
	const version = hash.digest('hex').slice(0, 16);
	const build = (name: string): Promise<string> =>
		cached(`bench-${name}-${version}`, async path => {
			const source = join(folder, `${name}.c`);
			await exec('cc', ['-O2', '-Wall', '-Wextra', '-pthread', '-o', path, source, '-lm']);
		});
	try {
		return {
			guest: await build('guest'),
			fan: await build('fan'),
			connect: await build('connect'),
			forwarder: await build('forwarder'),
		};
	} catch (cause) {
		if (!(cause instanceof IpvtapError) || cause.code !== 'not-found') throw cause;
		throw new IpvtapError('not-found', 'build the guests that bench emulates: there is no C compiler (cc)', {
			hint: 'apt-get install --no-install-recommends gcc libc6-dev',
			cause,
		});
	}
}
