import { createHash } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { basename } from 'node:path';
import { staticBusybox } from './busybox.js';
import { cached } from './cache.js';
import { guestInit } from './guest-init.js';
import { type InitramfsEntry, packInitramfs } from './initramfs.js';
import { type GuestKernel, guestKernel, moduleClosure } from './kernel.js';
import { type Program, programEntries } from './programs.js';

/** What QEMU's -kernel and -initrd take; both files are readable by everybody, as libvirt needs them. */
export interface GuestImage {
	version: string;
	vmlinux: string;
	initramfs: string;
}

/**
 * Prepares the guest once: Debian's kernel, and an initramfs with busybox, the virtio drivers and an
 * agent. Takes seconds and about 70 MB of download the first time, nothing after that.
 *
 * @param programs what the guest is to have beside busybox.
 * @throws IpvtapError `failed` when apt can't give the kernel or busybox.
 */
export async function guestImage(programs: readonly Program[] = []): Promise<GuestImage> {
	const kernel = await guestKernel();
	const busybox = await readFile(await staticBusybox());
	const more = await programEntries(programs);
	const hash = createHash('sha256')
		.update(guestInit)
		.update([...bootModules, '', ...spareModules].join(' '))
		.update(busybox);
	for (const { path, data = '' } of more) hash.update(`${path}\0`).update(data);
	const name = `guest-initramfs-${kernel.version}-${hash.digest('hex').slice(0, 16)}`;
	const initramfs = await cached(name, async path => {
		await writeFile(path, packInitramfs([...(await base(kernel, busybox)), ...more]));
	});
	return { version: kernel.version, vmlinux: kernel.vmlinux, initramfs };
}

async function base(kernel: GuestKernel, busybox: Buffer): Promise<InitramfsEntry[]> {
	const boot = await moduleClosure(kernel, bootModules);
	const modules = await moduleClosure(kernel, [...bootModules, ...spareModules]);
	const files = [
		file('init', 0o755, Buffer.from(guestInit)),
		file('bin/busybox', 0o755, busybox),
		file('etc/modules', 0o644, Buffer.from(boot.map(name => basename(name, '.ko')).join('\n') + '\n')),
	];
	const folder = `lib/modules/${kernel.version}`;
	const depends: string[] = [];
	for (const name of modules) {
		files.push(file(`${folder}/${basename(name)}`, 0o644, await readFile(name)));
		const needed = (await moduleClosure(kernel, [basename(name, '.ko')])).slice(0, -1).reverse();
		depends.push(`${basename(name)}: ${needed.map(path => basename(path)).join(' ')}\n`);
	}
	files.push(file(`${folder}/modules.dep`, 0o644, Buffer.from(depends.join(''))));
	const all = [...folders, folder].map(path => ({ path, mode: 0o755 }));
	return [...all, ...files];
}

/** Loaded at boot, with whatever they depend on. */
const bootModules = ['virtio_pci', 'virtio_net', 'virtio_console'];
/** There for `modprobe`: VLAN devices, a NIC that has no offloads to speak of, and the way to this machine's files. */
const spareModules = ['8021q', 'e1000', '9p', '9pnet_virtio'];

const folders = ['bin', 'dev', 'etc', 'lib', 'lib/modules', 'mnt', 'proc', 'root', 'sys', 'tmp'];

function file(path: string, mode: number, data: Buffer): InitramfsEntry {
	return { path, mode, data };
}
