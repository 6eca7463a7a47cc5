/** What follows in time from who owns what: probes, announcements, questions, forgetting. */
import test, { type ExecutionContext } from 'ava';
import {
	advertiseToAll,
	announcement,
	arpProbe,
	arpReply,
	packet4,
	packet6,
	solicit,
} from '../../cases/traffic.js';
import { readable } from '../../helpers/describe.js';
import { type Output, PurePort } from '../../helpers/pure-port.js';
import { gateway, host, laptop, MASTER, standardTopology, vm1, vm3, vm4 } from '../../helpers/world.js';

const natted = { source: MASTER };
const AGE = 300_000;
/** What a machine on the LAN says when somebody probes for vm3's address. */
const mine = arpReply({ ...laptop, ipv4: vm3.ipv4 }, { ...host, ipv4: '0.0.0.0' });

test('an address that a guest uses is probed for, then announced twice', t => {
	const port = settled(t);
	port.receive(vm3.edge, packet4(vm3, gateway));
	t.deepEqual(later(port, 0), [`wire ${readable(arpProbe(vm3, vm3.ipv4, natted))}`]);
	t.deepEqual(later(port, 49), []);
	t.deepEqual(later(port, 1), [`wire ${readable(arpProbe(vm3, vm3.ipv4, natted))}`]);
	t.deepEqual(later(port, 200), [`wire ${readable(announcement(vm3, natted))}`]);
	t.deepEqual(later(port, 2000), [`wire ${readable(announcement(vm3, natted))}`]);
	t.deepEqual(later(port, 10_000), []);
});

test('IPv6 likewise, by duplicate address detection and unsolicited advertisements', t => {
	const port = settled(t);
	port.receive(vm3.edge, packet6(vm3, gateway));
	const unsolicited = advertiseToAll({ ...vm3, linkLocal: vm3.ipv6 }, vm3.ipv6, { source: MASTER });
	t.deepEqual(later(port, 0), [`wire ${readable(solicit(vm3, vm3.ipv6, natted, { source: '::' }, []))}`]);
	later(port, 50);
	t.deepEqual(later(port, 200), [`wire ${readable(unsolicited)}`]);
});

test('a guest that may be a router is announced as one', t => {
	const topology = standardTopology();
	const slaves = topology.slaves.map(slave =>
		slave.edge === vm3.edge ? { ...slave, allow: ['router' as const] } : slave,
	);
	const port = new PurePort({ ...topology, slaves });
	t.teardown(() => port.close());
	port.receive(vm3.edge, packet6(vm3, gateway));
	for (const pause of [0, 50]) later(port, pause);
	const unsolicited = advertiseToAll({ ...vm3, linkLocal: vm3.ipv6 }, vm3.ipv6, { source: MASTER });
	const [said] = later(port, 200).filter(text => text.includes(vm3.ipv6));
	t.is(said?.length, `wire ${readable(unsolicited)}`.length);
	// Flags of the advertisement: router and override, not override alone.
	const bytes = (said as string).replace(/^.*bytes\n|\s/gs, '');
	t.is(bytes.slice(58 * 2, 59 * 2), 'a0');
});

test('while a guest itself asks whether an address is free, nothing is said about it but the same question', t => {
	const port = settled(t);
	port.receive(vm3.edge, arpProbe(vm3, vm3.ipv4));
	t.deepEqual(later(port, 0), []);
	const probe = [`wire ${readable(arpProbe(vm3, vm3.ipv4, natted))}`];
	t.deepEqual(later(port, 50), probe);
	t.deepEqual(later(port, 200), []);
	t.is(port.state.ownerOf(vm3.ipv4), vm3.edge);
	t.deepEqual(later(port, 50), probe);
	t.deepEqual(later(port, 1999), []);
	t.deepEqual(later(port, 1), [`wire ${readable(announcement(vm3, natted))}`]);
});

test('a slave without a guest is not announced, and is when its guest comes', t => {
	const port = settled(t);
	port.command({ kind: 'live', edge: vm1.edge, live: false });
	port.command({ kind: 'announce' });
	t.false(later(port, 0).some(text => text.includes(vm1.ipv4)));
	port.command({ kind: 'live', edge: vm1.edge, live: true });
	t.true(later(port, 0).includes(`wire ${readable(arpProbe(vm1, vm1.ipv4, natted))}`));
});

test('a guest that has gone has learned nothing', t => {
	const port = settled(t);
	port.receive(vm4.edge, packet4({ ...vm4, ipv4: '192.0.2.77' }, gateway));
	port.settle();
	t.is(port.state.ownerOf('192.0.2.77'), vm4.edge);
	port.command({ kind: 'live', edge: vm4.edge, live: false });
	t.is(port.state.ownerOf('192.0.2.77'), 0);
	t.is(port.state.ownerOf(vm4.ipv4), vm4.edge);
});

test("the master's new MAC is announced for every address at once", t => {
	const port = settled(t);
	const mac = '02:00:00:00:00:bb';
	port.command({ kind: 'change', change: { kind: 'master', mac, ifindex: 0 } });
	const said = later(port, 0);
	t.is(said.length, 9);
	t.true(said.includes(`wire ${readable(announcement(vm1, { source: mac }))}`));
	t.deepEqual(later(port, 2000), said);
	port.command({ kind: 'change', change: { kind: 'master', mac, ifindex: 0 } });
	t.deepEqual(later(port, 0), []);
});

test('a thousand addresses are not a burst', t => {
	const addresses = Array.from({ length: 200 }, (_, index) => ({
		address: `10.0.0.${index}`,
		edge: vm1.edge,
		origin: 'static' as const,
	}));
	const port = new PurePort({ ...standardTopology(), addresses });
	t.teardown(() => port.close());
	port.command({ kind: 'live', edge: vm1.edge, live: true });
	port.command({ kind: 'announce' });
	const bursts = [0, 10, 10, 10, 10].map(pause => later(port, pause).length);
	t.deepEqual(bursts, [64, 64, 64, 8, 0]);
});

test('an address that another machine answers for is not announced, and lost by who had just learned it', t => {
	const port = settled(t);
	port.receive(vm3.edge, packet4(vm3, gateway));
	later(port, 0);
	port.receive(0, mine);
	t.deepEqual(
		port.reports.filter(({ kind }) => kind === 'duplicate'),
		[{ kind: 'duplicate', edge: vm3.edge, address: vm3.ipv4, mac: laptop.mac }],
	);
	t.is(port.state.ownerOf(vm3.ipv4), 0);
	t.deepEqual(later(port, 250), []);
	t.is(port.receive(vm3.edge, packet4(vm3, gateway)).final, 'drop: duplicate-address');
	later(port, 60_000);
	t.is(port.receive(vm3.edge, packet4(vm3, gateway)).final, 'slow: claim');
});

test('who has had an address for long keeps it, and so does who was given it; both are reported', t => {
	const port = settled(t);
	port.receive(vm3.edge, packet4(vm3, gateway));
	for (const pause of [0, 50, 200, 2000]) later(port, pause);
	port.receive(0, mine);
	t.is(port.state.ownerOf(vm3.ipv4), vm3.edge);
	port.receive(0, announcement({ ...laptop, ipv4: vm1.ipv4 }));
	t.is(port.state.ownerOf(vm1.ipv4), vm1.edge);
	port.receive(0, announcement({ ...laptop, ipv4: vm1.ipv4 }));
	const duplicates = port.reports.flatMap(report => (report.kind === 'duplicate' ? report.address : []));
	t.deepEqual(duplicates, [vm3.ipv4, vm1.ipv4]);
});

test("an advertisement of a guest's address by another machine is a duplicate; its reflection is none", t => {
	const port = settled(t);
	const { length } = port.reports;
	port.receive(0, advertiseToAll(laptop, vm1.ipv6, { source: MASTER }));
	t.is(port.reports.length, length);
	port.receive(0, advertiseToAll(laptop, vm1.ipv6));
	t.like(port.reports.at(-1), { kind: 'duplicate', address: vm1.ipv6, mac: laptop.mac });
});

test('a guest that is silent is asked, and keeps its address when it answers', t => {
	const port = settled(t);
	port.receive(vm3.edge, packet4(vm3, gateway));
	for (const pause of [0, 50, 200, 2000]) later(port, pause);
	t.deepEqual(later(port, AGE - 2001), []);
	t.deepEqual(later(port, 1), [`edge ${vm3.edge} ${readable(arpProbe(vm3, vm3.ipv4, natted))}`]);
	t.is(port.receive(vm3.edge, arpReply(vm3, { ...host, ipv4: '0.0.0.0' })).final, 'slow: refresh');
	t.deepEqual(later(port, AGE - 1), []);
	t.is(later(port, 1).length, 1);
});

test('a guest that does not answer loses its learned address, not the one that it was given', t => {
	const port = settled(t);
	port.receive(vm4.edge, packet4({ ...vm4, ipv4: '192.0.2.77' }, gateway));
	for (const pause of [0, 50, 200, 2000]) later(port, pause);
	const questions = [AGE - 2000, 2000, 2000].map(pause => later(port, pause).length);
	t.deepEqual(questions, [1, 1, 1]);
	t.is(port.state.ownerOf('192.0.2.77'), vm4.edge);
	later(port, 2000);
	t.is(port.state.ownerOf('192.0.2.77'), 0);
	t.is(port.state.ownerOf(vm4.ipv4), vm4.edge);
});

test('an IPv6 guest answers everybody, and nobody but us gets it', t => {
	const port = settled(t);
	port.receive(vm3.edge, packet6(vm3, gateway));
	for (const pause of [0, 50, 200, 2000]) later(port, pause);
	const answer = advertiseToAll({ ...vm3, linkLocal: vm3.ipv6 }, vm3.ipv6);
	t.not(port.receive(vm3.edge, answer).out.length, 0);
	t.deepEqual(later(port, AGE - 2250), []);
	const asked = later(port, 2250);
	t.deepEqual(asked, [`edge ${vm3.edge} ${readable(solicit(vm3, vm3.ipv6, natted, { source: '::' }, []))}`]);
	t.deepEqual(port.receive(vm3.edge, answer).out, []);
	t.not(port.receive(vm3.edge, answer).out.length, 0);
});

test('a lease ends when the server said, and a renewal is no new address', t => {
	const port = settled(t);
	port.command({ kind: 'restore', edge: vm3.edge, address: vm3.ipv4, expires: port.now + 5000 });
	for (const pause of [0, 50, 200, 2000]) later(port, pause);
	port.command({ kind: 'restore', edge: vm3.edge, address: vm3.ipv4, expires: port.now + 5000 });
	t.like(port.reports.at(-1), { change: 'renewed', origin: 'dhcp' });
	t.deepEqual(later(port, 4999), []);
	t.is(port.state.ownerOf(vm3.ipv4), vm3.edge);
	later(port, 1);
	t.is(port.state.ownerOf(vm3.ipv4), 0);
});

test('gateways are not to be had', t => {
	const port = settled(t);
	port.command({ kind: 'gateways', addresses: [gateway.ipv4, gateway.linkLocal] });
	const forged = packet4({ ...vm3, ipv4: gateway.ipv4 }, laptop);
	t.is(port.receive(vm3.edge, forged).final, 'drop: gateway-address');
	t.is(
		port.receive(vm3.edge, packet6({ ...vm3, ipv6: gateway.linkLocal }, laptop)).final,
		'drop: gateway-address',
	);
});

/** The standard port, when all that was there from the beginning has been announced. */
function settled(t: ExecutionContext): PurePort {
	const port = new PurePort(standardTopology());
	t.teardown(() => port.close());
	for (const pause of [0, 50, 200, 2000]) later(port, pause);
	return port;
}

/** What leaves by itself after a pause, ms. What a guest had said from an address that it has now is out of the way. */
function later(port: PurePort, pause: number): string[] {
	port.now += pause;
	const said = port.tick().map(inWords);
	for (const { ipv4: address } of [vm3, vm4]) port.command({ kind: 'ready', address });
	port.command({ kind: 'ready', address: vm3.ipv6 });
	port.command({ kind: 'ready', address: '192.0.2.77' });
	return said;
}

function inWords({ edge, frame }: Output): string {
	return `${edge === 0 ? 'wire' : `edge ${edge}`} ${readable(frame)}`;
}
