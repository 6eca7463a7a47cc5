/** Every frame that comes in is accounted for at every moment: in = forwarded + replicated + ignored + drops + queued. */
import test from 'ava';
import fc from 'fast-check';
import {
	BACKLOGGED,
	DROPS,
	FORWARDED,
	IGNORED,
	IN_PACKETS,
	REPLICATED,
	readEdge,
	STRIDE,
} from '../../src/datapath/counters.js';
import { forward } from '../../src/datapath/forward/forward.js';
import {
	BACKLOG_BYTES,
	BACKLOG_CONTROL_WORDS,
	Backlog,
	QUEUED,
} from '../../src/datapath/slowpath/backlog.js';
import { dropReasons, EDGES_MAX, IGNORE } from '../../src/datapath/verdict.js';
import { PurePort } from '../helpers/pure-port.js';
import { check } from '../helpers/seed.js';
import { scenes } from './random-port.js';

const memory = new ArrayBuffer(BACKLOG_BYTES);

test('counters add up at every moment', t => {
	check(
		t,
		fc.property(
			scenes(40),
			fc.integer({ min: 1, max: 12 }),
			fc.array(fc.boolean(), { minLength: 40, maxLength: 40 }),
			({ topology, events }, limit, drains) => {
				const port = new PurePort(topology);
				const edges = [0, 1, ...topology.slaves.map(({ edge }) => edge)];
				const [own, slow] = [new Float64Array(STRIDE * 701), new Float64Array(STRIDE * 701)];
				const region = { frame: new DataView(memory), addressLow: 0, addressHigh: 0 };
				const backlog = new Backlog(region, new Int32Array(BACKLOG_CONTROL_WORDS), limit);
				try {
					events.forEach(({ ingress, frame }, index) => {
						arrive(port, backlog, ingress, frame, own, slow);
						addsUp(edges, own, slow);
						if (drains[index] && backlog.peek()) handle(port, backlog, slow);
						addsUp(edges, own, slow);
					});
					while (backlog.peek()) handle(port, backlog, slow);
					addsUp(edges, own, slow);
					const queued = edges.reduce((sum, edge) => sum + readEdge([own, slow], edge).queued, 0);
					if (queued !== 0) throw new Error(`${queued} are still queued`);
					const taken = edges.reduce((sum, edge) => sum + (own[edge * STRIDE + IN_PACKETS] as number), 0);
					if (taken !== events.length) throw new Error(`${taken} of ${events.length} frames`);
				} finally {
					port.close();
				}
			},
		),
		150,
	);
});

/** What the forwarder does with a frame, as far as counting goes. */
function arrive(
	port: PurePort,
	backlog: Backlog,
	ingress: number,
	frame: Uint8Array,
	own: Float64Array,
	slow: Float64Array,
): void {
	const view = new DataView(new ArrayBuffer(16 + frame.length));
	new Uint8Array(view.buffer).set(frame, 16);
	count(own, ingress, IN_PACKETS);
	const verdict = forward(port.state, view, 16, frame.length, ingress);
	if (verdict < 0) count(own, ingress, DROPS - verdict);
	else if (verdict < EDGES_MAX) count(own, ingress, FORWARDED);
	else if (verdict === IGNORE) count(own, ingress, IGNORED);
	else {
		const result = backlog.push(view, 16, frame.length, ingress, own, slow);
		if (result !== QUEUED) count(own, ingress, DROPS - result);
	}
}

/** What the slow path does with the oldest frame. */
function handle(port: PurePort, backlog: Backlog, slow: Float64Array): void {
	const { ingress, at, length } = backlog;
	const { final } = port.receive(ingress, new Uint8Array(memory, at, length).slice());
	const reason = dropReasons.findIndex(name => final === `drop: ${name}`);
	if (reason > 0) count(slow, ingress, DROPS + reason);
	else if (final === 'ignore') count(slow, ingress, IGNORED);
	else count(slow, ingress, final.startsWith('slow') ? REPLICATED : FORWARDED);
	backlog.shift(slow);
}

function addsUp(edges: readonly number[], own: Float64Array, slow: Float64Array): void {
	for (const edge of edges) {
		const counters = readEdge([own, slow], edge);
		const dropped = Object.values(counters.drops).reduce((sum, drops) => sum + drops, 0);
		const sum =
			counters.forwarded + counters.replicated + counters.ignored.packets + dropped + counters.queued;
		if (counters.in.packets !== sum)
			throw new Error(`edge ${edge}: ${counters.in.packets} came in, ${sum} are accounted for`);
		if (counters.queued < 0 || counters.queued > (own[edge * STRIDE + BACKLOGGED] as number))
			throw new Error('queued');
	}
}

function count(counters: Float64Array, edge: number, field: number): void {
	const place = edge * STRIDE + field;
	counters[place] = (counters[place] as number) + 1;
}
