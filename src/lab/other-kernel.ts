/** Debian's own kernel in a virtual machine, with this machine's files as its root. */
import { copyFileSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { IpvtapError } from '../errors.js';
import { makeFolder } from './cleanup.js';
import { Guest } from './guest.js';
import { guestKernel, moduleClosure } from './kernel.js';

export interface OtherKernelOptions {
	name: string;
	/** Modules to load, those that they depend on aside. */
	drivers: readonly string[];
	/** MB. */
	memory?: number;
	processors?: number;
	/** Further arguments of QEMU. */
	args?: readonly string[];
}

/**
 * The root is this machine's, over 9p and read-only, so that the same Node, the same tools and this very build run
 * under the other kernel; one folder is shared both ways. With one processor whatever happens in the kernel happens
 * in one order.
 */
export class OtherKernel {
	/** As `uname -r` gives it there. */
	readonly version: string;
	/** The shared folder, as it is named on this side. */
	readonly folder: string;
	/** The files of the modules, as they are named there, in the order in which they are loaded. */
	readonly modules: readonly string[];
	readonly #guest: Guest;
	readonly #removeFolder: () => void;

	private constructor(
		version: string,
		folder: string,
		modules: readonly string[],
		guest: Guest,
		removeFolder: () => void,
	) {
		this.version = version;
		this.folder = folder;
		this.modules = modules;
		this.#guest = guest;
		this.#removeFolder = removeFolder;
	}

	/** @throws IpvtapError `failed` where apt can't give the kernel, or it doesn't come up. */
	static async boot({
		name,
		drivers,
		memory = 512,
		processors = 1,
		args = [],
	}: OtherKernelOptions): Promise<OtherKernel> {
		const kernel = await guestKernel();
		const files = await moduleClosure(kernel, drivers);
		const [folder, removeFolder] = makeFolder(`${name}-share`);
		try {
			// The cache may be where the machine has a folder of its own.
			for (const file of files) copyFileSync(file, join(folder, basename(file)));
			const modules = files.map(file => `${share}/${basename(file)}`);
			const guest = await Guest.boot({
				name,
				args: [
					...['-m', String(memory), '-smp', String(processors)],
					...['-virtfs', 'local,path=/,mount_tag=root,security_model=none,readonly=on,multidevs=remap'],
					...['-virtfs', `local,path=${folder},mount_tag=share,security_model=none,multidevs=remap`],
					...args,
				],
			});
			const machine = new OtherKernel(kernel.version, folder, modules, guest, removeFolder);
			try {
				await guest.exec(mountScript + insertScript(modules));
				return machine;
			} catch (error) {
				await guest.stop();
				throw error;
			}
		} catch (error) {
			removeFolder();
			throw error;
		}
	}

	/** Runs a script with this machine's files as its root. @throws Error with what it has said, also by its deadline. */
	async inside(script: string, timeout?: number): Promise<string> {
		writeFileSync(join(this.folder, 'script'), script);
		const output = (): string => readFileSync(join(this.folder, 'output'), 'utf8');
		try {
			await this.exec(`chroot /mnt sh -e ${share}/script > /mnt${share}/output 2>&1`, timeout);
		} catch (error) {
			throw new Error(`${(error as Error).message}:\n${output()}`, { cause: error });
		}
		return output();
	}

	/** Runs a script of the guest's own shell, which sees this machine's root as /mnt. @throws IpvtapError. */
	exec(script: string, timeout?: number): Promise<string> {
		return this.#guest.exec(script, timeout === undefined ? {} : { timeout });
	}

	async stop(): Promise<void> {
		await this.#guest.stop();
		this.#removeFolder();
	}
}

/** Why there is no kernel to boot, if there is none. */
export async function missingKernel(): Promise<string | undefined> {
	try {
		await guestKernel();
		return undefined;
	} catch (error) {
		if (error instanceof IpvtapError && error.code === 'failed') return error.message;
		throw error;
	}
}

/** Where the shared folder lies inside; /run has to be writable anyway, for `ip netns`. */
export const share = '/run/share';

const project = fileURLToPath(new URL('../../../', import.meta.url)).replace(/\/$/, '');

/** What the machine has in /run and /tmp is hidden; the project is not, should it lie there. */
const mountScript = `set -e
project='${project.replaceAll("'", "'\\''")}'
modprobe 9pnet_virtio
modprobe 9p
mount -t 9p -o ro,trans=virtio,version=9p2000.L,msize=262144,cache=loose root /mnt
mkdir /machine
mount -o bind /mnt /machine
for folder in dev proc sys; do mount -o bind /$folder /mnt/$folder; done
mount -t bpf bpf /mnt/sys/fs/bpf
for folder in run tmp; do mount -t tmpfs $folder /mnt/$folder; done
mkdir -p "/mnt$project"
mount -o bind "/machine$project" "/mnt$project"
mkdir /mnt${share}
mount -t 9p -o trans=virtio,version=9p2000.L,msize=262144 share /mnt${share}
`;

/** Lines that load modules, for {@link OtherKernel.exec}. */
export function insertScript(modules: readonly string[]): string {
	return modules.map(path => `insmod /mnt${path}\n`).join('');
}
