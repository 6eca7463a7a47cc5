/** Addresses that nobody here owns, and that no guest gets for using them. */

import test, { type ExecutionContext } from 'ava';
import { linkLocalText } from '../../../src/datapath/address-key.js';
import { arpProbe, detectDuplicate, packet4, packet6 } from '../../cases/traffic.js';
import { ethernet, icmpv6, ipv6, octets } from '../../helpers/frames.js';
import { PurePort } from '../../helpers/pure-port.js';
import { gateway, laptop, standardTopology, vm1, vm2, vm3 } from '../../helpers/world.js';

test('off the link nothing is to be had, once it is known what is on it', t => {
	const port = standard(t);
	t.is(use4(port, '203.0.113.53'), 'slow: claim', 'nothing is known yet');
	port.command({ kind: 'prefixes', prefixes: ['192.0.2.0/25', '2001:db8:1::/64'] });
	t.is(use4(port, '198.51.100.53'), 'drop: off-link');
	t.is(use4(port, '192.0.2.128'), 'drop: off-link');
	t.is(use4(port, '192.0.2.126'), 'slow: claim');
	t.is(use4(port, '169.254.7.7'), 'slow: claim', 'link-local');
	t.is(use4(port, '169.254.169.254'), 'drop: off-link', 'where the host looks for its credentials');
	t.is(use6(port, '2001:db8:2::53'), 'drop: off-link');
	t.is(use6(port, '2001:db8:1::53'), 'slow: claim');
	t.is(use6(port, 'fe80::53'), 'slow: claim', 'link-local');
	t.is(port.receive(vm3.edge, detectDuplicate(vm3, '2001:db8:2::53')).final, 'drop: off-link');
	port.command({ kind: 'prefixes', prefixes: [] });
	t.is(use4(port, '198.51.100.53'), 'slow: claim');
});

test('what is sent to all machines of a subnet is not for one guest to have', t => {
	const port = standard(t);
	t.is(use4(port, '192.0.2.255'), 'slow: claim', 'nothing is known of subnets');
	port.command({
		kind: 'prefixes',
		prefixes: ['192.0.2.0/24', '198.51.100.4/31', '10.0.0.0/8', '10.1.1.1/32'],
	});
	for (const address of ['192.0.2.0', '10.255.255.255', '10.0.0.0'])
		t.is(use4(port, address), 'drop: ip-spoof', address);
	for (const address of ['198.51.100.4', '198.51.100.5', '10.0.0.255', '10.1.1.0'])
		t.is(use4(port, address), 'slow: claim', address);
	port.command({ kind: 'prefixes', prefixes: ['10.0.0.0/8', '10.1.1.0/24'] });
	t.is(use4(port, '10.1.1.255'), 'drop: ip-spoof');
	t.is(port.receive(vm3.edge, arpProbe(vm3, '10.1.1.255')).final, 'drop: ip-spoof');
});

test('what routers advertise is on the link, for as long as they say', t => {
	const port = standard(t);
	port.command({ kind: 'prefixes', prefixes: ['2001:db8:1::/64'] });
	t.is(use6(port, '2001:db8:7::53'), 'drop: off-link');
	port.receive(0, advertisement(1800, { prefix: '2001:db8:7::', length: 64, seconds: 60 }));
	t.is(use6(port, '2001:db8:7::53'), 'slow: claim');
	port.now += 60_000;
	t.is(use6(port, '2001:db8:7::54'), 'drop: off-link');
	port.receive(0, advertisement(1800, { prefix: '2001:db8:7::', length: 64, seconds: 60 }));
	port.receive(0, advertisement(1800, { prefix: '2001:db8:7::', length: 64, seconds: 0 }));
	t.is(use6(port, '2001:db8:7::55'), 'drop: off-link');
});

test("a router that advertises itself keeps its address, from guests that aren't trusted too", t => {
	const port = standard(t);
	const claim = (): string => port.receive(vm1.edge, packet6({ ...vm1, ipv6: gateway.linkLocal }, vm2)).final;
	port.receive(0, advertisement(60));
	t.is(claim(), 'drop: gateway-address');
	port.now += 60_000;
	t.is(claim(), 'slow: claim', 'it was silent for longer than it said');
});

test('a router that says that it is none any more, and one from far away, protect nothing', t => {
	const port = standard(t);
	port.receive(0, advertisement(60));
	port.receive(0, advertisement(0));
	port.receive(0, advertisement(60, undefined, { source: 'fe80::77', hopLimit: 64 }));
	t.is(use6(port, gateway.linkLocal), 'slow: claim');
	t.is(use6(port, 'fe80::77'), 'slow: claim');
});

test('no more routers and prefixes are remembered than a LAN has', t => {
	const port = standard(t);
	for (let count = 0; count < 100; count++) {
		const prefix = `2001:db8:${(count + 16).toString(16)}::`;
		port.receive(0, advertisement(60, { prefix, length: 64, seconds: 60 }, { source: `fe80::9${count}` }));
	}
	t.is(use6(port, 'fe80::915'), 'drop: gateway-address');
	t.is(use6(port, 'fe80::916'), 'slow: claim');
	t.is(use6(port, '2001:db8:4f::1'), 'slow: claim', 'the 64th');
	t.is(use6(port, '2001:db8:50::1'), 'drop: off-link');
});

test("an address made of another's MAC is kept for it, and taken back when it comes later", t => {
	const port = standard(t);
	t.is(use6(port, linkLocalText(vm1.mac)), 'drop: ip-spoof');
	t.is(use6(port, `2001:db8:1:0:5054:ff:fe00:${vm1.mac.slice(-2)}`), 'drop: ip-spoof');
	t.is(use6(port, linkLocalText('02:00:00:00:00:aa')), 'drop: ip-spoof', "the master's");
	t.is(use6(port, linkLocalText(vm3.mac)), 'slow: claim', 'its own');
	const newcomer = { edge: 9, mac: '52:54:00:00:00:99' };
	t.is(use6(port, linkLocalText(newcomer.mac)), 'slow: claim');
	port.settle();
	t.is(port.state.ownerOf(linkLocalText(newcomer.mac)), vm3.edge);
	port.command({ kind: 'change', change: { kind: 'slave-added', ifindex: 0, learn: false, ...newcomer } });
	t.is(port.state.ownerOf(linkLocalText(newcomer.mac)), 0);
	t.is(use6(port, linkLocalText(newcomer.mac)), 'drop: ip-spoof');
});

function standard(t: ExecutionContext): PurePort {
	const port = new PurePort({ ...standardTopology(), quota: { 4: 100, 6: 100 } });
	t.teardown(() => port.close());
	return port;
}

function use4(port: PurePort, address: string): string {
	return port.receive(vm3.edge, packet4({ ...vm3, ipv4: address }, laptop)).final;
}

function use6(port: PurePort, address: string): string {
	return port.receive(vm3.edge, packet6({ ...vm3, ipv6: address }, laptop)).final;
}

function advertisement(
	lifetime: number,
	option?: { prefix: string; length: number; seconds: number },
	header: { source?: string; hopLimit?: number } = {},
): Uint8Array {
	const body = [64, 0, lifetime >> 8, lifetime & 255, 0, 0, 0, 0, 0, 0, 0, 0];
	if (option) {
		const { prefix, length, seconds } = option;
		body.push(3, 4, length, 0xc0, 0, 0, 0, seconds, 0, 0, 0, 0, 0, 0, 0, 0, ...octets(prefix));
	}
	const { source = gateway.linkLocal, hopLimit = 255 } = header;
	const packet = ipv6({ source, destination: 'ff02::1', hopLimit }, icmpv6(134, Uint8Array.from(body)));
	return ethernet({ source: gateway.mac, destination: '33:33:00:00:00:01' }, packet);
}
