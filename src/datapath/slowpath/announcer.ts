/**
 * Tells the LAN where addresses are, so that nobody goes on sending to where they were: when a guest comes to own
 * one, when its guest comes to life, and when the master's MAC changes or its link returns. What nobody has used
 * before is asked about first, and announced when nobody has answered: an announcement would take the address from
 * a machine that has it.
 *
 * Only for slaves with a guest behind them: what is announced for a TAP that nobody holds would be lost there.
 */
import { EDGES_MAX } from '../verdict.js';

/** What to say, and how long after the step before it, ms. */
type Plan = readonly (readonly [after: number, say: 'probe' | 'announce'])[];

/** Twice, because a broadcast may be lost (RFC 5227, 2.3: two announcements, two seconds apart). */
const ANNOUNCE: Plan = [
	[0, 'announce'],
	[2000, 'announce'],
];
/**
 * A LAN answers a probe within milliseconds, a station that sleeps in power saving within two beacons of 100 ms;
 * asked twice, because a broadcast may be lost. RFC 5227 would take six seconds, and the guest has begun already.
 */
const PROBE: Plan = [
	[0, 'probe'],
	[50, 'probe'],
	[200, 'announce'],
	[2000, 'announce'],
];
/** The guest itself is asking: DAD takes a second (RFC 4862, 5.1), IPv4's detection up to seven (RFC 5227, 1.1). */
const AFTER_DETECTION: Plan = [[2000, 'announce']];

/** Frames of one `tick`, and the pause after them: a thousand addresses must not be a burst that a switch drops. */
const BURST = 64;
const PAUSE_MS = 10;

export class Announcer {
	readonly #live = new Uint8Array(EDGES_MAX);
	readonly #pending = new Map<string, { edge: number; plan: Plan; step: number; due: number }>();
	readonly #say: (address: string, what: 'probe' | 'announce') => void;

	/** @param say puts one frame on the wire. */
	constructor(say: (address: string, what: 'probe' | 'announce') => void) {
		this.#say = say;
	}

	isLive(edge: number): boolean {
		return this.#live[edge] === 1;
	}

	setLive(edge: number, live: boolean): void {
		this.#live[edge] = live ? 1 : 0;
		if (live) return;
		for (const [address, pending] of this.#pending) if (pending.edge === edge) this.#pending.delete(address);
	}

	/** The slave uses the address from now on. @param detecting its guest is still finding out whether it may. */
	taken(address: string, edge: number, now: number, detecting = false): void {
		this.#plan(address, edge, detecting ? AFTER_DETECTION : PROBE, now);
	}

	/** The slave's address, long its own, must be made known again. */
	returned(address: string, edge: number, now: number): void {
		this.#plan(address, edge, ANNOUNCE, now);
	}

	/** The address is gone, or somebody else has it: nothing more is said about it. @returns whether something still was to be. */
	forget(address: string): boolean {
		return this.#pending.delete(address);
	}

	/** Says what is due. @returns when something is again, or undefined. */
	tick(now: number): number | undefined {
		let next: number | undefined;
		let said = 0;
		for (const [address, pending] of this.#pending) {
			if (pending.due <= now && said < BURST) {
				said++;
				this.#say(address, (pending.plan[pending.step] as Plan[number])[1]);
				const following = pending.plan[++pending.step];
				if (following === undefined) {
					this.#pending.delete(address);
					continue;
				}
				pending.due = now + following[0];
			}
			const due = Math.max(pending.due, said === BURST ? now + PAUSE_MS : 0);
			if (next === undefined || due < next) next = due;
		}
		return next;
	}

	#plan(address: string, edge: number, plan: Plan, now: number): void {
		if (!this.isLive(edge)) return;
		this.#pending.set(address, { edge, plan, step: 0, due: now + (plan[0] as Plan[number])[0] });
	}
}
