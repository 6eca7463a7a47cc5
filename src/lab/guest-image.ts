import { createHash } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { basename } from 'node:path';
import { staticBusybox } from './busybox.js';
import { cached } from './cache.js';
import { guestInit } from './guest-init.js';
import { type InitramfsEntry, packInitramfs } from './initramfs.js';
import { guestKernel, moduleClosure } from './kernel.js';

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
 * @throws IpvtapError `failed` when apt can't give the kernel or busybox.
 */
export async function guestImage(): Promise<GuestImage> {
	const kernel = await guestKernel();
	const busybox = await readFile(await staticBusybox());
	const hash = createHash('sha256')
		.update(guestInit)
		.update([...bootModules, '', ...spareModules].join(' '))
		.update(busybox)
		.digest('hex')
		.slice(0, 16);
	const initramfs = await cached(`guest-initramfs-${kernel.version}-${hash}`, async path => {
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
		await writeFile(path, packInitramfs([...all, ...files]));
	});
	return { version: kernel.version, vmlinux: kernel.vmlinux, initramfs };
}

/** Loaded at boot, with whatever they depend on. */
const bootModules = ['virtio_pci', 'virtio_net', 'virtio_console'];
/** There for `modprobe`: VLAN devices, a NIC that has no offloads to speak of, and the way to this machine's files. */
const spareModules = ['8021q', 'e1000', '9p', '9pnet_virtio'];

const folders = ['bin', 'dev', 'etc', 'lib', 'lib/modules', 'mnt', 'proc', 'root', 'sys', 'tmp'];

function file(path: string, mode: number, data: Buffer): InitramfsEntry {
	return { path, mode, data };
}
