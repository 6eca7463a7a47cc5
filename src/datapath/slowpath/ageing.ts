/**
 * Forgets learned addresses that nobody uses any more. A guest that merely has nothing to say must stay reachable,
 * so before its address is forgotten it is asked, with what every stack answers: an ARP probe, or the solicitation
 * of duplicate address detection, for its eyes alone. Nothing is noted per frame for this; a guest is asked every
 * few minutes, however much it talks.
 */

/** How often a guest is asked in vain before its address is forgotten, and how long it may take to answer, ms. */
const QUESTIONS = 3;
const ANSWER_MS = 2000;

interface Learned {
	edge: number;
	/** When it is asked next, or forgotten. */
	due: number;
	/** Times that it has been asked since it last answered. */
	asked: number;
}

export class Ageing {
	readonly #learned = new Map<string, Learned>();
	readonly #ask: (address: string, edge: number) => void;
	readonly #forget: (address: string) => void;
	/** Milliseconds that an address is believed in after its guest proved it. */
	#age: number;

	constructor(age: number, ask: (address: string, edge: number) => void, forget: (address: string) => void) {
		this.#age = age;
		this.#ask = ask;
		this.#forget = forget;
	}

	/** Of addresses that are learned, or prove themselves, from now on. @param age milliseconds. */
	setAge(age: number): void {
		this.#age = age;
	}

	/** The slave has learned the address. */
	learned(address: string, edge: number, now: number): void {
		this.#learned.set(address, { edge, due: now + this.#age, asked: 0 });
	}

	/** The guest that has the address has just used it. @returns whether it had been asked to. */
	proven(address: string, now: number): boolean {
		const entry = this.#learned.get(address);
		if (!entry) return false;
		const wasAsked = entry.asked > 0;
		entry.due = now + this.#age;
		entry.asked = 0;
		return wasAsked;
	}

	/** The address is no longer a learned one. */
	removed(address: string): void {
		this.#learned.delete(address);
	}

	/** Asks and forgets what is due. @returns when something is again, or undefined. */
	tick(now: number): number | undefined {
		let next: number | undefined;
		for (const [address, entry] of [...this.#learned]) {
			if (entry.due <= now) {
				if (entry.asked === QUESTIONS) {
					this.#forget(address);
					continue;
				}
				entry.asked++;
				entry.due = now + ANSWER_MS;
				this.#ask(address, entry.edge);
			}
			if (next === undefined || entry.due < next) next = entry.due;
		}
		return next;
	}
}
