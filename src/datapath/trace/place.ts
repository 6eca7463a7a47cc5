/** What a trace knows besides the port's state: names, modes, and who has which address by what right. */
import type { BookOrigin } from '../address-book.js';
import type { PortState } from '../port-state.js';

export interface Place {
	readonly state: PortState;
	readonly master: string;
	readonly mode: string;
	readonly flag: string;
	/** Names of the slaves, by edge. */
	readonly names: ReadonlyMap<number, string>;
	/** By address. */
	readonly origins: ReadonlyMap<string, BookOrigin>;
	/** Edges that have claimed an address which the LAN is still being asked about, by address. */
	readonly claims: ReadonlyMap<string, number>;
}

export interface Step {
	/** What is asked. */
	step: string;
	/** What the answer is. */
	result: string;
	/** Why that is so. */
	why: string;
}
