/** Traffic of guest.c: frames as fast as they go, or one request after another. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { exec } from '../../src/lab/command.js';
import { type Ground, guestIp, guestMac, WIRE_IP, WIRE_MAC } from './ground.js';
import type { Peer } from './peers/peer.js';
import { countersIn, perfWords } from './perf.js';
import type { Row } from './rows.js';
import type { FloodResult, ResponseResult, Site, Timing, Traffic } from './run.js';

/** @throws IpvtapError with the emulator's own words. */
export async function emulatedTraffic(row: Row, site: Site, timing: Timing): Promise<Traffic> {
	const { peer, ground, folder } = site;
	const args = [row.mode, ...edges(row, peer, ground), ...row.args];
	args.push('--seconds', String(timing.seconds), '--warmup', String(timing.warmup));
	const counters = join(folder, 'perf.csv');
	const perf = await perfWords(counters);
	const [file, ...words] = [...perf, ...ground.host.prefix, ground.programs.guest, ...args];
	const text = await exec(file!, words, { timeout: (timing.seconds + timing.warmup + 10) * 1000 });
	const result = JSON.parse(text) as FloodResult | ResponseResult;
	return {
		result,
		cpu: result.cpuNs / 1e9,
		instructions: perf.length === 0 ? undefined : countersIn(await readFile(counters, 'utf8')),
	};
}

function edges({ way }: Row, peer: Peer, ground: Ground): string[] {
	const guest = (n: number): [string, string] => [peer.guestTap(n), `${guestMac(n)}/${guestIp(n)}`];
	const wire: [string, string] = [ground.wireEdge, `${WIRE_MAC}/${WIRE_IP}`];
	const [from, source] = way === 'wire-guest' ? wire : guest(0);
	const [to, target] = way === 'guest-wire' ? wire : guest(1);
	const words = ['--from', from, '--to', to, '--source', source];
	if (way !== 'wire-guest') return [...words, '--target', target];
	return [...words, '--target', `${peer.macOnWire(1)}/${guestIp(1)}`];
}
