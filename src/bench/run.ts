/** One run: one row on one peer, with everything that says whether it may be compared with another. */
import { exec } from '../lab/command.js';
import { spent, usage } from './cpu.js';
import type { Result } from './results.js';
import type { Row } from './rows/row.js';
import type { Place } from './site.js';

/** Where the hypervisor had the two CPUs: `mixed` when it moved them meanwhile, `single` when there is one. */
export type State = 'near' | 'far' | 'mixed' | 'single';

export interface Run {
	row: string;
	peer: string;
	block: number;
	/** When it began, seconds since the first run. */
	at: number;
	state: State;
	/** Cache line from one CPU to the other, before and after, ns. */
	crossingNs: [number, number];
	/** CPUs' worth of somebody else's work meanwhile, and of the hypervisor's. */
	foreign: number;
	stolen: number;
	/** It disturbs the machine by itself: `foreign` says nothing. */
	unquiet: boolean;
	/** CPU seconds of the guests, of the peer's processes and of ksoftirqd, warm-up included. */
	ownCpu: number;
	instructions: { user: number; kernel: number } | undefined;
	result: Result;
}

export interface Timing {
	seconds: number;
	warmup: number;
}

/** What one kind of traffic brought, and the CPU seconds of those who made it. */
export interface Traffic {
	result: Result;
	cpu: number;
	instructions?: { user: number; kernel: number } | undefined;
}

/** @param places one for each of the row's numbers of guests. @throws IpvtapError when the peer or the traffic fails. */
export async function measure(
	row: Row,
	places: readonly Place[],
	block: number,
	timing: Timing,
): Promise<Run> {
	const { peer, ground } = places[0]!;
	const { guest } = ground.programs;
	await row.prepare?.(places);
	const pids = places.flatMap(place => place.peer.pids());
	const first = await crossing(guest);
	const before = usage(pids);
	const traffic = await row.traffic(places, timing);
	const after = usage(pids);
	const last = await crossing(guest);
	const { own, foreign, stolen } = spent(before, after, traffic.cpu);
	return {
		row: row.name,
		peer: peer.name,
		block,
		at: before.at - origin,
		state: stateOf(first, last),
		crossingNs: [first, last],
		foreign,
		unquiet: row.unquiet ?? false,
		stolen,
		ownCpu: own,
		instructions: traffic.instructions,
		result: traffic.result,
	};
}

const origin = usage([]).at;

async function crossing(guest: string): Promise<number> {
	return (JSON.parse(await exec(guest, ['probe'])) as { crossingNs: number }).crossingNs;
}

/** Measured 35-75 ns near and 180-240 far; 0 stands for a machine with one CPU. */
const NEAR_NS = 110;

function stateOf(before: number, after: number): State {
	if (before === 0) return 'single';
	if (before < NEAR_NS !== after < NEAR_NS) return 'mixed';
	return before < NEAR_NS ? 'near' : 'far';
}
