/** Traffic of guest.c: frames as fast as they go, or one request after another. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { exec } from '../../lab/command.js';
import { guestIp, guestIp6, guestMac, WIRE_IP, WIRE_IP6, WIRE_MAC } from '../ground.js';
import { countersIn, perfWords } from '../perf.js';
import type { CountResult, FloodResult, ResponseResult, SearchResult } from '../results.js';
import type { Timing, Traffic } from '../run.js';
import type { Place } from '../site.js';

/** A guest, by its number, or the wire. */
export type End = number | 'wire';

export interface Path {
	from: End;
	to: End;
	ipv6?: boolean;
}

export const V2V: Path = { from: 0, to: 1 };
export const V2P: Path = { from: 0, to: 'wire' };
export const P2V: Path = { from: 'wire', to: 1 };

type TimedResult = FloodResult | ResponseResult | SearchResult;

/** @param words for guest.c, the mode first. @throws IpvtapError with the emulator's own words. */
export async function emulatedTraffic(
	place: Place,
	path: Path,
	words: readonly string[],
	timing: Timing,
): Promise<Traffic> {
	const { ground, folder } = place;
	const counters = join(folder, 'perf.csv');
	const perf = await perfWords(counters);
	const result = await emulate<TimedResult>(place, path, words, timing, [...perf, ...ground.host.prefix]);
	return {
		result,
		cpu: result.cpuNs / 1e9,
		instructions: perf.length === 0 ? undefined : countersIn(await readFile(counters, 'utf8')),
	};
}

/** Runs guest.c. @param prefix words that put it into the host's namespace. */
export async function emulate<T extends TimedResult | CountResult>(
	place: Place,
	path: Path,
	words: readonly string[],
	{ seconds, warmup }: Timing,
	prefix: readonly string[] = place.ground.host.prefix,
): Promise<T> {
	const [mode, ...others] = words;
	const time = ['--seconds', String(seconds), '--warmup', String(warmup)];
	const args = [mode!, ...edges(place, path), ...others, ...time];
	const [file, ...before] = prefix;
	const timeout = (seconds + warmup + 15) * 1000;
	return JSON.parse(await exec(file!, [...before, place.ground.programs.guest, ...args], { timeout })) as T;
}

function edges({ peer, ground }: Place, { from, to, ipv6 = false }: Path): string[] {
	const edge = (end: End): string => (end === 'wire' ? ground.wireEdge : peer.guestEdge(end));
	const who = (end: End): string =>
		end === 'wire'
			? `${WIRE_MAC}/${ipv6 ? WIRE_IP6 : WIRE_IP}`
			: `${guestMac(end)}/${ipv6 ? guestIp6(end) : guestIp(end)}`;
	const hop = from !== 'wire' ? peer.router?.(from) : to !== 'wire' ? peer.macOnWire(to) : undefined;
	const words = ['--from', edge(from), '--to', edge(to), '--source', who(from), '--target', who(to)];
	return hop === undefined ? words : [...words, '--hop', hop];
}
