/** The decision table against the pure functions: what `forward` says, and every byte that leaves in the end. */
import test from 'ava';
import { dropReasons, verdictName } from '../../../src/datapath/verdict.js';
import type { Case, Place } from '../../cases/case.js';
import { edgeOf, rooms, topologyOf } from '../../cases/index.js';
import { describe, readable } from '../../helpers/describe.js';
import { NaiveForwarder } from '../../helpers/naive-forwarder.js';
import { PurePort } from '../../helpers/pure-port.js';

for (const [room, cases] of Object.entries(rooms)) {
	for (const one of cases) {
		test(`${room}, from ${one.from}: ${one.name}`, t => {
			const port = new PurePort(topologyOf(one));
			t.teardown(() => port.close());
			t.deepEqual(seen(port, one), wanted(one), describe(one.frame));
		});
	}
}

test('the slow twin agrees with the table', t => {
	for (const one of Object.values(rooms).flat()) {
		const twin = new NaiveForwarder(topologyOf(one));
		t.deepEqual(seen(twin, one), wanted(one), one.name);
	}
});

test('the table has a case for each reason that a frame alone can cause', t => {
	const covered = new Set(Object.values(rooms).flatMap(cases => cases.map(({ verdict }) => verdict)));
	const others = [...besidesTheFrame, ...conversations];
	const missing = dropReasons.filter(
		reason =>
			!others.includes(reason) && !covered.has(`drop: ${reason}`) && !covered.has(`refuse: ${reason}`),
	);
	t.deepEqual(missing, []);
});

/** Causes of these: a virtio header, a ring, a receiver, a full backlog, a limit. */
const besidesTheFrame: readonly string[] = [
	'none',
	'bad-vnet-header',
	'backlog-full',
	'backlog-budget',
	'receiver-full',
	'receiver-down',
	'send-failed',
	'truncated',
	'ring-full',
	'limit-tx',
	'limit-rx',
	'slow-budget',
	'learn-budget',
	'unresolved',
];

/** What DHCP and the address book refuse depends on what was said before. */
const conversations: readonly string[] = [
	'dhcp-spoof',
	'dhcp-conflict',
	'dhcp-guard',
	'address-quota',
	'gateway-address',
	'duplicate-address',
	'off-link',
	'tentative',
];

/** Frames as text, so that a difference can be read; those that leave when a claim is decided included. */
function seen(port: PurePort | NaiveForwarder, one: Case): { verdict: string; out: string[] } {
	const { verdict, out: first } = port.receive(edgeOf(one.from), one.frame);
	const out = [...first, ...port.settle()];
	return { verdict, out: out.map(({ edge, frame }) => `${verdictName(edge)}: ${readable(frame)}`).sort() };
}

const slow: readonly string[] = [
	...['fan out', 'answer', 'claim', 'dhcp', 'refresh', 'conflict', 'resolve', 'fragment', 'router'],
];

function wanted({ verdict, out = [] }: Case): { verdict: string; out: string[] } {
	const isPlace = verdict === 'wire' || verdict === 'host' || verdict.startsWith('vm');
	const isSlow = slow.includes(verdict);
	const name = isPlace ? verdictName(edgeOf(verdict as Place)) : isSlow ? `slow: ${verdict}` : verdict;
	return {
		verdict: name,
		out: out.map(({ to, frame }) => `${verdictName(edgeOf(to))}: ${readable(frame)}`).sort(),
	};
}
