/**
 * Where a port's maps and links outlive their daemon: a folder of its own, which nobody else may look into, on a bpffs.
 *
 *     /sys/fs/bpf/ipvtap-<hash of the state folder>/v<layout>/<ifindex of the master>/<map>, <device>-<program>
 *     <state folder>/bpf/v<layout>/…      where /sys/fs/bpf is none: then it is mounted there, and unmounted at the end
 */
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, rmdirSync, rmSync } from 'node:fs';
import { basename, join } from 'node:path';
import { isBpffs, mountBpffs, mountsOutliveUs, unmountBpffs } from '../../sys/bpf/bpffs.js';
import { openPin, pin } from '../../sys/bpf/link.js';
import { LAYOUT } from './layout.js';

export class Pins {
	/** Whether what is pinned here is still there for the next daemon. */
	readonly durable: boolean;
	readonly #folder: string;
	readonly #root: string;
	readonly #mounted: boolean;

	private constructor(root: string, mounted: boolean, master: number) {
		this.#root = root;
		this.#mounted = mounted;
		this.#folder = join(root, `v${LAYOUT}`, String(master));
		this.durable = !mounted || mountsOutliveUs();
		makeFolder(this.#folder);
	}

	/** @param stateDir tells one daemon from another. @throws SysError where there can be no bpffs. */
	static open(stateDir: string, master: number, bpffs = '/sys/fs/bpf'): Pins {
		if (isBpffs(bpffs)) {
			return new Pins(sharedRoot(stateDir, bpffs), false, master);
		}
		const root = join(stateDir, 'bpf');
		makeFolder(root);
		if (!isBpffs(root)) mountBpffs(root);
		return new Pins(root, true, master);
	}

	/** Removes what daemons of this state folder have pinned for ports that nobody has any more. */
	static sweep(stateDir: string, isKept: (master: number) => boolean, bpffs = '/sys/fs/bpf'): void {
		for (const [root, mounted] of [
			[sharedRoot(stateDir, bpffs), false],
			[join(stateDir, 'bpf'), true],
		] as const) {
			if (!isBpffs(root)) continue;
			for (const layout of folders(root)) {
				for (const master of folders(join(root, layout))) {
					if (!isKept(Number(master))) empty(join(root, layout, master));
				}
			}
			removeEmpty(root, mounted);
		}
	}

	names(): string[] {
		return readdirSync(this.#folder);
	}

	/** @returns a descriptor, or undefined if nothing is pinned under the name. @throws SysError. */
	get(name: string): number | undefined {
		return openPin(this.#path(name));
	}

	/** @throws SysError. */
	set(name: string, fd: number): void {
		this.remove(name);
		pin(fd, this.#path(name));
	}

	remove(name: string): void {
		rmSync(this.#path(name), { force: true });
	}

	/** Removes what a version with other maps has pinned for the same port. */
	dropOtherLayouts(): void {
		for (const layout of folders(this.#root)) {
			const folder = join(this.#root, layout, basename(this.#folder));
			if (folder !== this.#folder && existsSync(folder)) empty(folder);
		}
		removeEmpty(this.#root, this.#mounted);
	}

	/** Removes all pins, and what held them as far as nobody else's are in it. */
	close(): void {
		this.dropOtherLayouts();
		empty(this.#folder);
		removeEmpty(this.#root, this.#mounted);
	}

	#path(name: string): string {
		return join(this.#folder, name);
	}
}

function sharedRoot(stateDir: string, bpffs: string): string {
	return join(bpffs, `ipvtap-${createHash('sha256').update(stateDir).digest('hex').slice(0, 8)}`);
}

/** Removes a port's folder with its pins. */
function empty(folder: string): void {
	for (const name of readdirSync(folder)) rmSync(join(folder, name), { force: true });
	rmdirSync(folder);
}

/** Removes the folders of layouts that nobody has pins in, and the root with the last of them. */
function removeEmpty(root: string, mounted: boolean): void {
	for (const layout of folders(root)) {
		if (folders(join(root, layout)).length === 0) rmdirSync(join(root, layout));
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
