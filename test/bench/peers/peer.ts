import type { Ground } from '../ground.js';

/**
 * One way of putting guests on the wire. A peer gets a ground of its own, stays there for the whole benchmark, and
 * must cost nothing while nobody sends.
 */
export interface Peer {
	readonly name: string;
	/** One line for the report: what it is and how it is set up. */
	readonly about: string;
	/** Connects GUESTS guests and the master. */
	prepare(ground: Ground): Promise<void>;
	/** The guest's TAP, as guest.c takes it: `tap:NAME`, or `file:/dev/tapN` for a macvtap. */
	guestTap(guest: number): string;
	/** The MAC by which the wire reaches a guest. */
	macOnWire(guest: number): string;
	/** Processes that move frames: their CPU time belongs to the cost of a frame. */
	pids(): readonly number[];
	/** Ends what `prepare` started; namespaces go by themselves. Works after a `prepare` that failed, too. */
	close(): Promise<void>;
}
