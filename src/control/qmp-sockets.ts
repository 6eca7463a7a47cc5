/**
 * Where QEMU tells what a guest's NIC lets pass: a monitor that the user names, or for `run`'s QEMUs a place in the
 * state folder, made for the slave's owner and removed with the slave.
 */
import { chownSync, mkdirSync, rmdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { SlaveRecord } from './registry.js';

/** sun_path holds 107 bytes and a NUL (unix(7)). */
const PATH_MAX = 107;

export class QmpSockets {
	readonly #folder: string;
	readonly #made = new Map<string, string>();

	constructor(stateDir: string) {
		this.#folder = join(stateDir, 'qmp');
	}

	/** Path of the slave's monitor; undefined if it has none. */
	pathOf({ ifname, rxFilter }: Pick<SlaveRecord, 'ifname' | 'rxFilter'>): string | undefined {
		if (rxFilter !== true) return rxFilter;
		const path = join(this.#folder, ifname, 'qmp');
		return Buffer.byteLength(path) > PATH_MAX ? undefined : path;
	}

	/** Makes the place for a slave that wants one; one that is there serves as well. */
	make(slave: Pick<SlaveRecord, 'name' | 'ifname' | 'rxFilter' | 'owner'>): void {
		if (slave.rxFilter !== true || this.pathOf(slave) === undefined) return;
		const folder = join(this.#folder, slave.ifname);
		mkdirSync(this.#folder, { recursive: true, mode: 0o755 });
		mkdirSync(folder, { recursive: true, mode: 0o700 });
		chownSync(folder, slave.owner, -1);
		this.#made.set(slave.name, folder);
	}

	remove(slave: string): void {
		const folder = this.#made.get(slave);
		if (folder === undefined) return;
		this.#made.delete(slave);
		rmSync(folder, { recursive: true, force: true });
		if (this.#made.size > 0) return;
		try {
			rmdirSync(this.#folder);
		} catch {
			// Somebody else's things are in it: they are not ours to remove.
		}
	}
}
