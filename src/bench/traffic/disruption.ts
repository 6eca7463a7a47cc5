/**
 * Frames at a modest rate, and a guest beside that forges, while the process that moves them is killed without a warning
 * and started again at once, or the wire is unplugged for a moment.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { IpvtapError } from '../../errors.js';
import type { DisruptionResult, FloodResult } from '../results.js';
import type { Traffic } from '../run.js';
import type { Place } from '../site.js';
import { emulate, type Path, V2V } from './emulated.js';
import { forge } from './forger.js';

const RATE = 10_000;
const WORDS = ['flood', '--wait', 'poll', '--rate', String(RATE)];
const BEFORE_MS = 300;
/**
 * A daemon that adopts a few guests is there again in well under a second, on a machine that has nothing else to do. Where
 * one wasn't before the traffic was nearly over, there is more the next time, within reason.
 */
const SECONDS = 3;
const SECONDS_MAX = 10;
const UNPLUGGED_MS = 200;

let restartSeconds = SECONDS;

/** @throws IpvtapError when the peer doesn't come back. */
export async function restartTraffic(place: Place): Promise<Traffic> {
	const traffic = await disrupted(place, V2V, restartSeconds, () => place.peer.restart!());
	const enough = Math.ceil(2 * traffic.result.restart);
	restartSeconds = Math.min(SECONDS_MAX, Math.max(restartSeconds, enough));
	return traffic;
}

/** @throws IpvtapError when the peer doesn't come back, or another version's programs are still at work. */
export async function upgradeTraffic(place: Place): Promise<Traffic> {
	const traffic = await restartTraffic(place);
	// The restart may have taken longer than the traffic.
	await emulate(place, V2V, WORDS, { seconds: 0.1, warmup: 0 });
	const { peer } = place;
	if ((await peer.counted!(V2V.from as number)) > 0) return traffic;
	throw new IpvtapError('failed', `upgrade ${peer.name}: its own programs have seen no frame`);
}

/** @throws IpvtapError with the emulator's own words. */
export function unpluggedTraffic(place: Place, path: Path): Promise<Traffic> {
	return disrupted(place, path, SECONDS, async () => {
		await place.ground.wire.ip('link set wire1 down');
		await sleep(UNPLUGGED_MS);
		await place.ground.wire.ip('link set wire1 up');
	});
}

async function disrupted(
	place: Place,
	path: Path,
	seconds: number,
	disrupt: () => Promise<void>,
): Promise<Traffic & { result: DisruptionResult }> {
	const before = await fullOf(place, path);
	const flow = emulate<FloodResult>(place, path, WORDS, { seconds, warmup: 0.1 });
	const forger = forge(place, seconds);
	for (const one of [flow, forger]) one.catch(() => {});
	await sleep(BEFORE_MS);
	const from = performance.now();
	await disrupt();
	const restart = (performance.now() - from) / 1000;
	const { totalSent: sent, lost, refused, forged, cpuNs } = await flow;
	const forgedSent = await forger;
	const full = (await fullOf(place, path)) - before;
	// What a TAP refuses is lost to its guest, too.
	return {
		result: { elapsed: seconds, rate: RATE, sent, lost: lost + refused, full, restart, forged, forgedSent },
		cpu: cpuNs / 1e9,
	};
}

/** Frames that the receiver's TAP had no room for so far: its guest hadn't read those before. 0 where it has no TAP. */
async function fullOf({ peer, ground }: Place, { to }: Path): Promise<number> {
	const name = to === 'wire' ? undefined : /^tap:(.+)/.exec(peer.guestEdge(to))?.[1];
	if (name === undefined) return 0;
	return Number(await ground.host.exec('cat', [`/sys/class/net/${name}/statistics/tx_dropped`]));
}
