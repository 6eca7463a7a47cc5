/** Both guests of steady-child.ts, in a thread: they send and read as fast as they can until enough has passed. */
import { setFlagsFromString } from 'node:v8';
import { isMainThread, type MessagePort, workerData } from 'node:worker_threads';
import { IN_PACKETS, STRIDE } from '../../../src/datapath/counters.js';
import { DOORBELL_FORWARDER } from '../../../src/datapath/messages.js';
import { EDGE_SLAVES } from '../../../src/datapath/verdict.js';
import { signalEvent } from '../../../src/sys/fd.js';
import { libc } from '../../../src/sys/libc.js';
import { openTap, setSendBuffer } from '../../../src/sys/tap.js';
import { arp, bytesOf, ethernet, ipv4, ipv6, type Packet, padded, udp } from '../../helpers/frames.js';

export interface Traffic {
	/** That the forwarder is to take in the measured window. */
	frames: number;
	counters: SharedArrayBuffer;
	doorbells: SharedArrayBuffer;
	event: number;
	/** Two doubles: when the window began and ended, milliseconds since 1970. */
	window: SharedArrayBuffer;
	forwarder: MessagePort;
}

export const macs = { master: '02:00:00:00:00:f0', a: '02:00:00:00:00:0a', b: '02:00:00:00:00:0b' };
const gateway = '02:00:00:00:00:f1';

export const edges = [
	{ edge: EDGE_SLAVES, address: '10.0.0.1' },
	{ edge: EDGE_SLAVES, address: 'fd00::1' },
	{ edge: EDGE_SLAVES + 1, address: '10.0.0.2' },
	{ edge: EDGE_SLAVES + 1, address: 'fd00::2' },
];

/** Until everything that is hot has been compiled, for good. */
const WARM_UP = 400_000;
const DEADLINE_MS = 60_000;

if (!isMainThread) traffic(workerData as Traffic);

function traffic({ frames, counters, doorbells, event, window, forwarder }: Traffic): void {
	const fds = [openTap('a'), openTap('b')] as const;
	for (const fd of fds) setSendBuffer(fd, 0x7fffffff);
	const counts = new Float64Array(counters);
	const times = new Float64Array(window);
	const taken = (): number =>
		(counts[EDGE_SLAVES * STRIDE + IN_PACKETS] as number) +
		(counts[(EDGE_SLAVES + 1) * STRIDE + IN_PACKETS] as number);
	const deadline = performance.now() + DEADLINE_MS;
	const until = (count: number): void => {
		while (taken() < count && performance.now() < deadline) exchange(fds);
	};
	until(WARM_UP);
	const before = taken();
	// What V8 says from now on, it says of the window.
	setFlagsFromString('--trace-deopt');
	times[0] = performance.timeOrigin + performance.now();
	until(before + frames);
	times[1] = performance.timeOrigin + performance.now();
	setFlagsFromString('--no-trace-deopt');
	forwarder.postMessage({ kind: 'stop' });
	Atomics.store(new Int32Array(doorbells), DOORBELL_FORWARDER, 1);
	signalEvent(event);
}

/** One round of all kinds of frames from both, and all that has arrived read. */
function exchange(fds: readonly [number, number]): void {
	for (let guest = 0; guest < 2; guest++) {
		for (let n = 0; n < spoken.length; n++) {
			const frame = (spoken[n] as readonly [Uint8Array, Uint8Array])[guest] as Uint8Array;
			write(fds[guest] as number, frame, frame.length);
		}
	}
	for (let guest = 0; guest < 2; guest++) {
		while (read(fds[guest] as number, scratch, scratch.length) > 0);
	}
}

function between(destination: (guest: number) => string, packet: (guest: number) => Packet) {
	return [0, 1].map(guest => {
		const source = guest ? macs.b : macs.a;
		return bytesOf(
			new Uint8Array(10),
			padded(ethernet({ source, destination: destination(guest) }, packet(guest))),
		);
	}) as unknown as readonly [Uint8Array, Uint8Array];
}

const other = (guest: number): string => (guest ? macs.a : macs.b);
const four = (guest: number): string => `10.0.0.${guest + 1}`;
const six = (guest: number): string => `fd00::${guest + 1}`;
const long = new Uint8Array(1400);

/** To the other guest, to the wire, to everybody, and what is refused. */
const spoken = [
	between(other, guest => ipv4({ source: four(guest), destination: four(1 - guest) }, udp())),
	between(other, guest => ipv4({ source: four(guest), destination: four(1 - guest) }, udp(1, 2, long))),
	between(other, guest => ipv6({ source: six(guest), destination: six(1 - guest) }, udp())),
	between(
		() => gateway,
		guest => ipv4({ source: four(guest), destination: '192.0.2.1' }, udp()),
	),
	between(
		() => gateway,
		guest => ipv6({ source: six(guest), destination: '2001:db8::1' }, udp()),
	),
	between(
		() => 'ff:ff:ff:ff:ff:ff',
		guest => ipv4({ source: four(guest), destination: '255.255.255.255' }, udp()),
	),
	between(
		() => 'ff:ff:ff:ff:ff:ff',
		guest =>
			arp({
				operation: 1,
				senderMac: guest ? macs.b : macs.a,
				sender: four(guest),
				target: four(1 - guest),
			}),
	),
	between(other, guest => ipv4({ source: '10.9.9.9', destination: four(1 - guest) }, udp())),
];

const scratch = new Uint8Array(2048);
const write = libc.func('long write(int fd, const void *buffer, size_t length)') as (
	fd: number,
	buffer: Uint8Array,
	length: number,
) => number;
const read = libc.func('long read(int fd, void *buffer, size_t length)') as typeof write;
