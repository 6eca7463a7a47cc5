import { mkdir, open, realpath, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { cached } from './cache.js';
import { run } from './command.js';
import { fetchPackage } from './debian-package.js';

/**
 * Path of a busybox that brings its own C library: the only program in a guest, and the laptop's web
 * server. Most Debian machines have the other kind, which busybox-static would push out; so where there is
 * no static one, the package is only unpacked into the cache.
 */
export async function staticBusybox(): Promise<string> {
	const { out } = await run('sh', ['-c', 'command -v busybox']);
	const installed = out.trim();
	if (installed !== '' && (await isStatic(await realpath(installed)))) return installed;
	const folder = await cached('busybox-static', async path => {
		const tree = join(path, 'tree');
		await mkdir(tree, { recursive: true });
		await fetchPackage('busybox-static', tree, ['*bin/busybox']);
		// Releases differ in whether it lies in /bin or in /usr/bin.
		const { out: found } = await run('find', [tree, '-type', 'f', '-name', 'busybox']);
		await rename(found.trim(), join(path, 'busybox'));
		await rm(tree, { recursive: true });
	});
	return join(folder, 'busybox');
}

/** A program that needs a dynamic loader names it near its beginning, as its interpreter (elf(5), PT_INTERP). */
async function isStatic(path: string): Promise<boolean> {
	const file = await open(path);
	try {
		const { buffer, bytesRead } = await file.read(Buffer.alloc(4096));
		return !buffer.subarray(0, bytesRead).includes('/ld-');
	} finally {
		await file.close();
	}
}
