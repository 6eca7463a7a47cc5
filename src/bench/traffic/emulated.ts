/** Traffic of guest.c: frames as fast as they go, or one request after another. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { exec } from '../../lab/command.js';
import { guestIp, guestMac, WIRE_IP, WIRE_MAC } from '../ground.js';
import { countersIn, perfWords } from '../perf.js';
import type { FloodResult, ResponseResult, SearchResult } from '../results.js';
import type { Timing, Traffic } from '../run.js';
import type { Place } from '../site.js';

export type Way = 'guest-guest' | 'guest-wire' | 'wire-guest';

/** @param words for guest.c, the mode first. @throws IpvtapError with the emulator's own words. */
export async function emulatedTraffic(
	place: Place,
	way: Way,
	words: readonly string[],
	timing: Timing,
): Promise<Traffic> {
	const { ground, folder } = place;
	const counters = join(folder, 'perf.csv');
	const perf = await perfWords(counters);
	const result = await emulate(place, way, words, timing, [...perf, ...ground.host.prefix]);
	return {
		result,
		cpu: result.cpuNs / 1e9,
		instructions: perf.length === 0 ? undefined : countersIn(await readFile(counters, 'utf8')),
	};
}

/** Runs guest.c. @param prefix words that put it into the host's namespace. */
export async function emulate<T extends FloodResult | ResponseResult | SearchResult>(
	place: Place,
	way: Way,
	words: readonly string[],
	{ seconds, warmup }: Timing,
	prefix: readonly string[] = place.ground.host.prefix,
): Promise<T> {
	const [mode, ...others] = words;
	const time = ['--seconds', String(seconds), '--warmup', String(warmup)];
	const args = [mode!, ...edges(place, way), ...others, ...time];
	const [file, ...before] = prefix;
	const timeout = (seconds + warmup + 15) * 1000;
	return JSON.parse(await exec(file!, [...before, place.ground.programs.guest, ...args], { timeout })) as T;
}

/** Guest 0 and guest 1, or one of them and the wire. */
function edges({ peer, ground }: Place, way: Way): string[] {
	const guest = (n: number): [string, string] => [peer.guestEdge(n), `${guestMac(n)}/${guestIp(n)}`];
	const wire: [string, string] = [ground.wireEdge, `${WIRE_MAC}/${WIRE_IP}`];
	const [from, source] = way === 'wire-guest' ? wire : guest(0);
	const [to, target] = way === 'guest-wire' ? wire : guest(1);
	const hop = way === 'wire-guest' ? peer.macOnWire(1) : peer.router?.(0);
	const words = ['--from', from, '--to', to, '--source', source, '--target', target];
	return hop === undefined ? words : [...words, '--hop', hop];
}
