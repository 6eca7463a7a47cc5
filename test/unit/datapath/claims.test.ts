/** A guest's claim to an address, from its first frame to where nobody, or somebody, has answered. */
import test, { type ExecutionContext } from 'ava';
import { readEdge, STRIDE, WAITING } from '../../../src/datapath/counters.js';
import {
	advertise,
	advertiseToAll,
	announcement,
	arpProbe,
	arpReply,
	arpRequest,
	detectDuplicate,
	packet4,
	packet6,
	solicit,
} from '../../cases/traffic.js';
import { readable } from '../../helpers/describe.js';
import { type Output, PurePort, type Topology } from '../../helpers/pure-port.js';
import { gateway, host, laptop, MASTER, standardTopology, vm1, vm3, vm4 } from '../../helpers/world.js';
import { answer4, ask4, ask6 } from './dhcp-speech.js';

const natted = { source: MASTER };
const nobody = { ...host, ipv4: '0.0.0.0' };
/** vm4 after what is vm3's to claim. */
const rival = { ...vm4, ipv4: vm3.ipv4, ipv6: vm3.ipv6 };

test('until nobody has answered, what a guest says from a new address goes nowhere; then it goes on, in order', t => {
	const port = standard(t);
	const frames = [arpRequest(vm3, gateway.ipv4), announcement(vm3), packet4(vm3, laptop), packet4(vm3, vm1)];
	for (const frame of frames) t.deepEqual(port.receive(vm3.edge, frame), waits);
	t.is(port.state.ownerOf(vm3.ipv4), 0);
	t.is(waiting(port), 4);
	t.deepEqual(words(port.settle()), [
		`0 ${readable(arpRequest(vm3, gateway.ipv4, natted))}`,
		`0 ${readable(announcement(vm3, natted))}`,
		`0 ${readable(packet4(vm3, laptop, natted))}`,
		`${vm1.edge} ${readable(packet4(vm3, vm1))}`,
	]);
	t.is(waiting(port), 0);
	t.is(port.state.ownerOf(vm3.ipv4), vm3.edge);
});

test('meanwhile the address is nobody’s for everybody else', t => {
	const port = standard(t);
	port.receive(vm3.edge, packet4(vm3, gateway));
	t.is(port.receive(vm1.edge, packet4(vm1, vm3)).final, 'wire');
	t.is(port.receive(vm1.edge, arpRequest(vm1, vm3.ipv4)).final, 'wire');
	t.is(port.receive(0, arpRequest(gateway, vm3.ipv4)).final, 'ignore');
	t.is(port.receive(0, packet4(gateway, vm3, { destination: MASTER })).final, 'ignore');
	t.is(port.receive(1, packet4(host, vm3)).final, 'drop: unknown-destination');
	t.false(port.reports.some(report => report.kind === 'address' && report.address === vm3.ipv4));
});

test('somebody answers: the claim and all that has waited come to nothing, and the guest hears why', t => {
	const port = standard(t);
	port.receive(vm3.edge, arpRequest(vm3, gateway.ipv4));
	port.receive(vm3.edge, announcement(vm3));
	const heard = port.receive(0, arpReply({ ...laptop, ipv4: vm3.ipv4 }, nobody));
	t.is(heard.final, 'slow: conflict');
	const toGuest = arpReply({ ...laptop, ipv4: vm3.ipv4 }, { ...vm3, ipv4: '0.0.0.0' });
	t.deepEqual(words(heard.out), [`${vm3.edge} ${readable(toGuest)}`]);
	t.is(waiting(port), 0);
	t.is(drops(port)['duplicate-address'], 2);
	t.deepEqual(port.settle(), []);
	t.is(port.receive(vm3.edge, announcement(vm3)).final, 'drop: duplicate-address');
	t.like(
		port.reports.find(({ kind }) => kind === 'duplicate'),
		{ edge: vm3.edge, address: vm3.ipv4, mac: laptop.mac },
	);
});

for (const [what, frame] of [
	['an announcement', announcement({ ...laptop, ipv4: vm3.ipv4 })],
	['an announcement by reply', announcement({ ...laptop, ipv4: vm3.ipv4 }, {}, 2)],
	['an advertisement to all', advertiseToAll({ ...laptop, linkLocal: vm3.ipv6 }, vm3.ipv6)],
] as const)
	test(`${what} of another machine ends the claim too`, t => {
		const port = standard(t);
		port.receive(vm3.edge, packet4(vm3, gateway));
		port.receive(vm3.edge, packet6(vm3, gateway));
		port.receive(0, frame);
		t.is(drops(port)['duplicate-address'], 1);
		t.is(port.settle().length, 1, 'the other address is not concerned');
	});

test('in l3, where nobody is to hear what the wire says to all, the answers are heard all the same', t => {
	for (const mode of ['l3', 'l3s'] as const) {
		const port = standard(t, { mode });
		port.receive(vm3.edge, packet4(vm3, gateway));
		port.receive(vm3.edge, packet6(vm3, gateway));
		t.deepEqual(port.receive(0, arpReply({ ...laptop, ipv4: vm3.ipv4 }, nobody)).out, []);
		t.deepEqual(port.receive(0, advertiseToAll({ ...laptop, linkLocal: vm3.ipv6 }, vm3.ipv6)).out, []);
		t.is(drops(port)['duplicate-address'], 2, mode);
	}
});

test('in l3 a link-local address is of another link than the wire: nobody there is asked', t => {
	const port = standard(t, { mode: 'l3' });
	const from = { ...vm3, ipv6: vm3.linkLocal };
	t.is(port.receive(vm3.edge, packet6(from, { ...vm1, ipv6: vm1.linkLocal })).final, `edge ${vm1.edge}`);
	t.is(port.state.ownerOf(vm3.linkLocal), vm3.edge);
});

test('a guest’s own question goes out at once, as often as it asks, and its answer comes back', t => {
	const port = standard(t);
	for (let count = 0; count < 2; count++) {
		const probe = port.receive(vm3.edge, arpProbe(vm3, vm3.ipv4));
		t.deepEqual(
			[probe.final, words(probe.out)],
			['wire', [`0 ${readable(arpProbe(vm3, vm3.ipv4, natted))}`]],
		);
		const detection = port.receive(vm3.edge, detectDuplicate(vm3, vm3.ipv6));
		t.deepEqual(words(detection.out), [`0 ${readable(detectDuplicate(vm3, vm3.ipv6, natted))}`]);
	}
	const answer = port.receive(0, advertiseToAll({ ...laptop, linkLocal: vm3.ipv6 }, vm3.ipv6));
	t.true(answer.out.some(({ edge }) => edge === vm3.edge));
	port.settle();
	t.deepEqual([port.state.ownerOf(vm3.ipv4), port.state.ownerOf(vm3.ipv6)], [vm3.edge, 0]);
});

test('an advertisement is no question, whoever it is from', t => {
	const port = standard(t);
	// From nowhere, from an address that is its own, and from the one that it is about.
	const sources = [{ source: '::' }, { source: vm4.linkLocal }, { source: vm3.ipv6 }];
	for (const header of sources)
		t.deepEqual(port.receive(vm4.edge, advertise(vm4, laptop, vm3.ipv6, {}, header)), waits);
});

test('who asks for what another guest is about to have is told that it is taken; who uses it is refused', t => {
	const port = standard(t);
	port.receive(vm3.edge, detectDuplicate(vm3, vm3.ipv6));
	port.receive(vm3.edge, arpProbe(vm3, vm3.ipv4));
	for (const question of [arpProbe(rival, vm3.ipv4), detectDuplicate(rival, vm3.ipv6)]) {
		const { final, out } = port.receive(vm4.edge, question);
		t.is(final, 'slow: answer');
		t.deepEqual(
			out.map(({ edge }) => edge),
			[vm4.edge],
		);
	}
	t.is(port.receive(vm4.edge, packet4(rival, gateway)).final, 'drop: ip-spoof');
	t.is(
		port.receive(vm4.edge, solicit(rival, gateway.ipv6, {}, { source: vm3.ipv6 })).final,
		'drop: ip-spoof',
	);
	port.settle();
	t.is(port.state.ownerOf(vm3.ipv6), vm3.edge);
});

test('a server’s lease and a user’s gift need no confirmation', t => {
	const port = standard(t);
	port.receive(vm3.edge, packet4(vm3, gateway));
	port.command({ kind: 'restore', edge: vm3.edge, address: vm3.ipv4, expires: port.now + 60_000 });
	t.is(port.state.ownerOf(vm3.ipv4), vm3.edge);
	const released = port.during(() => port.command({ kind: 'ready', address: vm3.ipv4 }));
	t.deepEqual(words(released), [`0 ${readable(packet4(vm3, gateway, natted))}`]);
	// And to whom somebody else was about to take it.
	port.receive(vm3.edge, packet6(vm3, gateway));
	port.command({ kind: 'assign', edge: vm4.edge, address: vm3.ipv6 });
	t.is(port.state.ownerOf(vm3.ipv6), vm4.edge);
	t.is(drops(port).tentative, 1);
});

test('what was a slave’s before the daemon started again is its own at once', t => {
	const port = standard(t);
	port.command({ kind: 'restore', edge: vm3.edge, address: vm3.ipv4 });
	t.is(port.receive(vm3.edge, packet4(vm3, gateway)).final, 'wire');
});

test('a control that is too busy holds nothing up for ever', t => {
	const port = standard(t);
	port.receive(vm3.edge, packet4(vm3, gateway));
	for (const pause of [0, 50, 200]) {
		port.now += pause;
		t.false(words(port.tick()).includes(`0 ${readable(packet4(vm3, gateway, natted))}`));
	}
	port.now += 251;
	t.true(words(port.tick()).includes(`0 ${readable(packet4(vm3, gateway, natted))}`));
});

test('few frames wait: the rest is counted, and what is in is accounted for', t => {
	const port = standard(t);
	for (let count = 0; count < 20; count++) port.receive(vm3.edge, packet4(vm3, gateway));
	t.is(waiting(port), 16);
	t.is(drops(port).tentative, 4);
	t.is(port.settle().length, 16);
});

test('a slave that goes takes along what it had to say', t => {
	const port = standard(t);
	port.receive(vm3.edge, packet4(vm3, gateway));
	port.command({ kind: 'change', change: { kind: 'slave-removed', edge: vm3.edge, ifindex: 0 } });
	t.deepEqual([waiting(port), drops(port).tentative], [0, 1]);
	t.deepEqual(port.settle(), []);
});

test('what a slave had sent before it went is nobody’s when its turn comes, and takes nothing', t => {
	const port = standard(t);
	port.command({ kind: 'change', change: { kind: 'slave-removed', edge: vm3.edge, ifindex: 0 } });
	const speech = [
		packet4(vm3, gateway),
		packet6({ ...vm3, ipv6: vm3.linkLocal }, gateway),
		detectDuplicate(vm3, vm3.linkLocal),
		arpProbe(vm3, vm3.ipv4),
		ask4(vm3, 1),
		ask6(vm3, 1, '0003', [{}]),
	];
	for (const frame of speech) t.deepEqual(port.receive(vm3.edge, frame).out, []);
	t.deepEqual(port.settle(), []);
	for (const address of [vm3.ipv4, vm3.linkLocal]) t.is(port.state.ownerOf(address), 0, address);
});

test('what a guest had said before it was killed gives it nothing; who comes after it is believed', t => {
	const port = standard(t);
	port.receive(vm3.edge, ask4(vm3, 3));
	port.command({ kind: 'live', edge: vm3.edge, live: false });
	for (const frame of [packet4(vm3, gateway), arpProbe(vm3, vm3.ipv4), detectDuplicate(vm3, vm3.linkLocal)])
		t.is(port.receive(vm3.edge, frame).final, 'drop: tentative');
	port.receive(0, answer4(5, '192.0.2.50'));
	t.deepEqual(port.settle(), []);
	for (const address of [vm3.ipv4, vm3.linkLocal, '192.0.2.50']) t.is(port.state.ownerOf(address), 0);
	port.command({ kind: 'live', edge: vm3.edge, live: true });
	port.receive(vm3.edge, packet4(vm3, gateway));
	port.settle();
	t.is(port.state.ownerOf(vm3.ipv4), vm3.edge);
});

test('the link returns while a claim is open: the question is put again', t => {
	const port = standard(t);
	port.receive(vm3.edge, packet4(vm3, gateway));
	port.tick();
	port.now += 200;
	port.command({ kind: 'announce' });
	port.tick();
	port.now += 200;
	port.tick();
	t.is(port.state.ownerOf(vm3.ipv4), 0);
	port.settle();
	t.is(port.state.ownerOf(vm3.ipv4), vm3.edge);
});

test('with a full quota, an advertisement’s two addresses don’t chase each other for ever', t => {
	const port = standard(t, { quota: { 4: 1, 6: 1 } });
	port.receive(vm3.edge, advertise(vm3, laptop, vm3.linkLocal, {}, { source: vm3.ipv6 }));
	t.deepEqual(port.settle(), []);
	t.is(waiting(port), 0);
	t.is(drops(port).tentative, 1);
});

const waits = { verdict: 'slow: claim', final: 'slow: claim', out: [] };

function standard(t: ExecutionContext, more: Partial<Topology> = {}): PurePort {
	const port = new PurePort({ ...standardTopology(), ...more });
	t.teardown(() => port.close());
	port.settle();
	return port;
}

function waiting(port: PurePort): number {
	return port.counters[vm3.edge * STRIDE + WAITING] as number;
}

function drops(port: PurePort): Record<string, number> {
	return readEdge([port.counters], vm3.edge).drops;
}

function words(out: readonly Output[]): string[] {
	return out.map(({ edge, frame }) => `${edge} ${readable(frame)}`);
}
