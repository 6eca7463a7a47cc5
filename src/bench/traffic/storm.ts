/**
 * What a guest's storm of broadcasts costs two others beyond the CPU time of its sender: their transactions during the
 * storm, compared with those during the same storm into a TAP that leads nowhere. Calm, storm, storm, calm.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { NOWHERE } from '../ground.js';
import type { ResponseResult } from '../results.js';
import type { Timing, Traffic } from '../run.js';
import type { Place } from '../site.js';
import { emulate, V2V } from './emulated.js';
import { fan } from './fan.js';

/** Frames/s: twenty times what ipvtap lets a guest send to all by default. */
const RATE = 20_000;
const STORMY = 2;
const LEAD_S = 0.05;

/** @throws IpvtapError with the emulator's own words. */
export async function stormTraffic(place: Place, { seconds, warmup }: Timing): Promise<Traffic> {
	const part = { seconds: seconds / 2, warmup: warmup / 2 };
	const rates = { storm: [] as number[], nowhere: [] as number[] };
	let cpu = 0;
	for (const where of ['nowhere', 'storm', 'storm', 'nowhere'] as const) {
		const edge = where === 'storm' ? place.peer.guestEdge(STORMY) : `tap:${NOWHERE}`;
		const storm = startStorm(place, edge, part);
		await sleep(LEAD_S * 1000);
		const calm = await emulate<ResponseResult>(place, V2V, ['rr', '--wait', 'poll'], part);
		cpu += (calm.cpuNs + (await storm)) / 1e9;
		rates[where].push(calm.transactions / calm.elapsed);
	}
	const mean = (values: number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;
	return { result: { elapsed: seconds, storm: mean(rates.storm), nowhere: mean(rates.nowhere) }, cpu };
}

/** Lasts a little longer than the race beside it. @returns its CPU time, ns. */
async function startStorm(place: Place, edge: string, { seconds, warmup }: Timing): Promise<number> {
	const time = { seconds: seconds + LEAD_S, warmup: LEAD_S + warmup };
	return (await fan(place, STORMY, ['--rate', String(RATE)], time, edge)).cpuNs;
}
