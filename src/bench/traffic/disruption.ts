/** Frames at a modest rate, while the process that moves them is killed without a warning and started again at once. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { FloodResult } from '../results.js';
import type { Traffic } from '../run.js';
import type { Place } from '../site.js';
import { emulate, V2V } from './emulated.js';

const RATE = 10_000;
const BEFORE_MS = 300;
/** A daemon that adopts a few guests is there again in well under a second, on a machine that has nothing else to do. */
const SECONDS = 3;

/** @throws IpvtapError when the peer doesn't come back. */
export async function disruptionTraffic(place: Place): Promise<Traffic> {
	const words = ['flood', '--wait', 'poll', '--rate', String(RATE)];
	const flow = emulate<FloodResult>(place, V2V, words, { seconds: SECONDS, warmup: 0.1 });
	flow.catch(() => {});
	await sleep(BEFORE_MS);
	const from = performance.now();
	await place.peer.restart!();
	const restart = (performance.now() - from) / 1000;
	const { totalSent: sent, lost, refused, cpuNs } = await flow;
	// What a TAP refuses is lost to its guest, too.
	return {
		result: { elapsed: SECONDS, rate: RATE, sent, lost: lost + refused, restart },
		cpu: cpuNs / 1e9,
	};
}
