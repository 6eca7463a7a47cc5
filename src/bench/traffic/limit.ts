/** How many frames a second a peer takes from guest to guest, of which 99.5 % arrive (row `overload`). */
import { IpvtapError } from '../../errors.js';
import { spent, usage } from '../cpu.js';
import type { SearchResult } from '../results.js';
import type { Place } from '../site.js';
import { FOREIGN_MAX } from '../statistics.js';
import { emulate, V2V } from './emulated.js';

const WORDS = ['flood', '--size', '64', '--wait', 'sleep', '--search'];
const TIMING = { seconds: 1, warmup: 0.2 };
/** So many that nobody disturbs: who does only makes them find less. */
const SEARCHES = 3;

/** The best of all searches so far, frames/s, and how many of them were undisturbed. */
interface Known {
	best: number;
	clean: number;
}

const limits = new WeakMap<Place, Known>();
let first: Place | undefined;

/** Looks for a peer's limit, and on a busy machine once more each time that it is asked to. @throws IpvtapError. */
export async function findLimit(place: Place): Promise<void> {
	first ??= place;
	const before = limits.get(place);
	const known = before ?? { best: 0, clean: 0 };
	limits.set(place, known);
	const searches = before === undefined ? SEARCHES : Math.min(1, SEARCHES - known.clean);
	for (let search = 0; search < searches; search++) await look(place, known);
	if (known.best > 0) return;
	throw new IpvtapError('failed', `find the limit of ${place.peer.name}: no rate arrives whole`);
}

/** Half of the peer's own, frames/s, once it has been looked for. */
export function ownHalf(place: Place): number {
	return limits.get(place)!.best / 2;
}

/** As {@link findLimit}, the bridge's alone. @throws IpvtapError. */
export async function findCommonLimit(place: Place): Promise<void> {
	if (place === (first ?? place)) await findLimit(place);
}

/**
 * Half of the bridge's: the same for every peer, and what one near the bridge's speed has room beside. The bridge's is the
 * first place of all, since each row begins with it.
 */
export function commonHalf(): number {
	return ownHalf(first!);
}

async function look(place: Place, known: Known): Promise<void> {
	const pids = place.peer.pids();
	const before = usage(pids);
	const { rate, cpuNs } = await emulate<SearchResult>(place, V2V, WORDS, TIMING);
	const { foreign, stolen } = spent(before, usage(pids), cpuNs / 1e9);
	known.best = Math.max(known.best, rate);
	if (foreign < FOREIGN_MAX && stolen < FOREIGN_MAX) known.clean++;
}
