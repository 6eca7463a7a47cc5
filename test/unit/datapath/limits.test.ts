/** Limits as the frame threads keep them: applied by a message, decided beside the frame, counted apart. */
import test from 'ava';
import { addStats, edgeStats, noStats } from '../../../src/control/port/stats.js';
import { DROPS, RX_LIMITED, readEdge, STRIDE } from '../../../src/datapath/counters.js';
import type { EdgeLimits } from '../../../src/datapath/limits.js';
import { PortState } from '../../../src/datapath/port-state.js';
import { dropReasons } from '../../../src/datapath/verdict.js';
import { arp, ethernet } from '../../helpers/frames.js';
import { PurePort } from '../../helpers/pure-port.js';
import { slaves, standardTopology } from '../../helpers/world.js';

const learner = slaves.find(({ learns }) => learns)!;

function portWith(limits?: EdgeLimits): PurePort {
	const port = new PurePort(standardTopology());
	if (limits) port.command({ kind: 'change', change: { kind: 'limits', edge: learner.edge, limits } });
	return port;
}

/** The learner uses one new address of 198.51.100.0/24. @returns what came of it. */
function claim(port: PurePort, last: number): string {
	const sender = `198.51.100.${last}`;
	return port.receive(
		learner.edge,
		ethernet(
			{ source: learner.mac, destination: 'ff:ff:ff:ff:ff:ff' },
			arp({ operation: 1, senderMac: learner.mac, sender, target: sender }),
		),
	).final;
}

test('addresses beyond the budget are refused under their own reason, until time has passed', t => {
	const port = portWith({ learn: { rate: 1, burst: 3 } });
	t.teardown(() => port.close());
	t.deepEqual(
		[1, 2, 3].map(last => claim(port, last)),
		Array(3).fill('slow: claim'),
	);
	t.is(claim(port, 4), 'drop: learn-budget');
	t.is(claim(port, 3), 'slow: claim', 'what it has costs nothing');
	port.now += 1000;
	t.is(claim(port, 4), 'slow: claim');
	t.is(claim(port, 5), 'drop: learn-budget');
});

test('a claim that is refused for another reason takes nothing from the budget', t => {
	const port = portWith({ learn: { rate: 1, burst: 1 } });
	t.teardown(() => port.close());
	port.command({ kind: 'gateways', addresses: ['198.51.100.9'] });
	for (let count = 0; count < 5; count++) t.is(claim(port, 9), 'drop: gateway-address');
	t.is(claim(port, 1), 'slow: claim');
	t.is(claim(port, 2), 'drop: learn-budget');
	t.is(claim(port, 9), 'drop: gateway-address');
});

test('without a limit nothing is refused, and a slave that goes takes its limits along', t => {
	const port = portWith();
	t.teardown(() => port.close());
	for (let last = 1; last < 250; last++) t.is(claim(port, last), 'slow: claim');
	const state = new PortState(1);
	state.addSlave(7, '52:54:00:00:00:07', true);
	const bucket = { rate: 1, burst: 1 };
	state.limits.set(7, { tx: bucket, rx: bucket, slow: bucket, learn: bucket });
	const kinds = ['tx', 'rx', 'slow', 'learn'] as const;
	t.true(kinds.every(kind => state.limits[kind].limits(7)));
	state.removeSlave(7);
	t.false(kinds.some(kind => state.limits[kind].limits(7)));
});

test('a message says all limits: what it leaves out is lifted', t => {
	const state = new PortState(1);
	state.limits.set(7, { tx: { rate: 1, burst: 1 }, slow: { rate: 1, burst: 1 } });
	state.limits.set(7, { slow: { rate: 2, burst: 1 } });
	t.false(state.limits.tx.limits(7));
	t.true(state.limits.slow.limits(7));
});

test('what a receiver’s limit refused is seen from both ends, and once in the port’s sum', t => {
	t.true(DROPS + dropReasons.length <= RX_LIMITED, 'reasons and counters have places of their own');
	t.true(RX_LIMITED < STRIDE);
	const block = new Float64Array(STRIDE * 4);
	const [sender, receiver] = [2, 3];
	block[sender * STRIDE + DROPS + dropReasons.indexOf('limit-rx')] = 5;
	// Five of these were the sender's own frames, two were copies.
	block[receiver * STRIDE + RX_LIMITED] = 7;
	const none = { packets: 0, bytes: 0, dropped: 0 };
	t.deepEqual(edgeStats(readEdge([block], sender), none).drops, { 'limit-rx': 5 });
	t.deepEqual(edgeStats(readEdge([block], receiver), none).drops, { 'limit-rx': 7 });
	const total = noStats();
	for (const edge of [0, 1, sender, receiver]) addStats(total, readEdge([block], edge), false);
	t.deepEqual(total.drops, { 'limit-rx': 7 });
});
