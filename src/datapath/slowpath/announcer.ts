/**
 * Tells the LAN where addresses are, so that nobody goes on sending to where they were: when a guest comes to own
 * one, when its guest comes to life, and when the master's MAC changes or its link returns. What nobody has used
 * before is asked about first, and announced when nobody has answered: an announcement would take the address from
 * a machine that has it. A guest's claim stands only then.
 *
 * Only for slaves with a guest behind them: what is announced for a TAP that nobody holds would be lost there.
 */
import { EDGES_MAX } from '../verdict.js';

/** `confirm`: nobody has answered, so the claim to it stands. */
export type Step = 'probe' | 'confirm' | 'announce';

/** What to do, and how long after the step before it, ms. */
type Plan = readonly (readonly [after: number, step: Step])[];

/** Twice, because a broadcast may be lost (RFC 5227, 2.3: two announcements, two seconds apart). */
const ANNOUNCE: Plan = [
	[0, 'announce'],
	[2000, 'announce'],
];
/**
 * How long an answer may take, in two parts: the question is put twice, because a broadcast may be lost. A wired LAN
 * answers within a millisecond or two. On Wi-Fi an access point keeps broadcasts back, while a station sleeps, until
 * every second beacon (hostapd's dtim_period), and beacons are 102.4 ms apart: 205 ms, and the answer itself goes at
 * once. RFC 5227 would take six seconds, and RFC 4862 one; but here a guest waits that has begun already. Whoever
 * answers later than this still takes the address away.
 */
const AGAIN_MS = 50;
const ANSWER_MS = 200;
/** It is its slave's by right, and is asked about only so that nobody is told what isn't so. */
const PROBE: Plan = [
	[0, 'probe'],
	[AGAIN_MS, 'probe'],
	[ANSWER_MS, 'announce'],
	[2000, 'announce'],
];
const CLAIM: Plan = [
	[0, 'probe'],
	[AGAIN_MS, 'probe'],
	[ANSWER_MS, 'confirm'],
	[0, 'announce'],
	[2000, 'announce'],
];
/**
 * The guest itself has asked, and is still listening: DAD takes a second (RFC 4862, 5.1), IPv4's detection up to seven
 * (RFC 5227, 1.1). The last question is for who began to look for the same address when the first ones had gone by:
 * the card doesn't listen to an address's solicited-node group before the address is a slave's.
 */
const DETECTION: Plan = [
	[AGAIN_MS, 'probe'],
	[ANSWER_MS, 'confirm'],
	[AGAIN_MS, 'probe'],
	[2000, 'announce'],
];

/** Frames of one `tick`, and the pause after them: a thousand addresses must not be a burst that a switch drops. */
const BURST = 64;
const PAUSE_MS = 10;

export class Announcer {
	readonly #live = new Uint8Array(EDGES_MAX);
	readonly #pending = new Map<string, { edge: number; plan: Plan; step: number; due: number }>();
	readonly #take: (address: string, step: Step) => void;

	/** @param take takes a step: puts one frame on the wire, or takes note that nobody has answered. */
	constructor(take: (address: string, step: Step) => void) {
		this.#take = take;
	}

	isLive(edge: number): boolean {
		return this.#live[edge] === 1;
	}

	setLive(edge: number, live: boolean): void {
		this.#live[edge] = live ? 1 : 0;
		if (live) return;
		for (const [address, pending] of this.#pending) if (pending.edge === edge) this.#pending.delete(address);
	}

	/** The slave has the address from now on. */
	taken(address: string, edge: number, now: number): void {
		this.#plan(address, edge, PROBE, now);
	}

	/** The slave wants the address. @param detecting its guest has asked for it itself. */
	claimed(address: string, edge: number, now: number, detecting: boolean): void {
		this.#plan(address, edge, detecting ? DETECTION : CLAIM, now);
	}

	/** The slave's address, long its own, must be made known again. */
	returned(address: string, edge: number, now: number): void {
		this.#plan(address, edge, ANNOUNCE, now);
	}

	/** The address is gone, or somebody else has it: nothing more is said about it. @returns whether something still was to be. */
	forget(address: string): boolean {
		return this.#pending.delete(address);
	}

	/** Does what is due. @returns when something is again, or undefined. */
	tick(now: number): number | undefined {
		let next: number | undefined;
		let said = 0;
		for (const [address, pending] of this.#pending) {
			while (pending.due <= now && said < BURST) {
				said++;
				this.#take(address, (pending.plan[pending.step] as Plan[number])[1]);
				pending.due = now + (pending.plan[++pending.step]?.[0] ?? Number.POSITIVE_INFINITY);
			}
			if (pending.step === pending.plan.length) {
				this.#pending.delete(address);
				continue;
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
