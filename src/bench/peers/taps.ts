import { type Ground, guestMac } from '../ground.js';
import type { Ability, Peer } from './peer.js';

/** What peers of the kernel's own have in common: persistent TAPs, and no process. */
export abstract class TapPeer implements Peer {
	abstract readonly name: string;
	abstract readonly about: string;
	readonly lacks: readonly Ability[] = ['daemon'];
	protected taps: string[] = [];

	async prepare(ground: Ground): Promise<void> {
		this.taps = await ground.addTaps();
		await this.connect(ground);
	}

	guestEdge(guest: number): string {
		return `tap:${this.taps[guest]}`;
	}

	macOnWire(guest: number): string {
		return guestMac(guest);
	}

	pids(): readonly number[] {
		return [];
	}

	async close(): Promise<void> {}

	/** Joins the TAPs, which are up, and the master. */
	protected abstract connect(ground: Ground): Promise<void>;
}
