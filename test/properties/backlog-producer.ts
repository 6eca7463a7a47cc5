/** The producer's thread of the two-thread run: pushes frames that both sides can predict, and waits for room. */
import { workerData } from 'node:worker_threads';
import { Backlog, QUEUED } from '../../src/datapath/slowpath/backlog.js';
import { numbers } from '../helpers/seed.js';

export interface ProducerSetup {
	memory: SharedArrayBuffer;
	control: SharedArrayBuffer;
	own: SharedArrayBuffer;
	consumer: SharedArrayBuffer;
	/** One that wakes the consumer, one that says that there is room. */
	doorbells: SharedArrayBuffer;
	limit: number;
	frames: number;
	seed: number;
}

const EDGES = 4;
const setup = workerData as ProducerSetup;
const region = { frame: new DataView(setup.memory), addressLow: 0, addressHigh: 0 };
const backlog = new Backlog(region, new Int32Array(setup.control), setup.limit);
const own = new Float64Array(setup.own);
const consumer = new Float64Array(setup.consumer);
const doorbells = new Int32Array(setup.doorbells);
const frame = new DataView(new ArrayBuffer(80_000));
const next = numbers(setup.seed);

for (let count = 0; count < setup.frames; count++) {
	const long = next(40) === 0;
	const length = long ? 60_000 + next(8000) : 8 + next(1500);
	frame.setUint32(10, count);
	frame.setUint32(10 + length - 4, count);
	for (;;) {
		const room = Atomics.load(doorbells, 1);
		if (backlog.push(frame, 10, length, 2 + (count % EDGES), own, consumer) === QUEUED) break;
		if (Atomics.wait(doorbells, 1, room, 20_000) === 'timed-out') throw new Error('no room was made');
	}
	if (!backlog.takeSleeper()) continue;
	Atomics.add(doorbells, 0, 1);
	Atomics.notify(doorbells, 0);
}
