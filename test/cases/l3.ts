/** Design 5.5: unicast only; slaves and the host as in l2, everything else as the host routes it. */
import { icmp, icmpv6, patched, raw, udp } from '../helpers/frames.js';
import {
	gateway,
	host,
	inner,
	laptop,
	MASTER,
	type Slave,
	type Station,
	server,
	vm1,
	vm2,
	vm3,
	vm4,
} from '../helpers/world.js';
import { type Case, copied, delivered, dropped, ignored } from './case.js';
import { complaint4, complaint6, onward, pieces } from './routed.js';
import {
	advertise,
	advertiseToAll,
	announcement,
	arpProbe,
	arpReply,
	arpRequest,
	detectDuplicate,
	dhcpDiscover,
	multicast4,
	multicast6,
	packet4,
	packet6,
	solicit,
	solicitUnicast,
} from './traffic.js';

const l3 = { mode: 'l3' } as const;
/** Guests have the master's MAC for everybody, because that is what they are answered. */
const viaMaster = { destination: MASTER };

/** Somebody at another address of each family. */
function at(ipv4: string, ipv6: string): Station {
	return { mac: MASTER, ipv4, ipv6, linkLocal: 'fe80::dead' };
}

const unreachable = at('198.51.100.1', '2001:db8:4::1');
const prohibited = at('198.51.100.17', '2001:db8:5::1');
const blackhole = at('198.51.100.33', '2001:db8:6::1');
const narrow = at('100.64.1.9', '2001:db8:2:1::9');
const unknown = at('198.18.0.1', '2001:db8:99::1');

function refused(
	name: string,
	from: Slave,
	frame: Uint8Array,
	reason: 'no-route' | 'unreachable' | 'prohibited' | 'beyond-scope' | 'ttl-exceeded' | 'too-big',
	complaint?: Uint8Array,
	more: Partial<Case> = {},
): Case {
	const out = complaint === undefined ? [] : [{ to: from.name, frame: complaint }];
	return { name, from: from.name, frame, verdict: `refuse: ${reason}`, ...l3, ...more, out };
}

function answered(name: string, from: Case['from'], frame: Uint8Array, answer: Uint8Array): Case {
	return { name, from, frame, verdict: 'answer', ...l3, out: [{ to: from, frame: answer }] };
}

const big = udp(40000, 9, new Uint8Array(700));
const big6 = udp(40000, 9, new Uint8Array(1300));
const toNarrow = packet4(vm1, narrow, viaMaster, big);
const toNarrowDf = packet4(vm1, narrow, viaMaster, big, { fragment: 0x4000 });
const toNarrow6 = packet6(vm1, narrow, viaMaster, big6);
const lastHop = packet4(vm1, server, viaMaster, udp(), { ttl: 1 });
const lastHop6 = packet6(vm2, server, viaMaster, udp(), { hopLimit: 1 });
const scoped = packet6({ ...vm1, ipv6: vm1.linkLocal }, server, viaMaster);
const damaged = (to: Station) => patched(packet4(vm1, to, viaMaster), 24, [0xde, 0xad]);
const asMaster = (station: Station): Station => ({ ...station, mac: MASTER });

const routed: Case[] = [
	delivered(
		'to the LAN',
		'vm1',
		packet4(vm1, laptop, viaMaster),
		'wire',
		onward(packet4(vm1, laptop), laptop.mac),
		l3,
	),
	delivered(
		'to the LAN, IPv6',
		'vm1',
		packet6(vm1, laptop, viaMaster),
		'wire',
		onward(packet6(vm1, laptop), laptop.mac),
		l3,
	),
	delivered(
		'behind the gateway',
		'vm1',
		packet4(vm1, server, viaMaster),
		'wire',
		onward(packet4(vm1, server), gateway.mac),
		l3,
	),
	delivered(
		'behind the gateway, which is known by its link-local address',
		'vm1',
		packet6(vm1, server, viaMaster),
		'wire',
		onward(packet6(vm1, server), gateway.mac),
		l3,
	),
	delivered(
		"whatever MAC the guest thinks it has to send to: the host's routes decide",
		'vm1',
		packet4(vm1, server, { destination: laptop.mac }),
		'wire',
		onward(packet4(vm1, server), gateway.mac),
		l3,
	),
	delivered(
		"another network of the host's",
		'vm1',
		packet4(vm1, inner, viaMaster),
		'host',
		packet4(vm1, inner),
		l3,
	),
	delivered(
		"another network of the host's, IPv6",
		'vm1',
		packet6(vm1, inner, viaMaster),
		'host',
		packet6(vm1, inner),
		l3,
	),
	refused(
		"another network of the host's, which is kept apart",
		vm1,
		packet4(vm1, inner, viaMaster),
		'no-route',
		complaint4(vm1, packet4(vm1, inner), 3, 0),
		{ noHost: true },
	),
	delivered(
		'to a guest: nobody routes that',
		'vm1',
		packet4(vm1, asMaster(vm2)),
		'vm2',
		packet4(vm1, vm2),
		l3,
	),
	delivered('to a guest, IPv6', 'vm1', packet6(vm1, asMaster(vm2)), 'vm2', packet6(vm1, vm2), l3),
	delivered('to the host', 'vm1', packet4(vm1, host), 'host', packet4(vm1, host), l3),
	delivered('to the host, IPv6', 'vm1', packet6(vm1, host), 'host', packet6(vm1, host), l3),
	delivered(
		'with a hop limit of 1 to a guest: it is one hop away',
		'vm1',
		packet4(vm1, asMaster(vm2), {}, udp(), { ttl: 1 }),
		'vm2',
		packet4(vm1, vm2, {}, udp(), { ttl: 1 }),
		l3,
	),
	dropped('to oneself', 'vm1', packet4(vm1, asMaster(vm1)), 'own-address', l3),
	dropped('private: to a guest', 'vm1', packet4(vm1, asMaster(vm2)), 'private', { ...l3, flag: 'private' }),
	delivered(
		'vepa: to a guest by way of the relay, whose MAC is ours',
		'vm1',
		packet4(vm1, asMaster(vm2)),
		'wire',
		onward(packet4(vm1, vm2), MASTER),
		{ ...l3, flag: 'vepa' },
	),
	delivered(
		'vepa: what the relay brings back',
		'wire',
		packet4(vm1, vm2, { source: MASTER, destination: MASTER }),
		'vm2',
		packet4(vm1, vm2, { source: MASTER }),
		{ ...l3, flag: 'vepa' },
	),
	{
		name: 'the first packet claims its source',
		from: 'vm3',
		frame: packet4(vm3, laptop, viaMaster),
		verdict: 'claim',
		...l3,
		out: [{ to: 'wire', frame: onward(packet4(vm3, laptop), laptop.mac) }],
	},
	dropped(
		"with another's source",
		'vm1',
		packet4({ ...vm1, ipv4: vm2.ipv4 }, server, viaMaster),
		'ip-spoof',
		l3,
	),
	dropped('with a damaged header', 'vm1', damaged(server), 'bad-checksum', l3),
	dropped('with a damaged header, to where there is no route', 'vm1', damaged(unknown), 'bad-checksum', l3),
	delivered(
		"with a damaged header, to another guest: nobody routes that, and it is the receiver's to refuse",
		'vm1',
		damaged(asMaster(vm2)),
		'vm2',
		patched(packet4(vm1, vm2), 24, [0xde, 0xad]),
		l3,
	),
	dropped('to a loopback address of the host', 'vm1', packet4(vm1, blackhole, viaMaster), 'blackhole', l3),
	dropped('to a blackhole, IPv6', 'vm1', packet6(vm1, blackhole, viaMaster), 'blackhole', l3),
	dropped(
		"to a subnet's broadcast address by a unicast MAC",
		'vm1',
		packet4(vm1, at('192.0.2.255', '::'), viaMaster),
		'not-routed',
		l3,
	),
	{
		name: 'too long, and may be cut',
		from: 'vm1',
		frame: toNarrow,
		verdict: 'fragment',
		...l3,
		out: pieces(toNarrow, 600, gateway.mac).map(frame => ({ to: 'wire', frame })),
	},
];

const refusals: Case[] = [
	refused(
		'no route',
		vm1,
		packet4(vm1, unknown, viaMaster),
		'no-route',
		complaint4(vm1, packet4(vm1, unknown), 3, 0),
	),
	refused(
		'no route, IPv6',
		vm2,
		packet6(vm2, unknown, viaMaster),
		'no-route',
		complaint6(vm2, packet6(vm2, unknown), 1, 0),
	),
	refused(
		'unreachable',
		vm2,
		packet4(vm2, unreachable, viaMaster),
		'unreachable',
		complaint4(vm2, packet4(vm2, unreachable), 3, 1),
	),
	refused(
		'unreachable, IPv6: no route, as the kernel says',
		vm4,
		packet6(vm4, unreachable, viaMaster),
		'no-route',
		complaint6(vm4, packet6(vm4, unreachable), 1, 0),
	),
	refused(
		'prohibited',
		vm4,
		packet4(vm4, prohibited, viaMaster),
		'prohibited',
		complaint4(vm4, packet4(vm4, prohibited), 3, 13),
	),
	refused(
		'prohibited, IPv6',
		vm1,
		packet6(vm1, prohibited, viaMaster),
		'prohibited',
		complaint6(vm1, packet6(vm1, prohibited), 1, 1),
	),
	refused('the last hop', vm1, lastHop, 'ttl-exceeded', complaint4(vm1, lastHop, 11, 0)),
	refused('the last hop, IPv6', vm2, lastHop6, 'ttl-exceeded', complaint6(vm2, lastHop6, 3, 0)),
	refused('too long, and not to be cut', vm1, toNarrowDf, 'too-big', complaint4(vm1, toNarrowDf, 3, 4, 600)),
	refused('too long, IPv6', vm1, toNarrow6, 'too-big', complaint6(vm1, toNarrow6, 2, 0, 1280)),
	refused(
		'from a link-local address to afar',
		vm1,
		scoped,
		'beyond-scope',
		complaint6(vm1, scoped, 1, 2, 0, vm1.linkLocal),
	),
	refused('no errors about errors', vm1, packet4(vm1, unknown, viaMaster, icmp(3)), 'no-route'),
	refused('no errors about errors, IPv6', vm1, packet6(vm1, unknown, viaMaster, icmpv6(1)), 'no-route'),
	refused(
		'errors about questions',
		vm4,
		packet4(vm4, unknown, viaMaster, icmp()),
		'no-route',
		complaint4(vm4, packet4(vm4, unknown, {}, icmp()), 3, 0),
	),
	refused(
		'no errors about fragments behind the first',
		vm1,
		packet4(vm1, unknown, viaMaster, raw(17, new Uint8Array(16)), { fragment: 0x2002 }),
		'no-route',
	),
];

const questions: Case[] = [
	answered('ARP for the gateway', 'vm1', arpRequest(vm1, gateway.ipv4), arpReply(asMaster(gateway), vm1)),
	answered('ARP for a guest', 'vm1', arpRequest(vm1, vm2.ipv4), arpReply(asMaster(vm2), vm1)),
	answered('ARP for the host', 'vm1', arpRequest(vm1, host.ipv4), arpReply(host, vm1)),
	answered('ARP for somebody anywhere', 'vm1', arpRequest(vm1, server.ipv4), arpReply(asMaster(server), vm1)),
	answered(
		"a probe for another guest's address: it is taken",
		'vm3',
		arpProbe(vm3, vm1.ipv4),
		arpReply(asMaster(vm1), { ...vm3, ipv4: '0.0.0.0' }),
	),
	answered(
		'NS for the gateway',
		'vm1',
		solicit(vm1, gateway.ipv6),
		advertise(asMaster(gateway), vm1, gateway.ipv6, {}, { source: gateway.ipv6 }),
	),
	answered(
		'NS for a guest, in unicast',
		'vm1',
		solicitUnicast(vm1, asMaster(vm2)),
		advertise(asMaster(vm2), vm1),
	),
	dropped("a probe for one's own address is not answered", 'vm1', arpProbe(vm1, vm1.ipv4), 'not-routed', l3),
	dropped('an announcement goes nowhere', 'vm1', announcement(vm1), 'not-routed', l3),
	dropped('a reply goes nowhere, as nobody asked', 'vm1', arpReply(vm1, vm2), 'not-routed', l3),
	dropped("detection of one's own duplicate", 'vm1', detectDuplicate(vm1, vm1.ipv6), 'not-routed', l3),
	{
		name: 'an advertisement to all is noted',
		from: 'vm1',
		frame: advertiseToAll(vm1),
		verdict: 'refresh',
		...l3,
	},
	{
		name: 'an advertisement to the gateway is noted',
		from: 'vm1',
		frame: advertise(vm1, gateway),
		verdict: 'refresh',
		...l3,
	},
	{
		name: 'a probe for a free address claims it, and is not answered',
		from: 'vm3',
		frame: arpProbe(vm3, vm3.ipv4),
		verdict: 'claim',
		...l3,
	},
	{
		name: 'detection of a duplicate of a free address claims it',
		from: 'vm3',
		frame: detectDuplicate(vm3, vm3.ipv6),
		verdict: 'claim',
		...l3,
	},
	answered(
		"the LAN's ARP for a guest",
		'wire',
		arpRequest(gateway, vm1.ipv4),
		arpReply(asMaster(vm1), gateway),
	),
	answered(
		"the LAN's ARP for a guest, in unicast",
		'wire',
		arpRequest(gateway, vm1.ipv4, viaMaster),
		arpReply(asMaster(vm1), gateway),
	),
	answered(
		"somebody's probe for a guest's address",
		'wire',
		arpProbe(laptop, vm1.ipv4),
		arpReply(asMaster(vm1), { ...laptop, ipv4: '0.0.0.0' }),
	),
	answered(
		"the LAN's NS for a guest",
		'wire',
		solicit(gateway, vm1.ipv6),
		advertise(asMaster(vm1), gateway, vm1.ipv6, {}, { source: vm1.ipv6 }),
	),
	ignored("the LAN's ARP for the host", arpRequest(gateway, host.ipv4), l3),
	ignored(
		"the LAN's NS for a guest's link-local address, which is another link's",
		solicit(gateway, vm1.linkLocal),
		l3,
	),
	dropped('our own question, reflected', 'wire', arpRequest(host, vm1.ipv4), 'reflected', l3),
	{
		name: "somebody announces a guest's address: it is reported",
		from: 'wire',
		frame: announcement({ ...laptop, ipv4: vm1.ipv4 }),
		verdict: 'conflict',
		...l3,
	},
	{
		name: "somebody advertises a guest's address: it is reported",
		from: 'wire',
		frame: advertiseToAll(laptop, vm1.ipv6),
		verdict: 'fan out',
		...l3,
	},
	dropped(
		"somebody's reply to a guest, which asked nothing",
		'wire',
		arpReply(gateway, vm1, viaMaster),
		'not-routed',
		l3,
	),
];

const groups: Case[] = [
	dropped('multicast', 'vm1', multicast4(vm1, '224.0.0.251'), 'not-routed', l3),
	dropped('multicast, IPv6', 'vm1', multicast6(vm1, 'ff02::fb'), 'not-routed', l3),
	dropped('broadcast', 'vm1', multicast4(vm1, '255.255.255.255'), 'not-routed', l3),
	dropped('a DHCP client finds no server', 'vm4', dhcpDiscover(vm4), 'not-routed', l3),
	...[l3, { mode: 'l3s' } as const].flatMap(mode => [
		dropped(
			`nor speaks to one that it knows, in whoever's name: ${mode.mode}`,
			'vm1',
			packet4(vm1, gateway, {}, udp(68, 67, new Uint8Array(240))),
			'not-routed',
			mode,
		),
		dropped(
			`the same, DHCPv6: ${mode.mode}`,
			'vm1',
			packet6(vm1, gateway, {}, udp(546, 547, Uint8Array.of(8, 0, 0, 1))),
			'not-routed',
			mode,
		),
	]),
	ignored("the LAN's multicast is the host's", multicast4(gateway, '224.0.0.251'), l3),
	ignored("the LAN's multicast is the host's, IPv6", multicast6(gateway, 'ff02::fb'), l3),
	dropped("the host's multicast", 'host', multicast6(host, 'ff02::fb'), 'not-routed', l3),
	copied('multicast for who is nominated', 'wire', multicast4(gateway, '224.0.0.251'), ['vm2'], undefined, {
		...l3,
		multicastSlave: 'vm2',
	}),
	copied(
		"the host's multicast for who is nominated",
		'host',
		multicast6(host, 'ff02::fb'),
		['vm2'],
		undefined,
		{ ...l3, multicastSlave: 'vm2' },
	),
	dropped('who is nominated may hear, not speak', 'vm2', multicast4(vm2, '224.0.0.251'), 'not-routed', {
		...l3,
		multicastSlave: 'vm2',
	}),
];

const inwards: Case[] = [
	delivered('from the LAN', 'wire', packet4(laptop, vm1, viaMaster), 'vm1', packet4(laptop, vm1), l3),
	delivered('from the LAN, IPv6', 'wire', packet6(laptop, vm1, viaMaster), 'vm1', packet6(laptop, vm1), l3),
	ignored('from the LAN, for the host', packet4(laptop, host), l3),
	delivered('from the host', 'host', packet4(host, vm1), 'vm1', packet4(host, vm1), l3),
	delivered("from the host's other networks", 'host', packet6(inner, vm1), 'vm1', packet6(inner, vm1), l3),
];

export const l3Cases: Case[] = [...routed, ...refusals, ...questions, ...groups, ...inwards];
