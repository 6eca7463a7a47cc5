/**
 * The forwarder on rings, TAPs and a wire of its own, in the namespace that steady.test.ts has made: this thread is
 * the forwarder's, another one is the guests. Prints what its frames led to, and V8 prints each "[bailout …" of the
 * measured window. With `wasteful` every frame leaves garbage behind: what a bad forwarder would look like.
 */
import { PerformanceObserver } from 'node:perf_hooks';
import { setImmediate as turn } from 'node:timers/promises';
import { MessageChannel, Worker } from 'node:worker_threads';
import { ringSetup, sharedSetup } from '../../../src/control/port/frame-setup.js';
import { openPortRing } from '../../../src/control/port/rings.js';
import { readEdge } from '../../../src/datapath/counters.js';
import { slaveRingFilter } from '../../../src/datapath/filter/programs.js';
import { Forwarder } from '../../../src/datapath/forwarder/forwarder.js';
import { RingReader } from '../../../src/datapath/forwarder/ring-reader.js';
import { DOORBELL_FORWARDER, type StateChange } from '../../../src/datapath/messages.js';
import { BACKLOG_BYTES } from '../../../src/datapath/slowpath/backlog.js';
import { EDGE_SLAVES } from '../../../src/datapath/verdict.js';
import { mapShared } from '../../../src/sys/memory.js';
import { requireLink } from '../../../src/sys/netlink/link.js';
import { openSender, setFilter } from '../../../src/sys/packet.js';
import { run } from '../../helpers/in-namespace.js';
import { edges, macs, type Traffic } from './steady-traffic.js';

const [frames, wasteful] = [Number(process.argv[2]), process.argv[3] === 'wasteful'];

run('ip', 'link', 'add', 'wire', 'address', macs.master, 'type', 'veth', 'peer', 'name', 'far');
for (const name of ['a', 'b']) run('ip', 'tuntap', 'add', 'dev', name, 'mode', 'tap', 'vnet_hdr');
for (const name of ['wire', 'far', 'a', 'b']) run('ip', 'link', 'set', name, 'up');
for (const name of ['a', 'b']) run('tc', 'qdisc', 'replace', 'dev', name, 'root', 'noqueue');

const [master, a, b] = ['wire', 'a', 'b'].map(requireLink) as [Link, Link, Link];
type Link = ReturnType<typeof requireLink>;
const slavesRing = openPortRing('slaves', master);
const masterRing = openPortRing('master', master);
setFilter(slavesRing.fd, slaveRingFilter([a.ifindex, b.ifindex]));
const shared = sharedSetup(mapShared(BACKLOG_BYTES).address, 1000);
const { port1, port2 } = new MessageChannel();
const changes: StateChange[] = [
	{ kind: 'master', mac: macs.master, ifindex: master.ifindex },
	...[a, b].map(({ ifindex }, guest): StateChange => {
		const edge = EDGE_SLAVES + guest;
		return { kind: 'slave-added', edge, ifindex, mac: guest ? macs.b : macs.a, learn: false };
	}),
	...edges.map(({ edge, address }): StateChange => ({ kind: 'assigned', address, edge })),
];
for (const change of changes) port2.postMessage({ kind: 'change', change });
Atomics.store(new Int32Array(shared.doorbells), DOORBELL_FORWARDER, 1);

if (wasteful) {
	const next = RingReader.prototype.next;
	RingReader.prototype.next = function (): boolean {
		waste = { at: this.at, before: waste?.at };
		return next.call(this);
	};
}
let waste: { at: number; before: number | undefined } | undefined;

const collected: number[] = [];
new PerformanceObserver(list => {
	for (const { startTime } of list.getEntries()) collected.push(performance.timeOrigin + startTime);
}).observe({ entryTypes: ['gc'] });

const traffic: Traffic = {
	frames,
	counters: shared.forwarderCounters,
	doorbells: shared.doorbells,
	event: shared.forwarderEvent,
	window: new SharedArrayBuffer(16),
	forwarder: port2,
};
const guests = new Worker(new URL('./steady-traffic.js', import.meta.url), {
	workerData: traffic,
	transferList: [port2],
});
new Forwarder({
	shared,
	slaves: ringSetup(slavesRing),
	master: ringSetup(masterRing),
	sender: openSender(),
	spinMicroseconds: 50,
	changes: port1,
}).run();
await guests.terminate();
// The observer is told about a collection some turns of the event loop later.
for (let i = 0; i < 10; i++) await turn();
const [from, to] = new Float64Array(traffic.window) as unknown as [number, number];
const blocks = [new Float64Array(shared.forwarderCounters)];
const result = {
	milliseconds: to - from,
	collections: collected.filter(at => at >= from && at <= to).length,
	edges: [EDGE_SLAVES, EDGE_SLAVES + 1].map(edge => readEdge(blocks, edge)),
};
process.stdout.write(`\nresult ${JSON.stringify(result)}\n`);
