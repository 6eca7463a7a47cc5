/**
 * Request and response while two other guests exchange half of what the bridge can: the same load for every peer, and
 * one that a peer near the bridge's speed has room beside.
 */
import type { FloodResult, ResponseResult, SearchResult } from '../results.js';
import type { Timing, Traffic } from '../run.js';
import type { Place } from '../site.js';
import { emulate, V2V } from './emulated.js';

const OTHERS = { from: 2, to: 3 };
/** The search and the load begin before, and the load ends after, what they are for. */
const SEARCH_S = 1;
const MARGIN_S = 0.2;

/** Frames/s, found when the first row asks: that is the bridge's run, as each row begins with it. */
let half: number | undefined;

/** @throws IpvtapError with the emulator's own words. */
export async function loadedTraffic(place: Place, { seconds, warmup }: Timing): Promise<Traffic> {
	half ??= (await limitOf(place)) / 2;
	const load = emulate<FloodResult>(
		place,
		OTHERS,
		['flood', '--calm', '--wait', 'sleep', '--cpus', '-1,-1', '--rate', String(Math.round(half))],
		{ seconds: seconds + MARGIN_S, warmup: warmup + MARGIN_S },
	);
	load.catch(() => {});
	const words = ['rr', '--wait', 'poll'];
	const response = await emulate<ResponseResult>(place, V2V, words, {
		seconds,
		warmup: warmup + MARGIN_S,
	});
	const { sent, received, elapsed, cpuNs } = await load;
	return {
		result: { ...response, load: { rate: half, sent: sent / elapsed, received: received / elapsed } },
		cpu: (response.cpuNs + cpuNs) / 1e9,
	};
}

async function limitOf(place: Place): Promise<number> {
	const words = ['flood', '--size', '64', '--wait', 'sleep', '--search'];
	const timing = { seconds: SEARCH_S, warmup: MARGIN_S };
	const { rate } = await emulate<SearchResult>(place, V2V, words, timing);
	return rate || FALLBACK;
}

/** On a machine that is busy with other things nothing may arrive whole: as much as an idle one has always carried. */
const FALLBACK = 100_000;
