/** The slaves of one port, by name and by the number of their edge. */
import { IpvtapError } from '../../errors.js';
import { EdgeNumbers } from './edge-numbers.js';
import { Entries } from './entries.js';
import type { PortSlave } from './port-options.js';

export interface Member extends PortSlave {
	open: boolean;
	edge: number;
	entries: Entries;
}

export class Members {
	readonly #byName = new Map<string, Member>();
	readonly #byEdge = new Map<number, Member>();
	readonly #edges = new EdgeNumbers();

	/** Gives a slave its number; it is closed yet. @throws IpvtapError when there are no numbers left. */
	add(slave: PortSlave, master: string): Member {
		const edge = this.#edges.take(number => this.#byEdge.has(number), master);
		const member: Member = { ...slave, open: false, edge, entries: new Entries(slave.remembered) };
		this.#byName.set(slave.name, member);
		this.#byEdge.set(edge, member);
		return member;
	}

	remove({ name, edge }: Member): void {
		this.#byName.delete(name);
		this.#byEdge.delete(edge);
	}

	get(name: string): Member | undefined {
		return this.#byName.get(name);
	}

	/** @throws IpvtapError `not-found`. */
	require(name: string, master: string): Member {
		const member = this.#byName.get(name);
		if (!member) throw new IpvtapError('not-found', `slave ${name}: not on ${master}`);
		return member;
	}

	ofEdge(edge: number): Member | undefined {
		return this.#byEdge.get(edge);
	}

	all(): Member[] {
		return [...this.#byName.values()];
	}
}
