/** Random topologies and frames, drawn from small pools so that MACs, addresses and owners meet often. */
import fc from 'fast-check';
import type { Hop } from '../../src/datapath/routing/routing.js';
import {
	advertisement,
	arp,
	destinationOptions,
	ethernet,
	fragmentHeader,
	hopByHop,
	icmp,
	icmpv6,
	igmp,
	igmpReport,
	ipv4,
	ipv6,
	mldMessage,
	mldReportOf,
	type NdOption,
	nonce,
	other,
	type Packet,
	padded,
	patched,
	raw,
	redirect,
	routerAdvertisement,
	routerAlert,
	routerSolicitation,
	routing,
	solicitation,
	sourceLinkLayer,
	targetLinkLayer,
	tcp,
	type Upper,
	udp,
} from '../helpers/frames.js';
import type { Topology } from '../helpers/pure-port.js';

const MASTER = '02:00:00:00:00:aa';
const guestMacs = ['52:54:00:00:00:11', '52:54:00:00:00:12', '52:54:00:00:00:13', '02:00:00:00:00:ab'];
const macs = [
	...guestMacs,
	MASTER,
	'02:00:00:00:00:01',
	'ff:ff:ff:ff:ff:ff',
	'33:33:00:00:00:01',
	'01:00:5e:00:00:fb',
	'01:00:5e:01:02:03',
	'33:33:00:00:00:fb',
];
const unicast4 = [
	'192.0.2.1',
	'192.0.2.2',
	'192.0.2.11',
	'192.0.2.12',
	'192.0.2.13',
	'10.0.0.1',
	'223.255.255.255',
];
const odd4 = [
	'0.0.0.0',
	'127.0.0.1',
	'224.0.0.251',
	'240.0.0.1',
	'255.255.255.255',
	'192.0.2.255',
	'0.0.0.7',
];
const unicast6 = [
	'fe80::1',
	'fe80::aa',
	'fe80::11',
	// Made of the MACs of two guests.
	'fe80::5054:ff:fe00:12',
	'2001:db8:1:0:5054:ff:fe00:13',
	'2001:db8:1::1',
	'2001:db8:1::11',
	'2001:db8:1::12',
	'2001:db8:2::11',
];
const odd6 = ['::', '::1', '::ffff:c000:201', 'ff02::1', 'ff02::1:ff00:11', 'febf::1', 'fec0::1'];

const prefixes = [
	...[
		'0.0.0.0/0',
		'192.0.2.0/24',
		'192.0.2.8/29',
		'192.0.2.12/32',
		'10.0.0.0/8',
		'223.0.0.0/8',
		'192.0.0.0/6',
	],
	...[
		'::/0',
		'2001:db8:1::/64',
		'2001:db8::/32',
		'2001:db8:1::10/124',
		'2001:db8:2::11/128',
		'2001:db8:2::/33',
	],
];

/** Of nobody on the port, so that what is for them is routed. */
const afar4 = ['10.9.9.9', '192.0.2.9', '10.9.9.9', '192.0.2.9'];
const afar6 = ['2001:db8:1::1f', '2001:db8:9::9', '2001:db8:1::1f', '2001:db8:9::9'];

const edges = [2, 3, 4, 700];

/** Everybody who may send: the wire, the host, and each slave. */
export interface Event {
	ingress: number;
	frame: Uint8Array;
	partial: boolean;
}

export interface Scene {
	topology: Topology;
	events: Event[];
}

/** A topology, and frames that arrive on it one after the other. */
export function scenes(maxEvents = 10): fc.Arbitrary<Scene> {
	return topologies().chain(topology =>
		fc.record({
			topology: fc.constant(topology),
			events: fc.array(events(topology), { minLength: 1, maxLength: maxEvents }),
		}),
	);
}

/** Honest unicast from one slave to somebody who has to be reached by a route: the wire most of the time. */
export function routedScenes(): fc.Arbitrary<Scene> {
	const [mac, own4, own6] = [guestMacs[0] as string, '192.0.2.11', '2001:db8:1::11'];
	const known = [...afar4, '192.0.2.1', ...afar6, 'fe80::1', '2001:db8:1::1'];
	const neighbours = [...new Set(known)].map((address, index) => ({
		address,
		mac: `02:00:00:00:01:${10 + index}`,
	}));
	const topology = fc.record({
		master: fc.constant(MASTER),
		host: fc.boolean(),
		flag: fc.constantFrom('bridge' as const, 'private' as const, 'vepa' as const),
		slaves: fc.constant([{ edge: 2, mac, learns: false }]),
		addresses: fc.constant([own4, own6].map(address => ({ address, edge: 2, origin: 'static' as const }))),
		mode: fc.constant('l3' as const),
		routes: fc.uniqueArray(fc.record({ prefix: fc.constantFrom(...prefixes), hop: hops() }), {
			selector: ({ prefix }) => prefix,
			minLength: 6,
			maxLength: prefixes.length,
		}),
		neighbours: fc.subarray(neighbours, { minLength: neighbours.length - 2 }),
		sources: fc.constant({ ipv4: '192.0.2.2', ipv6: '2001:db8:1::2' }),
	});
	const hop = fc.oneof(
		{ weight: 6, arbitrary: fc.nat(255) },
		{ weight: 1, arbitrary: fc.constantFrom(0, 1, 2) },
	);
	const data = fc.nat(200).map(length => new Uint8Array(length).fill(length));
	const four = fc
		.record({
			to: fc.constantFrom(...afar4),
			ttl: hop,
			fragment: fc.constantFrom(0, 0x4000, 0x2000, 0x10),
			data,
		})
		.map(({ to, data: bytes, ...header }) =>
			ipv4({ source: own4, destination: to, ...header }, udp(1, 2, bytes)),
		);
	const six = fc
		.record({ to: fc.constantFrom(...afar6), hopLimit: hop, data })
		.map(({ to, hopLimit, data: bytes }) =>
			ipv6({ source: own6, destination: to, hopLimit }, tcp(1, 2, bytes)),
		);
	const event = fc
		.tuple(fc.oneof(four, six), fc.nat(0xffff))
		.map(([packet, sum]) =>
			ethernet({ source: mac, destination: MASTER }, packet.type === 0x0800 ? spoiled(packet, sum) : packet),
		)
		.map(frame => ({ ingress: 2, frame, partial: false }));
	return fc.record({ topology, events: fc.array(event, { minLength: 1, maxLength: 8 }) });
}

/** Now and then any checksum at all: routing must not make a wrong one right, nor the other way round. */
function spoiled(packet: Packet, sum: number): Packet {
	return sum % 4 > 0 ? packet : { ...packet, bytes: patched(packet.bytes, 10, [sum >> 8, sum & 0xff]) };
}

function topologies(): fc.Arbitrary<Topology> {
	const slaves = fc.subarray(edges).chain(chosen =>
		fc.tuple(
			...chosen.map((edge, index) =>
				fc.record({
					edge: fc.constant(edge),
					mac: fc.constant(guestMacs[index] as string),
					learns: fc.boolean(),
				}),
			),
		),
	);
	const ways = fc.record({
		mode: fc.constantFrom('l2' as const, 'l2' as const, 'l3' as const, 'l3' as const, 'l3s' as const),
		routes: fc.uniqueArray(fc.record({ prefix: fc.constantFrom(...prefixes), hop: hops() }), {
			selector: ({ prefix }) => prefix,
			maxLength: prefixes.length,
		}),
		neighbours: fc
			.subarray([...new Set([...unicast4, ...afar4, ...unicast6, ...afar6])])
			.map(known => known.map((address, index) => ({ address, mac: `02:00:00:00:01:${10 + index}` }))),
		sources: fc.constantFrom({}, { ipv4: '192.0.2.2' }, { ipv4: '192.0.2.2', ipv6: '2001:db8:1::2' }),
	});
	return fc.tuple(slaves, ways).chain(([present, way]) => {
		const owner = fc.constantFrom(1, ...present.flatMap(({ edge }) => [edge, edge]));
		const owned = fc.record({
			address: fc.constantFrom(...unicast4, ...unicast6),
			edge: owner,
			learned: fc.boolean(),
		});
		return fc.record({
			...Object.fromEntries(Object.entries(way).map(([key, value]) => [key, fc.constant(value)])),
			multicastSlave: fc.constantFrom(0, ...present.map(({ edge }) => edge)),
			master: fc.constant(MASTER),
			// l3s is refused without the host.
			host: way.mode === 'l3s' ? fc.constant(true) : fc.boolean(),
			flag: fc.constantFrom('bridge' as const, 'private' as const, 'vepa' as const),
			slaves: fc.constant(present),
			addresses: fc
				.uniqueArray(owned, { selector: ({ address }) => address, minLength: 6, maxLength: 14 })
				.map(list =>
					list.map(({ address, edge, learned }) => ({
						address,
						edge,
						origin: edge === 1 ? ('host' as const) : learned ? ('learned' as const) : ('static' as const),
					})),
				),
			quota: fc.constant({ 4: 2, 6: 3 }),
		});
	});
}

/** MTUs are so small that short frames are too long for them. */
function hops(): fc.Arbitrary<Hop> {
	return fc
		.record({
			to: fc.constantFrom(
				...(['wire', 'wire', 'wire', 'wire', 'host', 'no-route', 'unreachable', 'prohibited'] as const),
				...(['blackhole', 'not-routed'] as const),
			),
			gateway: fc.constantFrom(undefined, undefined, '192.0.2.1', 'fe80::1', '2001:db8:1::1'),
			mtu: fc.constantFrom(undefined, undefined, undefined, 44, 48, 68, 1280),
		})
		.map(({ to, gateway, mtu }) => ({
			to,
			...(gateway === undefined ? {} : { gateway }),
			...(mtu === undefined ? {} : { mtu }),
		}));
}

/** Mostly from who it says it is, to somebody who exists, and whole: lies and damage are for the rest. */
function events({ slaves, addresses }: Topology): fc.Arbitrary<Event> {
	const ingress = fc.constantFrom(0, 0, 1, ...slaves.flatMap(({ edge }) => [edge, edge, edge]));
	return fc
		.record({
			ingress,
			lies: fc.nat(9),
			fromMac: fc.constantFrom(...macs),
			toMac: fc.constantFrom(...macs, MASTER, MASTER),
			partial: fc.nat(9),
		})
		.chain(({ ingress, lies, fromMac, toMac, partial }) => {
			const own = slaves.find(({ edge }) => edge === ingress)?.mac;
			const source = lies > 0 && own ? own : fromMac;
			const owned = addresses.filter(({ edge }) => edge === ingress).map(({ address }) => address);
			return packets(source, owned).chain(packet =>
				damaged(ethernet({ source, destination: toMac }, packet)).map(frame => ({
					ingress,
					frame,
					partial: partial === 0,
				})),
			);
		});
}

function packets(mac: string, owned: readonly string[]): fc.Arbitrary<Packet> {
	const own4 = owned.filter(address => address.includes('.'));
	const own6 = owned.filter(address => address.includes(':'));
	const [from4, to4] = [addressLike(own4, unicast4, odd4), addressLike([], [...unicast4, ...afar4], odd4)];
	const [from6, to6] = [addressLike(own6, unicast6, odd6), addressLike([], [...unicast6, ...afar6], odd6)];
	const anyMac = fc.oneof(
		{ weight: 8, arbitrary: fc.constant(mac) },
		{ weight: 1, arbitrary: fc.constantFrom(...macs) },
	);
	const arps = fc
		.record({
			operation: fc.constantFrom(1, 1, 1, 2, 2, 2, 3),
			senderMac: anyMac,
			sender: from4,
			targetMac: fc.constantFrom(...macs),
			target: to4,
		})
		.map(arp);
	const ipv4s = fc
		.record({
			source: from4,
			destination: to4,
			ttl: fc.constantFrom(64, 64, 64, 2, 1, 0),
			fragment: fc.constantFrom(0, 0, 0, 0x4000, 0x2000, 0x10),
			options: fc.constantFrom(0, 0, 8).map(length => new Uint8Array(length)),
			upper: fc.constantFrom(...uppers4),
		})
		.map(({ upper, ...header }) => ipv4(header, upper));
	const plain6 = fc
		.record({
			source: from6,
			destination: to6,
			hopLimit: fc.constantFrom(64, 64, 64, 2, 1, 0),
			extensions: extensions(),
			upper: fc.constantFrom(...uppers6),
		})
		.map(({ upper, ...header }) => ipv6(header, upper));
	const discovery = fc
		.record({
			source: from6,
			destination: to6,
			hopLimit: fc.constantFrom(255, 255, 255, 255, 255, 255, 64),
			extensions: fc.oneof({ weight: 8, arbitrary: fc.constant([]) }, { weight: 1, arbitrary: extensions() }),
			upper: messages(fc.oneof(from6, to6), anyMac),
		})
		.map(({ upper, ...header }) => ipv6(header, upper));
	const others = fc.constantFrom(0x8100, 0x88a8, 0x88cc, 0x0026).map(type => other(type));
	return fc.oneof(
		{ weight: 5, arbitrary: reports(from4, from6) },
		{ weight: 3, arbitrary: toGroups(from4, from6) },
		{ weight: 6, arbitrary: arps },
		{ weight: 6, arbitrary: ipv4s },
		{ weight: 4, arbitrary: plain6 },
		{ weight: 8, arbitrary: discovery },
		{ weight: 1, arbitrary: others },
	);
}

/** Two that share a MAC, a link-local one, and what is none. */
const groups4 = ['239.1.2.3', '224.129.2.3', '224.0.0.251', '239.255.255.250', '192.0.2.1'];
const groups6 = ['ff02::fb', 'ff05::fb', 'ff02::1:ff00:11', 'ff02::1', 'fe80::1'];

/** What guests say of their groups: whole for the most part, so that something comes of it. */
function reports(from4: fc.Arbitrary<string>, from6: fc.Arbitrary<string>): fc.Arbitrary<Packet> {
	const recordsOf = (groups: readonly string[], source: string) =>
		fc.array(
			fc.record({
				type: fc.constantFrom(1, 2, 2, 3, 3, 4, 4, 5, 6, 7, 0),
				group: fc.constantFrom(...groups),
				sources: fc.constantFrom([], [], [source]),
				auxiliary: fc.constantFrom(0, 0, 0, 4),
			}),
			{ maxLength: 3 },
		);
	const count = fc.constantFrom(0, 0, 0, 0, 1, -1);
	const rarely = <T>(usual: T, unusual: T) => fc.constantFrom(...new Array<T>(9).fill(usual), unusual);
	const igmps = fc
		.record({
			source: fc.oneof(from4, fc.constant('0.0.0.0')),
			ttl: rarely(1, 64),
			options: rarely(routerAlert, new Uint8Array(0)),
			group: fc.constantFrom(...groups4),
			type: fc.constantFrom(0x11, 0x12, 0x16, 0x16, 0x17, 0x17, 0x22, 0x22, 0x22),
			records: recordsOf(groups4, '192.0.2.1'),
			lie: count,
			astray: rarely(false, true),
		})
		.map(({ group, type, records, lie, astray, ...header }) => {
			const to = type === 0x22 ? '224.0.0.22' : type === 0x17 ? '224.0.0.2' : group;
			const upper =
				type === 0x22 ? igmpReport(records, Math.max(0, records.length + lie)) : igmp(group, type);
			return ipv4({ ...header, destination: astray ? '239.9.9.9' : to }, upper);
		});
	const mlds = fc
		.record({
			source: fc.oneof(from6, fc.constant('::')),
			hopLimit: rarely(1, 64),
			extensions: rarely([hopByHop], []),
			group: fc.constantFrom(...groups6),
			type: fc.constantFrom(130, 131, 131, 132, 143, 143, 143),
			records: recordsOf(groups6, '2001:db8:1::1'),
			lie: count,
		})
		.map(({ group, type, records, lie, ...header }) =>
			ipv6(
				{ ...header, destination: type === 143 ? 'ff02::16' : group },
				type === 143 ? mldReportOf(records, Math.max(0, records.length + lie)) : mldMessage(group, type),
			),
		);
	return fc.oneof(igmps, mlds);
}

function toGroups(from4: fc.Arbitrary<string>, from6: fc.Arbitrary<string>): fc.Arbitrary<Packet> {
	return fc.oneof(
		fc
			.tuple(from4, fc.constantFrom(...groups4))
			.map(([source, destination]) => ipv4({ source, destination }, udp())),
		fc
			.tuple(from6, fc.constantFrom(...groups6))
			.map(([source, destination]) => ipv6({ source, destination }, udp())),
	);
}

function addressLike(
	own: readonly string[],
	likely: readonly string[],
	odd: readonly string[],
): fc.Arbitrary<string> {
	const rest = [
		{ weight: 4, arbitrary: fc.constantFrom(...likely) },
		{ weight: 1, arbitrary: fc.constantFrom(...odd) },
	];
	return own.length > 0
		? fc.oneof({ weight: 15, arbitrary: fc.constantFrom(...own) }, ...rest)
		: fc.oneof(...rest);
}

const uppers4 = [
	udp(),
	tcp(),
	icmp(),
	...[3, 5, 11, 12, 19].map(type => icmp(type)),
	igmp('224.0.0.251'),
	udp(68, 67),
	udp(67, 68),
	raw(17),
	raw(47, new Uint8Array(9)),
];
const uppers6 = [
	udp(),
	tcp(),
	icmpv6(128),
	icmpv6(1),
	icmpv6(127),
	icmpv6(143),
	raw(59),
	raw(58),
	raw(58, Uint8Array.of(136)),
	raw(60, new Uint8Array(5)),
];

function extensions() {
	const kinds = [
		hopByHop,
		destinationOptions,
		routing,
		fragmentHeader(0, true),
		fragmentHeader(0, false),
		fragmentHeader(64, true),
	];
	return fc.oneof(
		{ weight: 8, arbitrary: fc.array(fc.constantFrom(...kinds), { maxLength: 3 }) },
		{
			weight: 1,
			arbitrary: fc.array(fc.constantFrom(...kinds.slice(0, 3)), { minLength: 7, maxLength: 10 }),
		},
	);
}

function messages(address: fc.Arbitrary<string>, mac: fc.Arbitrary<string>): fc.Arbitrary<Upper> {
	const option: fc.Arbitrary<NdOption> = fc.oneof(
		{ weight: 6, arbitrary: mac.map(sourceLinkLayer) },
		{ weight: 6, arbitrary: mac.map(targetLinkLayer) },
		{ weight: 4, arbitrary: fc.constant(nonce()) },
		{
			weight: 1,
			arbitrary: fc.constantFrom(
				{ ...nonce(), length: 0 },
				{ ...nonce(), length: 3 },
				{ type: 1, data: new Uint8Array(14) },
			),
		},
	);
	const options = fc.oneof(
		{ weight: 2, arbitrary: fc.array(option, { maxLength: 1 }) },
		{ weight: 1, arbitrary: fc.array(option, { maxLength: 3 }) },
	);
	return fc.oneof(
		{ weight: 4, arbitrary: fc.tuple(address, options).map(([target, list]) => solicitation(target, list)) },
		{ weight: 4, arbitrary: fc.tuple(address, options).map(([target, list]) => advertisement(target, list)) },
		{ weight: 2, arbitrary: options.map(list => routerSolicitation(list)) },
		{ weight: 1, arbitrary: options.map(list => routerAdvertisement(list)) },
		{
			weight: 1,
			arbitrary: fc.tuple(address, options).map(([target, list]) => redirect(target, target, list)),
		},
	);
}

function damaged(frame: Uint8Array): fc.Arbitrary<Uint8Array> {
	const flip = fc
		.tuple(fc.nat(Math.min(frame.length, 110) - 1), fc.nat(255))
		.map(([at, byte]) => patched(frame, at, [byte]));
	return fc.oneof(
		{ weight: 16, arbitrary: fc.constant(frame) },
		{ weight: 1, arbitrary: flip },
		{ weight: 1, arbitrary: fc.nat(frame.length).map(length => frame.slice(0, length)) },
		{ weight: 1, arbitrary: fc.nat(40).map(more => padded(frame, frame.length + more)) },
	);
}
