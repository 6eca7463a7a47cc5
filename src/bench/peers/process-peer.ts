import { makeFolder } from '../../lab/cleanup.js';
import { type Ground, guestMac } from '../ground.js';
import type { Ability, Peer } from './peer.js';
import { Processes } from './processes.js';

/** What peers have in common whose frames go through processes of their own, and those processes' files. */
export abstract class ProcessPeer implements Peer {
	abstract readonly name: string;
	abstract readonly about: string;
	abstract readonly lacks: readonly Ability[];
	protected readonly processes = new Processes();
	#removeFolder: (() => void) | undefined;

	abstract prepare(ground: Ground): Promise<void>;

	abstract guestEdge(guest: number): string;

	macOnWire(guest: number): string {
		return guestMac(guest);
	}

	pids(): readonly number[] {
		return this.processes.pids;
	}

	async close(): Promise<void> {
		await this.processes.end();
		this.#removeFolder?.();
	}

	/** Makes a folder that goes with the processes. */
	protected makeFolder(): string {
		const [folder, remove] = makeFolder(`bench-${this.name}`);
		this.#removeFolder = remove;
		return folder;
	}
}
