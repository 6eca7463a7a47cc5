/**
 * Holds a TAP and storms into it. Arguments: the file of the TAP's namespace, its name, MAC and IPv4 address of the
 * guest that it plays. Commands come line by line on stdin:
 *
 *     KIND RATE   frames of that kind, so many a second, until the next command
 *     stop        → {"sent"} since the last one
 */
import { createInterface } from 'node:readline';
import { openTap } from '../../../src/sys/tap.js';
import { FrameEnd, within } from '../../helpers/tap-guest.js';
import { type Kind, storms } from './storms.js';

/** A timer that fires late makes up for it, but for no more than this, ms. */
const LATE_MS = 20;

const [path = '', ifname = '', mac = '', ipv4 = ''] = process.argv.slice(2);
const end = within({ path }, () => new FrameEnd(openTap(ifname)));
const frames = new Map<Kind, Buffer[]>();
let timer: NodeJS.Timeout | undefined;
let sent = 0;
process.stdout.write('ready\n');

for await (const line of createInterface({ input: process.stdin })) {
	clearInterval(timer);
	const [kind = '', rate = '0'] = line.split(' ');
	if (kind === 'stop') {
		end.drain();
		process.stdout.write(`${JSON.stringify({ sent })}\n`);
		sent = 0;
	} else start(kind.replaceAll('_', ' ') as Kind, Number(rate) / 1000);
}
process.exit();

function start(kind: Kind, perMillisecond: number): void {
	if (!frames.has(kind)) frames.set(kind, storms[kind]({ mac, ipv4 }));
	const all = frames.get(kind) as Buffer[];
	let last = performance.now();
	let owed = 0;
	timer = setInterval(() => {
		const now = performance.now();
		owed += Math.min(LATE_MS, now - last) * perMillisecond;
		last = now;
		for (; owed >= 1; owed--) {
			if (end.trySend(all[sent % all.length] as Buffer) !== 'sent') return;
			sent++;
		}
	}, 1);
}
