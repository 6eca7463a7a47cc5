/**
 * The forwarder's thread of steady-child.ts: says at its end when its memory was collected, ms since 1970. `wasteful`: each
 * frame leaves an object behind, as in a bad forwarder.
 */
import { PerformanceObserver } from 'node:perf_hooks';
import { setImmediate as turn } from 'node:timers/promises';
import { parentPort, workerData } from 'node:worker_threads';
import { Forwarder } from '../../../src/datapath/forwarder/forwarder.js';
import { RingReader } from '../../../src/datapath/forwarder/ring-reader.js';
import type { ForwarderSetup } from '../../../src/datapath/messages.js';

const { setup, wasteful } = workerData as { setup: ForwarderSetup; wasteful: boolean };

if (wasteful) {
	const next = RingReader.prototype.next;
	RingReader.prototype.next = function (): boolean {
		waste = { at: this.at };
		return next.call(this) && waste.at >= 0;
	};
}
let waste: { at: number };

const collections: number[] = [];
new PerformanceObserver(list => {
	for (const { startTime } of list.getEntries()) collections.push(performance.timeOrigin + startTime);
}).observe({ entryTypes: ['gc'] });

new Forwarder(setup).run();
// The observer is told about a collection some turns of the event loop later.
for (let i = 0; i < 10; i++) await turn();
parentPort?.postMessage(collections);
