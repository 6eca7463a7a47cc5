import type { Ground } from '../ground.js';

/**
 * What not every peer has, and some rows want: GSO frames, IPv6, broadcasts that reach other guests, any number of
 * guests, guests behind named TAPs, a daemon that can be killed and told of limits, and programs of a daemon's in the
 * kernel that another version may have left there.
 */
export type Ability = 'gso' | 'ipv6' | 'broadcast' | 'many' | 'taps' | 'daemon' | 'programs';

/** Bits a second, and bytes that may come at once. */
export interface Bandwidth {
	rate: number;
	burst: number;
}

/** A program, and the Debian package that has it. */
export interface Need {
	program: string;
	package: string;
}

/**
 * One way of putting guests on the wire. A peer gets a ground of its own, stays there until its rows are through, and
 * must cost nothing while nobody sends.
 */
export interface Peer {
	readonly name: string;
	/** One line for the report: what it is and how it is set up. */
	readonly about: string;
	readonly lacks: readonly Ability[];
	readonly needs?: Need;
	/** What says its version. */
	readonly version?: readonly [program: string, ...args: string[]];
	/** Connects the ground's guests and the master. */
	prepare(ground: Ground): Promise<void>;
	/** The guest's TAP, as guest.c takes it: `tap:NAME`, `file:/dev/tapN` for a macvtap, or `vde:FOLDER`. */
	guestEdge(guest: number): string;
	/** The MAC by which the wire reaches a guest. */
	macOnWire(guest: number): string;
	/** The MAC by which a guest reaches others, where it isn't theirs: a router's. */
	readonly router?: (from: number) => string;
	/** Processes that move frames: their CPU time belongs to the cost of a frame. */
	pids(): readonly number[];
	/** How long it took to connect each guest, ms, where that is more than making a TAP. */
	readonly attachMs?: readonly number[];
	/** Takes a guest off again. */
	detach?(guest: number): Promise<void>;
	/** Limits what a guest sends and gets; `null`: no more. */
	limit?(guest: number, limits: { tx?: Bandwidth | null; rx?: Bandwidth | null }): Promise<void>;
	/** Kills the processes without a warning, and starts them again as its users would, at once. */
	restart?(): Promise<void>;
	/** Kills the daemon and has another version's programs in the place of its own: the next `restart` upgrades them. */
	downgrade?(): Promise<void>;
	/** Frames that a guest has sent, as the processes now there, or their programs, have counted them. */
	counted?(guest: number): Promise<number>;
	/** Ends what `prepare` started; namespaces go by themselves. Works after a `prepare` that failed, too. */
	close(): Promise<void>;
}
