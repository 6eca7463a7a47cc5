/**
 * Runs in the emulated machine: sets one peer up after the other, and has a frame's instructions counted on each path.
 *
 *     node instructions-inside.js GUEST RESULT PEER…      guest.c's program, and the file to write
 */
import { writeFileSync } from 'node:fs';
import { release } from 'node:os';
import { dirname } from 'node:path';
import { asIpvtapError, IpvtapError } from '../../errors.js';
import { FEW_GUESTS } from '../ground.js';
import { choosePeers } from '../peers/index.js';
import type { CountResult } from '../results.js';
import { type Place, Site } from '../site.js';
import { emulate, P2V, type Path, V2P, V2V } from '../traffic/emulated.js';
import { GUEST_TO_GUEST, type Instructions } from './result.js';

const paths: Readonly<Record<string, Path>> = {
	[GUEST_TO_GUEST]: V2V,
	'guest to wire': V2P,
	'wire to guest': P2V,
	'guest to guest, IPv6': { ...V2V, ipv6: true },
};
/** The guest counts frames and not time; this is until it is given up. */
const TIMING = { seconds: 60, warmup: 0 };

const [, , guest, output, ...names] = process.argv as [string, string, string, string, ...string[]];
const programs = { guest, fan: '', forwarder: '', connect: '' };
const counts: Instructions['counts'][number][] = [];
const failed: Instructions['failed'][number][] = [];

for (const make of choosePeers(names, false)) {
	const site = new Site(make, programs, dirname(output));
	const { name } = site;
	try {
		const place = await site.place(FEW_GUESTS);
		for (const [path, way] of Object.entries(paths))
			counts.push({ peer: name, path, instructions: await count(place, way) });
	} catch (error) {
		failed.push({ name, why: asIpvtapError(error).message });
	} finally {
		await site.close();
	}
}
writeFileSync(output, JSON.stringify({ kernel: release(), counts, failed }));
process.exit();

/** @throws IpvtapError when frames are lost: it would be the loss that is counted. */
async function count(place: Place, path: Path): Promise<number> {
	const { ticks, frames, received } = await emulate<CountResult>(
		place,
		path,
		['count', '--size', '80'],
		TIMING,
	);
	if (received === frames) return ticks;
	throw new IpvtapError('failed', `count a frame's instructions: ${received} of ${frames} arrived`);
}
