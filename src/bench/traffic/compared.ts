/** The same traffic under two conditions, next to each other: one, other, other, one. */
import type { Bandwidth } from '../peers/peer.js';
import type { FloodResult } from '../results.js';
import type { Timing, Traffic } from '../run.js';
import type { Place } from '../site.js';
import { emulate, V2V } from './emulated.js';

const WORDS = ['flood', '--size', '64', '--wait', 'sleep'];

/** Whether a frame costs more where there are many guests. @throws IpvtapError with the emulator's own words. */
export async function scaleTraffic(few: Place, many: Place, timing: Timing): Promise<Traffic> {
	const race = (place: Place) => (): Promise<FloodResult> => flood(place, timing);
	const { one, other, cpu } = await compare(race(few), race(many));
	return { result: { elapsed: timing.seconds, few: one, many: other }, cpu };
}

/** Whether a frame costs more where its sender and its receiver have limits, though none is reached. @throws IpvtapError. */
export async function limitedTraffic(place: Place, timing: Timing): Promise<Traffic> {
	const limit = async (both: Bandwidth | null): Promise<void> => {
		for (const guest of [V2V.from, V2V.to]) await place.peer.limit!(guest as number, { tx: both, rx: both });
	};
	const race = (both: Bandwidth | null) => async (): Promise<FloodResult> => {
		await limit(both);
		return flood(place, timing);
	};
	try {
		const { one, other, cpu } = await compare(race(null), race(PLENTY));
		return { result: { elapsed: timing.seconds, unlimited: one, limited: other }, cpu };
	} finally {
		await limit(null);
	}
}

/** As much as may be asked for. */
const PLENTY: Bandwidth = { rate: 1e12, burst: 1 << 30 };

function flood(place: Place, { seconds, warmup }: Timing): Promise<FloodResult> {
	return emulate(place, V2V, WORDS, { seconds: seconds / 2, warmup });
}

async function compare(
	one: () => Promise<FloodResult>,
	other: () => Promise<FloodResult>,
): Promise<{ one: FloodResult; other: FloodResult; cpu: number }> {
	const first = await one();
	const both = [await other(), await other()] as const;
	const last = await one();
	const cpu = [first, ...both, last].reduce((sum, { cpuNs }) => sum + cpuNs, 0) / 1e9;
	return { one: merged(first, last), other: merged(...both), cpu };
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
