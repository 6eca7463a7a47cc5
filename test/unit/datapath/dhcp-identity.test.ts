/** Who may call itself what towards a DHCP server, who may give what back, and what servers' answers make of the book. */
import test, { type ExecutionContext } from 'ava';
import { LEASES_MAX } from '../../../src/datapath/address-book.js';
import type { FlagName } from '../../../src/datapath/port-state.js';
import { Dhcp6, PASS } from '../../../src/datapath/slowpath/dhcp6.js';
import { verdictName } from '../../../src/datapath/verdict.js';
import { VNET_GSO_UDP_L4, VNET_HEADER, VNET_NEEDS_CSUM } from '../../../src/wire/vnet-header.js';
import {
	bytesOf,
	ethernet,
	ipv6,
	octets,
	patched,
	redirect,
	routerAdvertisement,
	sourceLinkLayer,
	type Upper,
} from '../../helpers/frames.js';
import { PurePort } from '../../helpers/pure-port.js';
import {
	addressesOf,
	gateway,
	host,
	MASTER,
	slaves,
	standardTopology,
	vm1,
	vm2,
	vm3,
	vm4,
} from '../../helpers/world.js';
import { answer4, answer6, ask4, ask6 } from './dhcp-speech.js';

const DISCOVER = 1;
const REQUEST = 3;
const ACK = 5;
const NAK = 6;
const RELEASE = 7;
const theirs = [255, 1, 2, 3, 4, 0, 2, 0, 0, 171, 17, 9];
const duid = '000100012a2b2c2d525400000014';

test('a client identifier is its first user’s, while it is in use', t => {
	const port = portOf(t);
	t.is(port.receive(vm4.edge, ask4(vm4, DISCOVER, { clientId: theirs })).final, 'slow: dhcp');
	const stolen = ask4(vm3, DISCOVER, { xid: 2, clientId: theirs });
	t.is(port.receive(vm3.edge, stolen).final, 'drop: dhcp-spoof');
	port.now += 121_000;
	t.is(port.receive(vm3.edge, stolen).final, 'slow: dhcp');
});

test('it stays so as long as the lease does', t => {
	const port = portOf(t);
	port.receive(vm3.edge, ask4(vm3, REQUEST, { clientId: theirs }));
	t.is(port.receive(0, answer4(ACK, '192.0.2.50', { seconds: 600 })).final, `edge ${vm3.edge}`);
	port.now += 599_000;
	t.is(port.receive(vm4.edge, ask4(vm4, DISCOVER, { xid: 2, clientId: theirs })).final, 'drop: dhcp-spoof');
	port.now += 2_000;
	t.is(port.receive(vm4.edge, ask4(vm4, DISCOVER, { xid: 2, clientId: theirs })).final, 'slow: dhcp');
});

test('nobody calls itself by another’s MAC, nor hides what it calls itself', t => {
	const port = portOf(t);
	const hexOf = (mac: string) => mac.split(':').map(byte => Number.parseInt(byte, 16));
	const refused = {
		'another guest’s MAC': { clientId: [1, ...hexOf(vm1.mac)] },
		'the master’s MAC': { clientId: [1, ...hexOf(MASTER)] },
		'two identifiers': { clientId: [0, 7], more: [61, 2, 0, 8] },
		'options in other fields': { more: [52, 1, 3] },
		'by way of a relay': { giaddr: '192.0.2.99' },
		'another’s hardware address': { chaddr: vm1.mac },
	};
	for (const [name, options] of Object.entries(refused)) {
		t.is(port.receive(vm4.edge, ask4(vm4, DISCOVER, options)).final, 'drop: dhcp-spoof', name);
	}
	const own = { clientId: [1, ...hexOf(vm4.mac)] };
	t.is(port.receive(vm4.edge, ask4(vm4, DISCOVER, own)).final, 'slow: dhcp');
});

test('a guest that thinks up name after name gets no further than eight', t => {
	const port = portOf(t);
	const finals = Array.from({ length: 20 }, (_, index) => {
		const clientId = [0, index];
		return port.receive(vm4.edge, ask4(vm4, DISCOVER, { xid: index, clientId })).final;
	});
	t.is(finals.filter(final => final === 'slow: dhcp').length, 8);
	t.true(finals.slice(8).every(final => final === 'drop: dhcp-spoof'));
	t.is(
		port.receive(vm3.edge, ask4(vm3, DISCOVER, { xid: 99 })).final,
		'slow: dhcp',
		'others are not concerned',
	);
});

test('nobody releases or declines another’s address', t => {
	const port = portOf(t);
	for (const address of [vm1.ipv4, host.ipv4]) {
		const release = ask4(vm4, RELEASE, { ciaddr: address, from: vm4.ipv4, to: gateway.ipv4 });
		t.deepEqual(port.receive(vm4.edge, release).out, []);
		const decline = ask4(vm4, 4, { more: [50, 4, ...address.split('.').map(Number)] });
		t.is(port.receive(vm4.edge, decline).final, 'drop: dhcp-spoof');
		t.not(port.state.ownerOf(address), 0);
	}
});

test('a released lease is given back, a static address is not', t => {
	const port = portOf(t);
	lease(port, '192.0.2.50');
	const release = (ciaddr: string) => ask4(vm3, RELEASE, { ciaddr, from: ciaddr, to: gateway.ipv4 });
	t.is(port.receive(vm3.edge, release('192.0.2.50')).out.length, 1);
	t.is(port.state.ownerOf('192.0.2.50'), 0);
	port.receive(vm1.edge, ask4(vm1, RELEASE, { ciaddr: vm1.ipv4, from: vm1.ipv4, to: gateway.ipv4 }));
	t.is(port.state.ownerOf(vm1.ipv4), vm1.edge);
});

test('a lease that moves, a refusal and the end of its time take the old address away', t => {
	const port = portOf(t);
	lease(port, '192.0.2.50');
	lease(port, '192.0.2.51');
	t.is(port.state.ownerOf('192.0.2.50'), 0);
	t.is(port.state.ownerOf('192.0.2.51'), vm3.edge);
	port.receive(vm3.edge, ask4(vm3, REQUEST, { ciaddr: '192.0.2.51' }));
	port.receive(0, answer4(NAK, '0.0.0.0', { seconds: 0 }));
	t.is(port.state.ownerOf('192.0.2.51'), 0);
	lease(port, '192.0.2.52', 60);
	port.now += 61_000;
	port.tick();
	t.is(port.state.ownerOf('192.0.2.52'), 0);
});

test('a request without an end of its options, or of which a piece is missing, is malformed', t => {
	const port = portOf(t);
	const whole = ask4(vm4, DISCOVER, { clientId: theirs });
	const endless = whole.map((byte, at) => (at >= 14 + 20 + 8 + 240 && byte === 255 ? 0 : byte));
	t.is(port.receive(vm4.edge, endless).final, 'drop: malformed');
	for (let length = 14; length < whole.length; length++) {
		const final = port.receive(vm4.edge, whole.slice(0, length)).final;
		t.is(final, 'drop: malformed', `${length} bytes`);
	}
});

test('DHCPv6: an address is leased, moved, and released', t => {
	const port = portOf(t);
	const [old, next] = ['2001:db8:1::50', '2001:db8:1::51'];
	t.is(port.receive(vm4.edge, ask6(vm4, REQUEST, duid, [{}])).final, 'slow: fan out');
	const reply = answer6(vm4, 7, duid, [{ addresses: [[old, 600]] }]);
	t.is(port.receive(0, reply).final, `edge ${vm4.edge}`);
	t.is(port.state.ownerOf(old), vm4.edge);
	const { origin, expires } = lastAdded(port, old);
	t.deepEqual([origin, expires], ['dhcp', port.now + 600_000]);

	port.receive(vm4.edge, ask6(vm4, 5, duid, [{ addresses: [[old, 0]] }], 2));
	const moved = [{ addresses: [[old, 0] as const, [next, 600] as const] }];
	port.receive(0, answer6(vm4, 7, duid, moved, { xid: 2 }));
	t.deepEqual([port.state.ownerOf(old), port.state.ownerOf(next)], [0, vm4.edge]);
	port.receive(vm4.edge, ask6(vm4, 8, duid, [{ addresses: [[next, 0]] }], 3));
	t.is(port.state.ownerOf(next), 0);
});

test('DHCPv6: rapid commit, temporary addresses, and the end of their time', t => {
	const port = portOf(t);
	const address = '2001:db8:1::50';
	port.receive(vm4.edge, ask6(vm4, 1, duid, [{ kind: 4 }]));
	port.receive(0, answer6(vm4, 7, duid, [{ kind: 4, addresses: [[address, 60]] }]));
	t.is(port.state.ownerOf(address), vm4.edge);
	port.now += 61_000;
	port.tick();
	t.is(port.state.ownerOf(address), 0);
});

test('DHCPv6: only answers to questions make leases, and offers make none', t => {
	const port = portOf(t);
	const addresses = [['2001:db8:1::50', 600] as const];
	t.is(port.receive(0, answer6(vm4, 7, duid, [{ addresses }])).final, `edge ${vm4.edge}`);
	port.receive(vm4.edge, ask6(vm4, 1, duid, [{}]));
	port.receive(0, answer6(vm4, 2, duid, [{ addresses }]));
	port.receive(0, answer6(vm4, 7, duid, [{ addresses }], { xid: 9 }));
	t.is(port.state.ownerOf('2001:db8:1::50'), 0);
});

test('DHCPv6: a guest that may not learn gets the answer and no address', t => {
	const port = portOf(t);
	port.receive(vm1.edge, ask6(vm1, REQUEST, duid, [{}]));
	const reply = answer6(vm1, 7, duid, [{ addresses: [['2001:db8:1::50', 600]] }]);
	t.is(port.receive(0, reply).out.length, 1);
	t.is(port.state.ownerOf('2001:db8:1::50'), 0);
});

test('a server from afar, where a guest may have an accomplice, renews leases and gives none', t => {
	const port = portOf(t);
	const here = '192.0.2.50';
	lease(port, here);
	const { expires: before } = lastAdded(port, here);
	// As routers bring it: to an address that the guest has.
	const fromAfar = (address: string, to: string) => {
		port.receive(vm3.edge, ask4(vm3, REQUEST, { ciaddr: to, from: to, to: '203.0.113.9' }));
		const options = { from: '203.0.113.9', to, seconds: 6000 };
		t.is(port.receive(0, answer4(ACK, address, options)).final, `edge ${vm3.edge}`);
	};
	for (const address of ['192.0.2.60', '9.9.9.9', '198.51.100.7']) {
		fromAfar(address, here);
		t.is(port.state.ownerOf(address), 0, address);
	}
	fromAfar(here, here);
	t.deepEqual(lastAdded(port, here).expires, port.now + 6_000_000);
	t.true((before as number) < port.now + 6_000_000);

	// What it has merely learned stays so, and may be lost to who was there before.
	port.command({ kind: 'restore', edge: vm3.edge, address: vm3.ipv4 });
	fromAfar(vm3.ipv4, vm3.ipv4);
	t.is(lastAdded(port, vm3.ipv4).origin, 'learned');

	port.receive(vm4.edge, ask6(vm4, REQUEST, duid, [{}]));
	const addresses = [['2001:db8:53::53', 6000] as const];
	const from = '2001:db8:ffff::9';
	const answer = answer6(vm4, 7, duid, [{ addresses }], { from, to: vm4.ipv6 });
	port.command({ kind: 'restore', edge: vm4.edge, address: vm4.ipv6 });
	t.is(port.receive(0, answer).final, `edge ${vm4.edge}`);
	t.is(port.state.ownerOf('2001:db8:53::53'), 0);
});

test('what no machine can have is not leased, nor more than somebody can need', t => {
	const port = portOf(t);
	for (const address of ['127.0.0.1', '255.255.255.255', '224.0.0.251']) {
		port.receive(vm3.edge, ask4(vm3, REQUEST));
		port.receive(0, answer4(ACK, address, { to: '255.255.255.255' }));
		t.is(port.state.ownerOf(address), 0, address);
	}
	port.receive(vm4.edge, ask6(vm4, REQUEST, duid, [{}]));
	const addresses = Array.from({ length: 40 }, (_, index) => [`2001:db8:1::${index + 1}:50`, 600] as const);
	port.receive(0, answer6(vm4, 7, duid, [{ addresses: [['ff02::fb', 600], ['::1', 600], ...addresses] }]));
	t.is(port.state.ownerOf('ff02::fb'), 0);
	t.is(addresses.filter(([address]) => port.state.ownerOf(address) === vm4.edge).length, LEASES_MAX);
});

test('DHCPv6: nobody speaks for another’s association, or gives another’s address back', t => {
	const port = portOf(t);
	port.receive(vm4.edge, ask6(vm4, REQUEST, duid, [{}]));
	for (const type of [3, 5, 6, 8, 9]) {
		t.is(port.receive(vm1.edge, ask6(vm1, type, duid, [{}])).final, 'drop: dhcp-spoof');
	}
	t.is(
		port.receive(vm1.edge, ask6(vm1, 8, 'ff0102', [{ addresses: [[vm2.ipv6, 0]] }])).final,
		'drop: dhcp-spoof',
	);
	t.is(port.state.ownerOf(vm2.ipv6), vm2.edge);
	t.is(
		port.receive(vm1.edge, ask6(vm1, 3, duid, [{ iaid: 2 }])).final,
		'slow: fan out',
		'clones of one disk',
	);
	const finals = Array.from(
		{ length: 20 },
		(_, index) => port.receive(vm2.edge, ask6(vm2, 1, `0003${index + 10}`, [{}])).final,
	);
	t.is(finals.filter(final => final === 'slow: fan out').length, 8);
});

test('DHCPv6: what another has can’t be leased', t => {
	const port = portOf(t);
	for (const taken of [vm1.ipv6, host.ipv6]) {
		port.receive(vm4.edge, ask6(vm4, 1, duid, [{}]));
		const addresses = [[taken, 600] as const];
		t.is(port.receive(0, answer6(vm4, 2, duid, [{ addresses }])).final, 'drop: dhcp-conflict');
		t.is(port.receive(0, answer6(vm4, 7, duid, [{ addresses }])).final, 'drop: dhcp-conflict');
	}
});

test('DHCPv6: a message that will be cut into segments, and so be several, is none', t => {
	const dhcp = new Dhcp6({ holderOf: () => undefined, lease: () => undefined, endLease: () => undefined });
	const frame = ask6(vm4, REQUEST, duid, [{}]);
	const memory = new Uint8Array(VNET_HEADER + frame.length);
	memory.set(frame, VNET_HEADER);
	const view = new DataView(memory.buffer);
	t.is(dhcp.request(view, VNET_HEADER, vm4.edge, 0), PASS);
	memory.set([VNET_NEEDS_CSUM, VNET_GSO_UDP_L4]);
	t.is(verdictName(dhcp.request(view, VNET_HEADER, vm4.edge, 0)), 'drop: malformed');
});

test('DHCPv6: every truncation of a request is refused or passed on, and none throws', t => {
	const port = portOf(t);
	const whole = ask6(vm4, REQUEST, duid, [{ addresses: [['2001:db8:1::50', 600]] }]);
	for (let length = 14; length < whole.length; length++) {
		t.is(port.receive(vm4.edge, whole.slice(0, length)).final, 'drop: malformed', `${length} bytes`);
		// The lengths in front say that this is all: then the message is what is cut short.
		const cut = whole.slice(0, length);
		if (length < 62) continue;
		cut.set([(length - 54) >> 8, (length - 54) & 255], 18);
		cut.set([(length - 54) >> 8, (length - 54) & 255], 58);
		t.true(
			['drop: malformed', 'drop: dhcp-guard', 'slow: fan out'].includes(port.receive(vm4.edge, cut).final),
		);
	}
});

test('a guest that may be a server answers guests, the host’s LAN, and gets their questions', t => {
	const port = portOf(t, ['dhcp-server']);
	const asked = port.receive(vm3.edge, ask4(vm3, DISCOVER));
	t.deepEqual(
		asked.out.map(({ edge }) => edge),
		[0, 1, vm1.edge],
	);
	const offer = answer4(2, '192.0.2.50', { source: vm1.mac, from: vm1.ipv4 });
	const [toGuest, ...rest] = port.receive(vm1.edge, offer).out;
	t.deepEqual([toGuest?.edge, rest.length], [vm3.edge, 0]);
	const forLan = answer4(2, '192.0.2.60', {
		xid: 77,
		source: vm1.mac,
		from: vm1.ipv4,
		chaddr: '02:00:00:00:00:20',
	});
	t.deepEqual(
		port.receive(vm1.edge, forLan).out.map(({ edge }) => edge),
		[0],
	);
	t.is(
		port.receive(vm2.edge, answer4(2, '192.0.2.50', { source: vm2.mac, from: vm2.ipv4 })).final,
		'drop: dhcp-guard',
	);

	const asked6 = port.receive(vm4.edge, ask6(vm4, 1, duid, [{}]));
	t.deepEqual(
		asked6.out.map(({ edge }) => edge),
		[0, 1, vm1.edge],
	);
	const addresses = [['2001:db8:1::50', 600] as const];
	const reply = { source: vm1.mac, from: vm1.linkLocal, destination: vm4.mac };
	t.is(port.receive(vm1.edge, answer6(vm4, 7, duid, [{ addresses }], reply)).final, `edge ${vm4.edge}`);
	t.is(port.state.ownerOf('2001:db8:1::50'), vm4.edge);
});

test('nobody answers behind the end of a packet, where clients that read frames raw would look', t => {
	const answer = answer4(2, '192.0.2.50', { source: vm1.mac, from: vm1.ipv4, to: '255.255.255.255' });
	const ask = ask4(vm1, DISCOVER, { from: vm1.ipv4, to: gateway.ipv4 });
	for (const port of [portOf(t), portOf(t, ['dhcp-server'])]) {
		for (const total of [20, 24, 27]) {
			for (const frame of [answer, ask]) {
				const hidden = patched(frame, 16, [0, total]);
				t.is(port.receive(vm1.edge, hidden).final, 'drop: malformed', `${total}`);
			}
		}
		const other = patched(answer, 36, [0x9c, 0x40]);
		t.is(port.receive(vm1.edge, patched(other, 16, [0, 20])).final, 'slow: fan out', 'other padding passes');
	}
});

test('a server in a guest reaches others as the flag says', t => {
	const offer = answer4(2, '192.0.2.50', { source: vm1.mac, from: vm1.ipv4 });
	const addresses = [['2001:db8:1::50', 600] as const];
	const reply = answer6(vm4, 7, duid, [{ addresses }], {
		source: vm1.mac,
		from: vm1.linkLocal,
		destination: vm4.mac,
	});
	for (const [flag, verdict] of [
		['private', 'drop: private'],
		['vepa', 'wire'],
	] as const) {
		const port = portOf(t, ['dhcp-server'], flag);
		const asked = port.receive(vm3.edge, ask4(vm3, DISCOVER));
		t.false(
			asked.out.some(({ edge }) => edge === vm1.edge),
			flag,
		);
		t.is(port.receive(vm1.edge, offer).final, verdict, flag);
		port.receive(vm4.edge, ask6(vm4, 1, duid, [{}]));
		t.is(port.receive(vm1.edge, reply).final, verdict, flag);
		t.is(port.state.ownerOf('2001:db8:1::50'), 0, 'a lease counts when it has arrived');
	}
});

test('a guest that may be a router advertises itself to everybody, and redirects nobody', t => {
	const port = portOf(t, ['router']);
	const from = { source: vm1.linkLocal, destination: 'ff02::1', hopLimit: 255 };
	const say = (upper: Upper) =>
		ethernet({ source: vm1.mac, destination: '33:33:00:00:00:01' }, ipv6(from, upper));
	const advertisement = say(routerAdvertisement([sourceLinkLayer(vm1.mac)]));
	const { out } = port.receive(vm1.edge, advertisement);
	t.deepEqual(
		out.map(({ edge }) => edge),
		[0, 1, vm2.edge, vm3.edge, vm4.edge],
	);
	t.deepEqual(out[0]?.frame, natted(advertisement), 'the wire hears of the master’s MAC');
	t.is(port.receive(vm1.edge, say(redirect(vm2.ipv6, vm2.ipv6))).final, 'drop: router-guard');
	const lying = say(routerAdvertisement([sourceLinkLayer(vm2.mac)]));
	t.is(port.receive(vm1.edge, lying).final, 'drop: nd-spoof');
	t.is(portOf(t).receive(vm1.edge, advertisement).final, 'drop: router-guard');
});

test('of what a guest’s router says, only guests that may not choose addresses hear no invitation', t => {
	const port = portOf(t, ['router']);
	const from = { source: vm1.linkLocal, destination: 'ff02::1', hopLimit: 255 };
	const prefix = bytesOf([64, 0xc0], new Uint8Array(12), octets('2001:db8:2::'));
	const advertisement = routerAdvertisement([{ type: 3, data: prefix }]);
	const { out } = port.receive(
		vm1.edge,
		ethernet({ source: vm1.mac, destination: '33:33:00:00:00:01' }, ipv6(from, advertisement)),
	);
	const flags = out.map(({ edge, frame }) => [edge, frame[14 + 40 + 16 + 3]]);
	t.deepEqual(Object.fromEntries(flags), { 0: 0xc0, 1: 0xc0, 3: 0x80, 4: 0xc0, 5: 0xc0 });
	t.deepEqual(
		out[0]?.frame,
		ethernet({ source: MASTER, destination: '33:33:00:00:00:01' }, ipv6(from, advertisement)),
	);
});

/** From the master, inside and out. */
function natted(frame: Uint8Array): Uint8Array {
	const from = { source: vm1.linkLocal, destination: 'ff02::1', hopLimit: 255 };
	const same = ethernet(
		{ source: MASTER, destination: '33:33:00:00:00:01' },
		ipv6(from, routerAdvertisement([sourceLinkLayer(MASTER)])),
	);
	if (same.length !== frame.length) throw new Error('MAC-NAT keeps lengths');
	return same;
}

function lease(port: PurePort, address: string, seconds = 600): void {
	port.receive(vm3.edge, ask4(vm3, REQUEST));
	port.receive(0, answer4(ACK, address, { seconds }));
}

function lastAdded(port: PurePort, address: string) {
	const [last] = port.reports
		.filter(report => report.kind === 'address' && report.address === address)
		.slice(-1);
	if (last?.kind !== 'address') throw new Error(`${address} was never added`);
	return last;
}

/** The standard port; `allow` is vm1's. */
function portOf(
	t: ExecutionContext,
	allow: ('dhcp-server' | 'router')[] = [],
	flag: FlagName = 'bridge',
): PurePort {
	const topology = standardTopology(flag);
	const port = new PurePort({
		...topology,
		slaves: slaves.map(slave => (slave.name === 'vm1' ? { ...slave, allow } : slave)),
	});
	t.teardown(() => port.close());
	t.deepEqual(
		addressesOf(vm1).map(address => port.state.ownerOf(address)),
		[2, 2, 2],
	);
	return port;
}
