/**
 * The forwarder on rings and TAPs of its own, in the namespace that steady.test.ts has made, with a young generation of
 * one megabyte, so that the collector comes for little. Counts off windows of frames, and prints between them the lines
 * that separate what V8 says meanwhile (--trace-deopt), and at the end the windows' collections.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { MessageChannel, Worker } from 'node:worker_threads';
import { ringSetup, sharedSetup } from '../../../src/control/port/frame-setup.js';
import { openPortRing } from '../../../src/control/port/rings.js';
import { keyOf } from '../../../src/datapath/address-key.js';
import { IN_PACKETS, REPLICATED, readEdge, STRIDE } from '../../../src/datapath/counters.js';
import { masterRingFilter, slaveRingFilter } from '../../../src/datapath/filter/programs.js';
import { DOORBELL_FORWARDER, type ForwarderSetup, type StateChange } from '../../../src/datapath/messages.js';
import { BACKLOG_BYTES, Backlog } from '../../../src/datapath/slowpath/backlog.js';
import { regionOf } from '../../../src/datapath/transmit.js';
import { EDGE_SLAVES, EDGE_WIRE } from '../../../src/datapath/verdict.js';
import { signalEvent } from '../../../src/sys/fd.js';
import { mapShared } from '../../../src/sys/memory.js';
import { requireLink } from '../../../src/sys/netlink/link.js';
import { openSender, setFilter } from '../../../src/sys/packet.js';
import { run } from '../../helpers/in-namespace.js';
import { four, macs, six } from './steady-guests.js';

const [frames, windows] = process.argv.slice(2, 4).map(Number) as [number, number];
const wasteful = process.argv[4] === 'wasteful';

/** Time enough for a machine that is busy with other things. */
const WINDOW_MS = 60_000;

for (const name of ['wire', 'a', 'b']) {
	run('ip', 'tuntap', 'add', 'dev', name, 'mode', 'tap', 'vnet_hdr');
	run('tc', 'qdisc', 'replace', 'dev', name, 'root', 'noqueue');
}
run('ip', 'link', 'set', 'dev', 'wire', 'address', macs.master);
for (const name of ['wire', 'a', 'b']) run('ip', 'link', 'set', 'dev', name, 'up');

const master = requireLink('wire');
const guests = ['a', 'b'].map(name => requireLink(name).ifindex);
const addresses = [0, 1].flatMap(guest => [four, six].map(of => ({ guest, address: of(guest) })));
const rings = { slaves: openPortRing('slaves', master), master: openPortRing('master', master) };
setFilter(rings.slaves.fd, slaveRingFilter(guests));
setFilter(rings.master.fd, masterRingFilter(addresses.map(({ address }) => keyOf(address))));
const memory = mapShared(BACKLOG_BYTES);
const shared = sharedSetup(memory.address, 1000);
const doorbells = new Int32Array(shared.doorbells);
const counters = [shared.forwarderCounters, shared.slowPathCounters].map(block => new Float64Array(block));
const channel = new MessageChannel();

const changes: StateChange[] = [
	{ kind: 'master', mac: macs.master, ifindex: master.ifindex },
	...guests.map((ifindex, guest): StateChange => {
		const mac = macs.guests[guest] as string;
		return { kind: 'slave-added', edge: EDGE_SLAVES + guest, ifindex, mac, learn: false };
	}),
	// So that one guest's frames and copies go through buckets, whose tokens come with the time.
	{ kind: 'limits', edge: EDGE_SLAVES, limits: { tx: plenty(), rx: plenty(), slow: plenty() } },
	...addresses.map(
		({ guest, address }): StateChange => ({ kind: 'assigned', address, edge: EDGE_SLAVES + guest }),
	),
];
for (const change of changes) channel.port2.postMessage({ kind: 'change', change });
Atomics.store(doorbells, DOORBELL_FORWARDER, 1);

const setup: ForwarderSetup = {
	shared,
	slaves: ringSetup(rings.slaves),
	master: ringSetup(rings.master),
	sender: openSender(),
	spinMicroseconds: 50,
	changes: channel.port1,
};
const forwarder = new Worker(new URL('./steady-forwarder.js', import.meta.url), {
	workerData: { setup, wasteful },
	transferList: [channel.port1],
	resourceLimits: { maxYoungGenerationSizeMb: 1 },
	// Or Node would make our own non-blocking for it, and what V8 writes would be lost when nobody reads for a moment.
	stdout: true,
	stderr: true,
});
const ended = once(forwarder, 'message') as Promise<[number[]]>;
const script = fileURLToPath(new URL('./steady-guests.js', import.meta.url));
const talkers = spawn(process.execPath, [script, 'talk'], { stdio: ['ignore', 'ignore', 'inherit'] });
talkers.unref();
process.once('exit', () => talkers.kill('SIGKILL'));

const region = regionOf({ address: memory.address, length: BACKLOG_BYTES, bytes: memory.bytes });
const backlog = new Backlog(region, new Int32Array(shared.backlogControl), 1000);

const times: number[] = [];
for (let number = 0; number <= windows; number++) {
	writeSync(1, `\nwindow ${number}\n`);
	times.push(performance.timeOrigin + performance.now());
	if (number < windows) await taken(frames);
}
channel.port2.postMessage({ kind: 'stop' });
Atomics.store(doorbells, DOORBELL_FORWARDER, 1);
signalEvent(shared.forwarderEvent);
const [collected] = await ended;
const collections = times
	.slice(1)
	.map((to, index) => collected.filter(at => at >= (times[index] as number) && at < to).length);
const edges = [EDGE_WIRE, EDGE_SLAVES, EDGE_SLAVES + 1].map(edge => readEdge(counters, edge));
const milliseconds = times.slice(1).map((to, index) => Math.round(to - (times[index] as number)));
writeSync(1, `\nresult ${JSON.stringify({ collections, milliseconds, edges })}\n`);

/** Waits until the forwarder has taken so many more. @throws Error if it doesn't. */
async function taken(count: number): Promise<void> {
	const until = count + sum();
	const deadline = performance.now() + WINDOW_MS;
	while (sum() < until) {
		if (performance.now() > deadline || talkers.exitCode !== null)
			throw new Error(`${until - sum()} frames are missing`);
		takeOff();
		await pause(5);
	}
}

/** In the slow path's place. */
function takeOff(): void {
	const own = counters[1] as Float64Array;
	while (backlog.peek()) {
		(own[backlog.ingress * STRIDE + REPLICATED] as number)++;
		backlog.shift(own);
	}
}

function sum(): number {
	return [EDGE_WIRE, EDGE_SLAVES, EDGE_SLAVES + 1].reduce(
		(total, edge) => total + (counters[0]?.[edge * STRIDE + IN_PACKETS] as number),
		0,
	);
}

function plenty(): { rate: number; burst: number } {
	return { rate: 1e11, burst: 1e9 };
}
