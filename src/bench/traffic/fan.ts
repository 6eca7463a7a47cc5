/** Traffic of fan.c: guest 0 speaks to many, and guests 1 and 2 go on talking to each other; or two flood a third. */
import { exec } from '../../lab/command.js';
import { guestIp, guestMac } from '../ground.js';
import type { Bandwidth } from '../peers/peer.js';
import type { FanResult } from '../results.js';
import type { Timing, Traffic } from '../run.js';
import type { Place } from '../site.js';

/** Frames/s between the neighbours: what a voice call between a hundred parties takes, and little for anybody here. */
const PACE = 5000;

/** RFC 6676: for documentation. The second is what receivers join who shall not want the first. */
const GROUP = '01:00:5e:7c:02:03/233.252.2.3';
const WANTED = '233.252.2.3';
const OTHER = '233.252.4.5';

/**
 * @param every of how many guests one has joined the group that is sent to; undefined: it is sent to all.
 * @throws IpvtapError with the emulator's own words.
 */
export async function fanTraffic(place: Place, timing: Timing, every?: number): Promise<Traffic> {
	const { peer, ground } = place;
	const words = every === undefined ? [] : ['--target', GROUP];
	for (let guest = 1; guest < ground.guests; guest++) {
		const joins = every === undefined ? '' : `,${who(guest)},${guest % every === 0 ? WANTED : OTHER}`;
		words.push('--to', peer.guestEdge(guest) + joins);
	}
	const router = peer.router?.(1);
	words.push('--neighbours', [who(1), who(2), ...(router === undefined ? [] : [router])].join(','));
	words.push('--pace', String(PACE));
	const result = await fan(place, 0, words, timing);
	return { result, cpu: result.cpuNs / 1e9 };
}

/** Guests 0 and 2 flood guest 1. @throws IpvtapError with the emulator's own words. */
export async function floodedTraffic(place: Place, timing: Timing): Promise<Traffic> {
	const result = await fan(place, 0, towardsGuest1(place), timing);
	return { result, cpu: result.cpuNs / 1e9 };
}

/** Frames/s that a guest may send: two take less than half of the bridge's limit when one sends twice this. */
export const SHARE = 50_000;
const FRAME = 64;
/** Bytes: as little as ipvtap takes, and what goes beyond the rate in the first 20 ms. */
const BURST = 64 * 1024;

/** Guests 0 and 2 may send the same, and to guest 1; guest 0 sends twice that. @throws IpvtapError. */
export async function overdrawnTraffic(place: Place, timing: Timing): Promise<Traffic> {
	const { peer } = place;
	const limit = async (tx: Bandwidth | null): Promise<void> => {
		for (const guest of [0, 2]) await peer.limit?.(guest, { tx });
	};
	try {
		await limit({ rate: SHARE * FRAME * 8, burst: BURST });
		const words = [...towardsGuest1(place), '--rate', String(2 * SHARE), '--also-rate', String(SHARE)];
		const result = await fan(place, 0, words, timing);
		return { result: { ...result, limit: SHARE }, cpu: result.cpuNs / 1e9 };
	} finally {
		await limit(null);
	}
}

/** From guests 0 and 2. */
function towardsGuest1({ peer }: Place): string[] {
	const hop = (from: number): string => peer.router?.(from) ?? guestMac(1);
	const also = `${peer.guestEdge(2)},${who(2)},${hop(2)}`;
	return ['--target', `${hop(0)}/${guestIp(1)}`, '--to', peer.guestEdge(1), '--also', also];
}

/** Runs fan.c, guest `from` sending. @param edge where its frames go instead of where it belongs. */
export async function fan(
	{ peer, ground }: Place,
	from: number,
	words: readonly string[],
	{ seconds, warmup }: Timing,
	edge = peer.guestEdge(from),
): Promise<FanResult> {
	const [file, ...before] = ground.host.prefix;
	const own = words.includes('--source') ? [] : ['--source', who(from)];
	const time = ['--seconds', String(seconds), '--warmup', String(warmup)];
	const args = [...before, ground.programs.fan, '--from', edge, ...own, ...words, ...time];
	return JSON.parse(await exec(file!, args)) as FanResult;
}

function who(guest: number): string {
	return `${guestMac(guest)}/${guestIp(guest)}`;
}
