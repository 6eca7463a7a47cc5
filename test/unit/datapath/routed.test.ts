/** What routing leaves to the slow path, step by step: waiting, giving up, cutting, complaining at a rate. */
import test from 'ava';
import { readEdge } from '../../../src/datapath/counters.js';
import { forward } from '../../../src/datapath/forward/forward.js';
import { ErrorLimit } from '../../../src/datapath/slowpath/error-limit.js';
import { Fragmenter } from '../../../src/datapath/slowpath/fragment.js';
import { PATIENCE_MS } from '../../../src/datapath/slowpath/routed.js';
import { verdictName } from '../../../src/datapath/verdict.js';
import { complaint4, onward, pieces } from '../../cases/routed.js';
import { packet4, packet6 } from '../../cases/traffic.js';
import { bytesOf, internetChecksum, tcp, udp } from '../../helpers/frames.js';
import { PurePort } from '../../helpers/pure-port.js';
import { gateway, MASTER, type Station, server, standardTopology, vm1, vm2 } from '../../helpers/world.js';

const absent: Station = { mac: MASTER, ipv4: '192.0.2.99', ipv6: '2001:db8:1::99', linkLocal: 'fe80::99' };
const l3 = () => new PurePort(standardTopology('bridge', true, 'l3'));
const toAbsent = packet4(vm1, absent);

/** What is due, but for what the port says on the wire about its slaves' addresses. */
const complaints = (port: PurePort) => port.tick().filter(({ edge }) => edge !== 0);

test('a frame waits for its neighbour, is sent when that is known, and counts as queued meanwhile', t => {
	const port = l3();
	t.teardown(() => port.close());
	t.deepEqual(port.receive(vm1.edge, toAbsent), {
		verdict: 'slow: resolve',
		final: 'slow: resolve',
		out: [],
	});
	port.receive(vm1.edge, toAbsent);
	const questions = port.reports.filter(({ kind }) => kind === 'resolve');
	t.deepEqual(questions, [{ kind: 'resolve', address: absent.ipv4 }], 'the kernel is asked once');
	t.is(readEdge([port.counters], vm1.edge).queued, 2);
	const sent = port.during(() =>
		port.command({
			kind: 'change',
			change: { kind: 'neighbour', address: absent.ipv4, slot: 20, mac: '02:00:00:00:00:99' },
		}),
	);
	const expected = { edge: 0, frame: onward(toAbsent, '02:00:00:00:00:99') };
	t.deepEqual(sent, [expected, expected]);
	t.is(readEdge([port.counters], vm1.edge).queued, 0);
});

test('a neighbour that fails, or stays silent, is reported to who waits for it', t => {
	const port = l3();
	t.teardown(() => port.close());
	const complaint = { edge: vm1.edge, frame: complaint4(vm1, toAbsent, 3, 1) };
	port.receive(vm1.edge, toAbsent);
	const failed = { kind: 'neighbour', address: absent.ipv4, slot: 0, failed: true } as const;
	t.deepEqual(
		port.during(() => port.command({ kind: 'change', change: failed })),
		[complaint],
	);
	port.receive(vm1.edge, toAbsent);
	port.now += PATIENCE_MS - 1;
	t.deepEqual(complaints(port), []);
	port.now += 1;
	t.deepEqual(complaints(port), [complaint]);
	const { drops, queued } = readEdge([port.counters], vm1.edge);
	t.deepEqual(drops, { unreachable: 2 });
	t.is(queued, 0);
});

test('one guest that knocks at every door leaves room for others to wait', t => {
	const port = l3();
	t.teardown(() => port.close());
	for (let number = 100; number < 200; number++) {
		port.receive(vm1.edge, packet4(vm1, { ...absent, ipv4: `192.0.2.${number}` }));
	}
	const stormer = readEdge([port.counters], vm1.edge);
	t.is(stormer.queued, 32);
	t.is(stormer.drops.unresolved, 68);
	t.is(port.receive(vm2.edge, packet6(vm2, absent)).final, 'slow: resolve');
});

test('nothing of a slave that has gone goes on', t => {
	const port = l3();
	t.teardown(() => port.close());
	port.receive(vm1.edge, toAbsent);
	port.receive(vm2.edge, packet4(vm2, absent));
	port.command({ kind: 'change', change: { kind: 'slave-removed', edge: vm1.edge, ifindex: 0 } });
	const { drops, queued } = readEdge([port.counters], vm1.edge);
	t.deepEqual(drops, { unresolved: 1 });
	t.is(queued, 0);
	const mac = '02:00:00:00:00:99';
	const known = { kind: 'neighbour', address: absent.ipv4, slot: 20, mac } as const;
	const sent = port.during(() => port.command({ kind: 'change', change: known }));
	t.deepEqual(sent, [{ edge: 0, frame: onward(packet4(vm2, absent), mac) }]);
});

test('a change of mode sends on what waits, by the new rules', t => {
	const port = l3();
	t.teardown(() => port.close());
	port.receive(vm1.edge, toAbsent);
	const sent = port.during(() => port.command({ kind: 'change', change: { kind: 'mode', mode: 'l3s' } }));
	t.deepEqual(sent, [{ edge: 1, frame: toAbsent }]);
});

test('a packet that is cut has its sum completed, where that was left to the card', t => {
	const narrow: Station = { ...server, mac: MASTER, ipv4: '100.64.1.9' };
	const whole = packet4(vm1, narrow, {}, udp(40000, 9, new Uint8Array(1000).fill(7)));
	// The virtio way: the field holds the sum of the pseudo-header, and the rest is somebody else's work.
	const partial = whole.slice();
	const pseudo = bytesOf(whole.slice(26, 34), [0, 17], whole.slice(38, 40));
	const sum = 0xffff - internetChecksum(pseudo);
	partial.set([sum >> 8, sum & 0xff], 40);
	const port = l3();
	t.teardown(() => port.close());
	const { out } = port.receive(vm1.edge, partial, true, { start: 34, offset: 6 });
	t.deepEqual(
		out.map(({ frame }) => frame),
		pieces(whole, 600, gateway.mac),
	);
});

test('the same where the sum lies in a later piece than the first: 60 bytes of header on a link of 68', t => {
	const options = new Uint8Array(40).fill(1);
	const whole = packet4(vm1, server, {}, tcp(1, 2, new Uint8Array(100).fill(7)), { options });
	const segment = whole.slice(74);
	const partial = whole.slice();
	const sum = 0xffff - internetChecksum(bytesOf(whole.slice(26, 34), [0, 6, 0, segment.length]));
	partial.set([sum >> 8, sum & 0xff], 74 + 16);
	const memory = new DataView(new ArrayBuffer(16 + partial.length));
	new Uint8Array(memory.buffer).set(partial, 16);
	memory.setUint8(6, 1);
	new Uint16Array(memory.buffer, 12, 2).set([74, 16]);
	const fragmenter = new Fragmenter();
	t.teardown(() => fragmenter.close());
	const { buffer } = fragmenter.region.frame;
	const payloads = fragmenter
		.cut(memory, 16, 68)
		.map(({ at, length }) => new Uint8Array(buffer, at, length).slice(74));
	t.is(payloads.length, Math.ceil(segment.length / 8));
	t.deepEqual(bytesOf(...payloads), segment);
});

test('frames to be segmented are judged by their segments', t => {
	const narrow: Station = { ...server, mac: MASTER, ipv4: '100.64.1.9', ipv6: '2001:db8:2:1::9' };
	const port = l3();
	t.teardown(() => port.close());
	const judge = (frame: Uint8Array, gsoType: number, gsoSize: number): string => {
		const memory = new Uint8Array(16 + frame.length);
		memory.set(frame, 16);
		const view = new DataView(memory.buffer);
		view.setUint8(6, 1);
		view.setUint8(7, gsoType);
		const start = frame[12] === 8 ? 34 : 54;
		for (const [at, value] of [
			[10, gsoSize],
			[12, start],
			[14, gsoType === 5 ? 6 : 16],
		] as const)
			view.setUint16(at, value, new Uint8Array(Uint16Array.of(1).buffer)[0] === 1);
		return verdictName(forward(port.state, view, 16, frame.length, vm1.edge));
	};
	const long = new Uint8Array(4000);
	const tcp4 = packet4(vm1, narrow, {}, tcp(1, 2, long), { fragment: 0x4000 });
	const tcp6 = packet6(vm1, narrow, {}, tcp(1, 2, long));
	// 600 bytes are 20 of IPv4, 20 of TCP and 560 of data; 1280 are 40, 20 and 1220.
	t.is(judge(tcp4, 1, 560), 'wire');
	t.is(judge(tcp4, 1, 561), 'refuse: too-big');
	t.is(judge(tcp6, 4, 1220), 'wire');
	t.is(judge(tcp6, 4, 1221), 'refuse: too-big');
	const udp4 = packet4(vm1, narrow, {}, udp(1, 2, long));
	t.is(judge(udp4, 5, 572), 'wire');
	t.is(judge(udp4, 5, 573), 'refuse: too-big');
});

test('errors are sent at the rate that the kernel sends them', t => {
	const limit = new ErrorLimit();
	const start = 1e12;
	const burst = Array.from({ length: 10 }, () => limit.allow(2, start, false));
	t.deepEqual(burst, [true, true, true, true, true, true, false, false, false, false]);
	t.true(limit.allow(3, start, false), 'another guest has a share of its own');
	t.false(limit.allow(2, start + 999, false));
	t.true(limit.allow(2, start + 1001, false));
	t.false(limit.allow(2, start + 1002, false));
	t.true(limit.allow(2, start + 1002, true), 'what carries an MTU is always told');
	const all = new ErrorLimit();
	const many = Array.from({ length: 100 }, () => all.allow(2, start, true)).filter(Boolean);
	t.is(many.length, 50);
});
