/** Request and response while two other guests exchange frames at a rate. */
import type { FloodResult, ResponseResult } from '../results.js';
import type { Timing, Traffic } from '../run.js';
import type { Place } from '../site.js';
import { emulate, V2V } from './emulated.js';

const OTHERS = { from: 2, to: 3 };
/** The load begins before, and ends after, what it is for. */
const MARGIN_S = 0.2;

/** @param rate of the load, frames/s. @throws IpvtapError with the emulator's own words. */
export async function loadedTraffic(
	place: Place,
	rate: number,
	{ seconds, warmup }: Timing,
): Promise<Traffic> {
	const load = emulate<FloodResult>(
		place,
		OTHERS,
		['flood', '--calm', '--wait', 'sleep', '--cpus', '-1,-1', '--rate', String(Math.round(rate))],
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
		result: { ...response, load: { rate, sent: sent / elapsed, received: received / elapsed } },
		cpu: (response.cpuNs + cpuNs) / 1e9,
	};
}
