/**
 * A program of a Debian package that is only unpacked, with the libraries that it brings: to install the package
 * would make it a service of this machine.
 */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { cached } from '../../src/lab/cache.js';
import { fetchPackage } from '../../src/lab/debian-package.js';

export interface Unpacked {
	path: string;
	/** For LD_LIBRARY_PATH. */
	libraries: string;
}

/** @param file of the first package, without its first slash. @param libraries packages that are needed beside it. */
export async function unpacked(
	name: string,
	file: string,
	...libraries: readonly string[]
): Promise<Unpacked> {
	const folder = await cached(`unpacked-${name}`, async path => {
		await mkdir(path, { recursive: true });
		await fetchPackage(name, path, [`./${file}`]);
		for (const library of libraries) await fetchPackage(library, path, ['*/lib*.so*']);
	});
	const places = ['usr/lib', 'lib'].map(place =>
		join(folder, place, `${process.arch === 'x64' ? 'x86_64' : 'aarch64'}-linux-gnu`),
	);
	return { path: join(folder, file), libraries: places.join(':') };
}

/** avahi-daemon, which answers mDNS also where there is no bus (`enable-dbus=no`), but not without a user `avahi`. */
export function unpackedAvahi(): Promise<Unpacked> {
	const libraries = ['libavahi-core7', 'libavahi-common3', 'libdaemon0', 'libdbus-1-3'];
	return unpacked('avahi-daemon', 'usr/sbin/avahi-daemon', ...libraries);
}
