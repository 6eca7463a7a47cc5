/** How many frames a second a peer takes from guest to guest, of which 99.5 % arrive (row `overload`). */
import { IpvtapError } from '../../errors.js';
import type { SearchResult } from '../results.js';
import type { Place } from '../site.js';
import { emulate, V2V } from './emulated.js';

const WORDS = ['flood', '--size', '64', '--wait', 'sleep', '--search'];
const TIMING = { seconds: 1, warmup: 0.2 };
const SEARCHES = 3;
/** On a machine that is busy with other things nothing may arrive whole. */
const ATTEMPTS = 10;

/** Half of its own, frames/s. @throws IpvtapError. */
export async function ownHalf(place: Place): Promise<number> {
	return (await limitOf(place)) / 2;
}

/**
 * Half of the bridge's, frames/s: the same for every peer, and what one near the bridge's speed has room beside. It is that
 * of the first place that asks, since each row begins with the bridge. @throws IpvtapError.
 */
export async function commonHalf(place: Place): Promise<number> {
	common ??= await ownHalf(place);
	return common;
}

let common: number | undefined;
const known = new WeakMap<Place, number>();

/** The best of three searches, made when it is first asked for: who disturbs one only makes it find less. */
async function limitOf(place: Place): Promise<number> {
	const limit = known.get(place) ?? (await search(place));
	known.set(place, limit);
	return limit;
}

async function search(place: Place): Promise<number> {
	const found: number[] = [];
	for (let attempt = 0; attempt < ATTEMPTS && found.length < SEARCHES; attempt++) {
		const { rate } = await emulate<SearchResult>(place, V2V, WORDS, TIMING);
		if (rate > 0) found.push(rate);
	}
	if (found.length > 0) return Math.max(...found);
	throw new IpvtapError('failed', `find the limit of ${place.peer.name}: no rate arrives whole`);
}
