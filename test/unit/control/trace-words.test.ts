/** Frames in words against frames made by other code; and what can't be meant. */
import test from 'ava';
import { Surroundings } from '../../../src/control/trace/surroundings.js';
import { type FrameWords, frameOf } from '../../../src/control/trace/words.js';
import { summarise } from '../../../src/wire/summary.js';
import {
	advertise,
	advertiseToAll,
	announcement,
	arpProbe,
	arpReply,
	arpRequest,
	multicast4,
	multicast6,
	packet4,
	packet6,
	solicit,
	solicitRouters,
} from '../../cases/traffic.js';
import { readable } from '../../helpers/describe.js';
import {
	hopByHop,
	icmpv6,
	igmp,
	octets,
	raw,
	routerAdvertisement,
	sourceLinkLayer,
	text,
	udp,
} from '../../helpers/frames.js';
import { commandsOf } from '../../helpers/pure-port.js';
import { gateway, host, MASTER, standardTopology, vm1, vm2, vm3 } from '../../helpers/world.js';

const around = new Surroundings({
	commands: [...commandsOf(standardTopology()), { kind: 'gateways', addresses: [gateway.ipv4] }],
	edges: new Map([
		['vm1', vm1.edge],
		['vm2', vm2.edge],
		['vm3', vm3.edge],
	]),
});
const router = '00:00:5e:00:53:01';
const neighbour = '00:00:5e:00:53:02';
const data = udp(40000, 9, text('ipvtap trace'));
const laptop = { mac: router, ipv4: '192.0.2.9', ipv6: '2001:db8:1::9', linkLocal: 'fe80::9' };
const away = { ...laptop, mac: neighbour, ipv6: '2001:db8:ffff::1', linkLocal: '2001:db8:ffff::1' };
const onWire = { ...away, ipv4: gateway.ipv4 };
const mldBody = Uint8Array.of(0, 0, 0, 1, 4, 0, 0, 0, ...octets('ff02::fb'));

const made: [string, number, FrameWords, Uint8Array][] = [
	['UDP to a slave', vm1.edge, { to: 'vm2', proto: 'udp' }, packet4(vm1, vm2, {}, data)],
	['a port means UDP', vm1.edge, { to: 'vm2', dport: 9 }, packet4(vm1, vm2, {}, data)],
	['to somebody on the wire', vm1.edge, { to: laptop.ipv4, dport: 9 }, packet4(vm1, laptop, {}, data)],
	['to the host', vm1.edge, { to: 'host', dport: 9 }, packet4(vm1, host, {}, data)],
	['from the host', 1, { to: 'vm1', dport: 9 }, packet4(host, vm1, {}, data)],
	['from the wire', 0, { to: 'vm1', dport: 9 }, packet4(onWire, vm1, { destination: MASTER }, data)],
	['IPv6', vm1.edge, { to: vm2.ipv6, dport: 9 }, packet6(vm1, vm2, {}, data)],
	['IPv6 from the wire', 0, { to: vm1.ipv6, dport: 9 }, packet6(away, vm1, { destination: MASTER }, data)],
	[
		'all otherwise',
		vm1.edge,
		{ to: 'vm2', proto: '47', source: '10.0.0.1', mac: vm2.mac, nextHop: MASTER, ttl: 3 },
		packet4({ ...vm2, ipv4: '10.0.0.1' }, vm2, { destination: MASTER }, raw(47, new Uint8Array(8)), {
			ttl: 3,
		}),
	],
	[
		'broadcast',
		vm1.edge,
		{ to: 'broadcast', dport: 9 },
		multicast4(vm1, '255.255.255.255', {}, data, { ttl: 64 }),
	],
	[
		'a group',
		vm1.edge,
		{ to: '224.0.0.251', dport: 9 },
		multicast4(vm1, '224.0.0.251', {}, data, { ttl: 64 }),
	],
	['ARP', vm1.edge, { to: 'vm2', type: 'arp' }, arpRequest(vm1, vm2.ipv4)],
	['ARP from the wire', 0, { to: 'vm1', type: 'arp' }, arpRequest(onWire, vm1.ipv4)],
	['an ARP reply', vm1.edge, { to: 'vm2', type: 'arp-reply' }, arpReply(vm1, vm2)],
	['an ARP probe', vm3.edge, { to: '192.0.2.50', type: 'arp-probe' }, arpProbe(vm3, '192.0.2.50')],
	['an ARP announcement', vm1.edge, { type: 'arp-announce' }, announcement(vm1)],
	['a solicitation', vm1.edge, { to: vm2.ipv6, type: 'ns' }, solicit(vm1, vm2.ipv6)],
	[
		'duplicate address detection',
		vm3.edge,
		{ to: 'fe80::99', type: 'dad' },
		solicit(vm3, 'fe80::99', {}, { source: '::' }, []),
	],
	[
		'an advertisement',
		vm1.edge,
		{ to: vm2.ipv6, type: 'na' },
		advertise({ ...vm1, linkLocal: vm1.ipv6 }, { ...vm2, linkLocal: vm2.ipv6 }),
	],
	['an announcement by ND', vm1.edge, { type: 'na' }, advertiseToAll({ ...vm1, linkLocal: vm1.ipv6 })],
	['a router solicitation', vm1.edge, { type: 'rs' }, solicitRouters(vm1)],
	[
		'a router advertisement',
		vm1.edge,
		{ type: 'ra' },
		multicast6(vm1, 'ff02::1', {}, routerAdvertisement([sourceLinkLayer(vm1.mac)])),
	],
	[
		'an IGMP report',
		vm1.edge,
		{ to: '224.0.0.251', type: 'igmp' },
		multicast4(vm1, '224.0.0.251', {}, igmp('224.0.0.251'), { options: Uint8Array.of(148, 4, 0, 0) }),
	],
	[
		'an MLD report',
		vm1.edge,
		{ to: 'ff02::fb', type: 'mld' },
		multicast6(vm1, 'ff02::16', {}, icmpv6(143, mldBody), { hopLimit: 1, extensions: [hopByHop] }),
	],
];

for (const [name, from, words, expected] of made) {
	test(`${name}: as other code makes it`, t => {
		t.is(readable(withoutId(frameOf(words, from, around).frame)), readable(withoutId(expected)));
	});
}

test('DHCP is a DISCOVER from nobody, or with a source a renewal', t => {
	const discover = frameOf({ type: 'dhcp' }, vm3.edge, around).frame;
	t.regex(
		summarise(discover),
		/^52:54:00:00:00:13 > ff:ff:ff:ff:ff:ff, IPv4 0\.0\.0\.0 > 255\.255\.255\.255 .* DHCP DISCOVER/,
	);
	const renewal = frameOf({ type: 'dhcp', source: vm1.ipv4, to: gateway.ipv4 }, vm1.edge, around).frame;
	t.regex(summarise(renewal), /IPv4 192\.0\.2\.11 > 192\.0\.2\.1 UDP 68 > 67 DHCP REQUEST/);
});

test('what is made up is said', t => {
	t.deepEqual(frameOf({ to: 'vm2' }, vm1.edge, around).notes, []);
	t.deepEqual(frameOf({ to: laptop.ipv4 }, vm1.edge, around).notes, [
		`the next hop's MAC is assumed to be ${router}: nobody here has 192.0.2.9`,
	]);
	t.is(frameOf({ to: 'vm1' }, 0, around).notes.length, 2);
	t.deepEqual(frameOf({ to: 'vm1', mac: vm2.mac, source: '192.0.2.9' }, 0, around).notes, []);
});

for (const [from, words, code, message] of [
	[vm1.edge, {}, 'usage', /the frame is for nobody/],
	[vm1.edge, { to: 'vm9' }, 'not-found', /no slave is named 'vm9'/],
	[vm1.edge, { to: '10.0.0.0/8' }, 'usage', /is no address/],
	[vm1.edge, { to: 'fe80::1%eth0' }, 'usage', /is no address/],
	[vm1.edge, { to: '010.0.0.1' }, 'usage', /is no address/],
	[vm1.edge, { to: '192.0.2.1', source: '2001:db8::1' }, 'usage', /two families/],
	[vm1.edge, { to: '192.0.2.1', type: 'ns' }, 'usage', /ns is not for '192\.0\.2\.1'/],
	[vm1.edge, { to: 'fe80::1', type: 'arp' }, 'usage', /arp is not for 'fe80::1'/],
	[vm1.edge, { to: '192.0.2.1', type: 'arp', proto: 'udp' }, 'usage', /both given/],
	[vm1.edge, { to: '192.0.2.1', type: 'arp', dport: 1 }, 'usage', /arp has no ports/],
	[vm1.edge, { to: '192.0.2.1', proto: 'icmp', dport: 1 }, 'usage', /icmp has no ports/],
	[vm1.edge, { to: 'fe80::1', type: 'ns', ttl: 1 }, 'usage', /TTL of ns is fixed/],
	[vm1.edge, { to: '192.0.2.1', proto: 'arp' }, 'usage', /no protocol of IP/],
	[vm1.edge, { to: '192.0.2.1', proto: '256' }, 'usage', /no protocol of IP/],
	[vm1.edge, { to: 'vm2', mac: '52:54' }, 'usage', /is no MAC/],
	[vm1.edge, { to: 'vm2', nextHop: 'x' }, 'usage', /is no MAC/],
	[vm3.edge, { to: 'vm1' }, 'usage', /no IPv4 address yet/],
	[vm1.edge, { to: 'vm3' }, 'usage', /vm3 has no IPv4 address/],
] as [number, FrameWords, string, RegExp][]) {
	test(`${JSON.stringify(words)} is refused`, t => {
		const error = t.throws(() => frameOf(words, from, around), { code, message });
		t.truthy((error as { hint?: string } | undefined)?.hint);
	});
}

/** IPv4's identification differs between the two makers, and with it the header's checksum; ND's nonce is an option. */
function withoutId(frame: Uint8Array): Uint8Array {
	if (frame[12] !== 8 || frame[13] !== 0) return frame;
	const copy = frame.slice();
	copy.fill(0, 18, 20);
	copy.fill(0, 24, 26);
	return copy;
}
