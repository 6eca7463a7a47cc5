/**
 * A guest that goes about its business while others are attacked, or attack: it asks echo servers, whose addresses
 * are its arguments, and counts answers. Run as a program in the guest; commands come line by line on stdin:
 *
 *     pace       from now on each server is asked every PACE_MS
 *     rest       stop that, wait for answers that are on their way → {"asked","answered"} per `pace`
 *     race MS    one question after another to the first server, for so long → {"trips","lost"}
 */
import { createSocket, type Socket } from 'node:dgram';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';

const PACE_MS = 5;
/** How long an answer may take: none is lost only because the machine was busy. */
const PATIENCE_MS = 2000;
/** In a race, a question without an answer is asked again. */
const AGAIN_MS = 200;

const servers = process.argv.slice(2);
const sockets: Record<4 | 6, Socket> = { 4: createSocket('udp4'), 6: createSocket('udp6') };
let asked = 0;
let answered = 0;
let heard: () => void = () => undefined;
for (const socket of Object.values(sockets)) {
	socket.on('message', () => {
		answered++;
		heard();
	});
	socket.on('error', () => undefined);
}

let pacing: NodeJS.Timeout | undefined;
let turn = 0;
process.stdout.write('ready\n');

for await (const line of createInterface({ input: process.stdin })) {
	const [command, argument] = line.split(' ');
	if (command === 'pace') {
		[asked, answered] = [0, 0];
		pacing = setInterval(() => ask(servers[turn++ % servers.length] as string), PACE_MS);
	} else if (command === 'rest') {
		clearInterval(pacing);
		for (const deadline = performance.now() + PATIENCE_MS; answered < asked && performance.now() < deadline; )
			await next(deadline - performance.now());
		process.stdout.write(`${JSON.stringify({ asked, answered })}\n`);
	} else {
		process.stdout.write(`${JSON.stringify(await race(Number(argument)))}\n`);
	}
}
process.exit();

async function race(milliseconds: number): Promise<{ trips: number; lost: number }> {
	let lost = 0;
	[asked, answered] = [0, 0];
	for (const deadline = performance.now() + milliseconds; performance.now() < deadline; ) {
		const before = answered;
		ask(servers[0] as string);
		await next(AGAIN_MS);
		if (answered === before) lost++;
	}
	return { trips: answered, lost };
}

function ask(server: string): void {
	asked++;
	sockets[server.includes(':') ? 6 : 4].send(`question ${asked}`, 7, server);
}

/** Waits for the next answer, or so long. */
function next(milliseconds: number): Promise<unknown> {
	const answer = new Promise<void>(resolve => {
		heard = resolve;
	});
	const cancel = new AbortController();
	const timeout = sleep(milliseconds, undefined, { signal: cancel.signal }).catch(() => undefined);
	return Promise.race([answer.finally(() => cancel.abort()), timeout]);
}
