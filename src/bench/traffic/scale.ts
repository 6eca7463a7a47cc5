/** Whether a frame costs more where there are many guests: few, many, many, few. */
import type { FloodResult } from '../results.js';
import type { Timing, Traffic } from '../run.js';
import type { Place } from '../site.js';
import { emulate, V2V } from './emulated.js';

/** @throws IpvtapError with the emulator's own words. */
export async function scaleTraffic(
	few: Place,
	many: Place,
	words: readonly string[],
	{ seconds, warmup }: Timing,
): Promise<Traffic> {
	const part = { seconds: seconds / 2, warmup };
	const race = (place: Place): Promise<FloodResult> => emulate(place, V2V, words, part);
	const first = await race(few);
	const crowd = [await race(many), await race(many)] as const;
	const last = await race(few);
	const all = [first, ...crowd, last];
	return {
		result: { elapsed: seconds, few: merged(first, last), many: merged(...crowd) },
		cpu: all.reduce((sum, { cpuNs }) => sum + cpuNs, 0) / 1e9,
	};
}

/** Two windows as one; its delays are the first one's. */
function merged(one: FloodResult, other: FloodResult): FloodResult {
	return {
		...one,
		elapsed: one.elapsed + other.elapsed,
		sent: one.sent + other.sent,
		received: one.received + other.received,
		cpuNs: one.cpuNs + other.cpuNs,
		totalReceived: one.totalReceived + other.totalReceived,
	};
}
