/**
 * Where a port's links outlive their daemon: a folder of its own, which nobody else may look into, on a bpffs.
 *
 *     /sys/fs/bpf/ipvtap-<hash of the state folder>/v1/<ifindex of the master>/<device>-<program>
 *     <state folder>/bpf/v1/…             where /sys/fs/bpf is none: then it is mounted there, and unmounted at the end
 *
 * Programs and maps need no pins: links hold them.
 */
import { existsSync, mkdirSync, readdirSync, rmdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { isBpffs, mountBpffs, mountsOutliveUs, unmountBpffs } from '../../sys/bpf/bpffs.js';
import { openPin, pin } from '../../sys/bpf/link.js';
import { nameOf } from '../state-name.js';

export class Pins {
	readonly folder: string;
	readonly #root: string;
	readonly #mounted: boolean;

	private constructor(root: string, mounted: boolean, master: number) {
		this.#root = root;
		this.#mounted = mounted;
		this.folder = join(root, FORMAT, String(master));
		makeFolder(this.folder);
	}

	/**
	 * @param stateDir tells one daemon from another. @returns undefined where no pin would be there for the next daemon.
	 * @throws Error where there can be no bpffs, or none may be written to.
	 */
	static open(stateDir: string, master: number, bpffs = SHARED): Pins | undefined {
		if (isBpffs(bpffs)) return new Pins(sharedRoot(stateDir, bpffs), false, master);
		if (!mountsOutliveUs()) return undefined;
		const root = ownRoot(stateDir);
		makeFolder(root);
		if (!isBpffs(root)) mountBpffs(root);
		return new Pins(root, true, master);
	}

	/** Removes what daemons of this state folder have pinned for ports that nobody has any more. */
	static sweep(stateDir: string, isKept: (master: number) => boolean, bpffs = SHARED): void {
		for (const [root, mounted] of [
			[sharedRoot(stateDir, bpffs), false],
			[ownRoot(stateDir), true],
		] as const) {
			if (!isBpffs(root)) continue;
			for (const format of folders(root)) {
				for (const master of folders(join(root, format))) {
					if (!isKept(Number(master))) remove(join(root, format, master));
				}
			}
			removeEmpty(root, mounted);
		}
	}

	names(): string[] {
		return readdirSync(this.folder);
	}

	/** @returns a descriptor, or undefined if nothing is pinned under the name. @throws SysError. */
	get(name: string): number | undefined {
		return openPin(this.#path(name));
	}

	/** @throws SysError. */
	set(name: string, fd: number): void {
		// Somebody may have removed the folder.
		makeFolder(this.folder);
		this.remove(name);
		pin(fd, this.#path(name));
	}

	/** The folder is ours alone: whatever it is, it may go. */
	remove(name: string): void {
		remove(this.#path(name));
	}

	/** Removes all pins, and what held them as far as nobody else's are in it. */
	close(): void {
		remove(this.folder);
		if (isBpffs(this.#root)) removeEmpty(this.#root, this.#mounted);
	}

	#path(name: string): string {
		return join(this.folder, name);
	}
}

function sharedRoot(stateDir: string, bpffs: string): string {
	return join(bpffs, nameOf(stateDir));
}

function ownRoot(stateDir: string): string {
	return join(stateDir, 'bpf');
}

function remove(path: string): void {
	rmSync(path, { recursive: true, force: true });
}

/** Removes the folders that nobody has pins in, and the root with the last of them. */
function removeEmpty(root: string, mounted: boolean): void {
	for (const format of folders(root)) {
		if (folders(join(root, format)).length === 0) rmdirSync(join(root, format));
	}
	if (folders(root).length > 0) return;
	if (mounted) unmountBpffs(root);
	rmdirSync(root);
}

/** The root of a bpffs has files of the kernel's own. */
function folders(folder: string): string[] {
	return readdirSync(folder, { withFileTypes: true })
		.filter(entry => entry.isDirectory())
		.map(({ name }) => name);
}

/** A bpffs makes its folders with the mode that it is asked for, and takes no names with a dot. */
function makeFolder(folder: string): void {
	if (!existsSync(folder)) mkdirSync(folder, { recursive: true, mode: 0o700 });
}

const SHARED = '/sys/fs/bpf';
/** Of these folders and names; what is in the links' programs and maps is nobody's business but theirs. */
const FORMAT = 'v1';
