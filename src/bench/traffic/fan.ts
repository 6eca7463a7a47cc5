/** Traffic of fan.c: guest 0 speaks to all, and guests 1 and 2 go on talking to each other. */
import { exec } from '../../lab/command.js';
import { guestIp, guestMac } from '../ground.js';
import type { FanResult } from '../results.js';
import type { Timing, Traffic } from '../run.js';
import type { Place } from '../site.js';

/** Frames/s between the neighbours: what a voice call between a hundred parties takes, and little for anybody here. */
const PACE = 5000;

/** @throws IpvtapError with the emulator's own words. */
export async function fanTraffic({ peer, ground }: Place, { seconds, warmup }: Timing): Promise<Traffic> {
	const who = (guest: number): string => `${guestMac(guest)}/${guestIp(guest)}`;
	const words = ['--from', peer.guestEdge(0), '--source', who(0)];
	for (let guest = 1; guest < ground.guests; guest++) words.push('--to', peer.guestEdge(guest));
	const router = peer.router?.(1);
	words.push('--neighbours', [who(1), who(2), ...(router === undefined ? [] : [router])].join(','));
	words.push('--pace', String(PACE), '--seconds', String(seconds), '--warmup', String(warmup));
	const [file, ...before] = ground.host.prefix;
	const result = JSON.parse(await exec(file!, [...before, ground.programs.fan, ...words])) as FanResult;
	return { result, cpu: result.cpuNs / 1e9 };
}
