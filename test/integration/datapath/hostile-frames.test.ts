/** Every kind of frame that an evil guest may send: it goes where it may go, or is counted under its reason. */
import test from 'ava';
import { books, follow, sum } from './accounting.js';
import {
	arp,
	broadcastMac,
	ethernet,
	extension,
	fragment,
	icmpEcho,
	icmpv6,
	ipv4,
	ipv6,
	neighbour,
	routerAdvertisement,
	tagged,
	tcp,
	udp,
} from './frames.js';
import { far, type Guest, host, Site } from './site.js';

let site: Site;
let evil: Guest;
let victim: Guest;

test.before(async () => {
	site = await Site.create('hostile');
	evil = await site.guest('evil', 11);
	victim = await site.guest('victim', 12);
	// The victim's link-local address is its own from its first use.
	victim.end.send(v6({ source: victimLinkLocal, destination: far.ipv6 }, new Uint8Array(8), victim.mac));
	site.far.receiveUntil(({ frame }) => frame.readUInt16BE(12) === 0x86dd && frame[20] === 17);
});

test.after.always(() => site?.close());

const victimLinkLocal = 'fe80::12';
const evilLinkLocal = 'fe80::11';
/** Where a frame ends up, or why it doesn't. */
type Fate = 'refused' | 'unseen' | 'wire' | 'victim' | 'wire victim' | 'nowhere' | { drop: string };
type Case = [name: string, frame: () => Buffer, fate: Fate | Fate[]];

const malformed: Fate = { drop: 'malformed' };
const ipSpoof: Fate = { drop: 'ip-spoof' };
const ethertype: Fate = { drop: 'ethertype' };
const vlan: Fate = { drop: 'vlan' };
const hidden: Fate = { drop: 'nd-hidden' };

const v4 = (
	fields: Partial<Parameters<typeof ipv4>[0]> = {},
	payload?: Uint8Array,
	to: string = far.mac,
): Buffer =>
	ethernet(to, evil.mac, 0x0800, ipv4({ source: evil.ipv4, destination: far.ipv4, ...fields }, payload));
const v6 = (
	fields: Partial<Parameters<typeof ipv6>[0]> = {},
	payload?: Uint8Array,
	from: string = evil.mac,
	to: string = far.mac,
): Buffer =>
	ethernet(to, from, 0x86dd, ipv6({ source: evil.ipv6, destination: far.ipv6, ...fields }, payload));
const arpFrame = (fields: Partial<Parameters<typeof arp>[0]>, to = broadcastMac): Buffer =>
	ethernet(
		to,
		evil.mac,
		0x0806,
		arp({ operation: 1, senderMac: evil.mac, sender: evil.ipv4, target: far.ipv4, ...fields }),
	);
const nd = (type: number, source: string, destination: string, body: Buffer, to: string): Buffer =>
	v6(
		{ source, destination, next: 58, hopLimit: 255 },
		icmpv6([source, destination], type, 0, body),
		evil.mac,
		to,
	);
const allNodes = 'ff02::1';
const allNodesMac = '33:33:00:00:00:01';
/** An ICMPv6 message behind extension headers of the given types, the first nearest to the IPv6 header. */
const behind = (types: readonly number[], type: number, body: Buffer): Buffer => {
	let packet: Buffer = icmpv6([evilLinkLocal, allNodes], type, 0, body);
	let next = 58;
	for (const header of [...types].reverse()) {
		packet = Buffer.concat([header === 44 ? fragment(next) : extension(next), packet]);
		next = header;
	}
	return v6(
		{ source: evilLinkLocal, destination: allNodes, next, hopLimit: 255 },
		packet,
		evil.mac,
		allNodesMac,
	);
};
const ra = (): Buffer => routerAdvertisement(evil.mac);
const echo6 = Buffer.from([0, 1, 0, 1]);

const groups: Record<string, () => Case[]> = {
	lengths: () => [
		...range(0, 13).map((length): Case => [`${length} bytes`, () => v4().subarray(0, length), 'refused']),
		...range(14, 33).map(
			(length): Case => [`${length} bytes of IPv4`, () => v4().subarray(0, length), malformed],
		),
		['a header and nothing else', () => v4({}, new Uint8Array()), 'wire'],
		['60 bytes, padded', () => Buffer.concat([v4(), Buffer.alloc(18)]), 'wire'],
		['64 bytes', () => v4({}, new Uint8Array(30)), 'wire'],
		['the MTU', () => v4({}, udp(1, 2, Buffer.alloc(1472))), 'wire'],
		['the MTU and one more', () => v4({}, udp(1, 2, Buffer.alloc(1473))), { drop: 'too-big' }],
		[
			'the MTU and one more, to a neighbour',
			() => v4({ destination: victim.ipv4 }, udp(1, 2, Buffer.alloc(1473)), victim.mac),
			{ drop: 'too-big' },
		],
		[
			'the MTU and one more, to everybody',
			() => v4({ destination: '255.255.255.255' }, udp(1, 2, Buffer.alloc(1473)), broadcastMac),
			['nowhere', { drop: 'too-big' }],
		],
		['a slot and a bit', () => v4({}, udp(1, 2, Buffer.alloc(2100))), { drop: 'too-big' }],
		['65535 bytes of IP', () => v4({}, udp(1, 2, Buffer.alloc(65507))), { drop: 'too-big' }],
		[
			'65550 bytes',
			() => Buffer.concat([v4({}, udp(1, 2, Buffer.alloc(65507))), Buffer.alloc(1)]),
			['refused', { drop: 'too-big' }],
		],
	],
	'truncated at every byte': () => [
		...range(34, 53).map(
			(length): Case => [
				`${length} bytes of IPv4 and TCP`,
				() => v4({ protocol: 6 }, tcp(1, 2, Buffer.alloc(0))).subarray(0, length),
				malformed,
			],
		),
		...range(34, 41).map(
			(length): Case => [
				`${length} bytes of IPv4 and UDP`,
				() => v4({}, udp(1, 2, Buffer.alloc(0))).subarray(0, length),
				malformed,
			],
		),
		...range(14, 61).map(
			(length): Case => [`${length} bytes of IPv6 and UDP`, () => v6().subarray(0, length), malformed],
		),
		...range(14, 41).map(
			(length): Case => [`${length} bytes of ARP`, () => arpFrame({}).subarray(0, length), malformed],
		),
		...range(0, 19).map(
			(length): Case => [
				`${length} bytes of TCP in an honest packet`,
				() => v4({ protocol: 6 }, tcp(1, 2, Buffer.alloc(0)).subarray(0, length)),
				'wire',
			],
		),
		...range(1, 31).map(
			(length): Case => [
				`${length} bytes of a neighbour advertisement in an honest packet`,
				() => {
					const whole = icmpv6(
						[evil.ipv6, far.ipv6],
						136,
						0,
						neighbour(0x60000000, evil.ipv6, { type: 2, mac: evil.mac }),
					);
					return v6({ next: 58, hopLimit: 255 }, whole.subarray(0, length));
				},
				length === 24 ? 'wire' : malformed,
			],
		),
	],
	'IPv4 headers': () => [
		...range(0, 4).map((ihl): Case => [`IHL ${ihl}`, () => v4({ versionIhl: 0x40 | ihl }), malformed]),
		['IHL past the end', () => v4({ versionIhl: 0x4f }), malformed],
		['total length 0', () => v4({ totalLength: 0 }), malformed],
		['total length shorter than the header', () => v4({ totalLength: 19 }), malformed],
		['total length past the end', () => v4({ totalLength: 1000 }), malformed],
		['total length before the end', () => v4({ totalLength: 20 }), 'wire'],
		['options', () => v4({ options: Buffer.from([1, 1, 1, 1]) }), 'wire'],
		['a loose source route', () => v4({ options: Buffer.from([131, 7, 4, 192, 0, 2, 12, 0]) }), 'wire'],
		['version 5', () => v4({ versionIhl: 0x55 }), malformed],
		['version 6 as IPv4', () => v4({ versionIhl: 0x65 }), malformed],
		['a wrong checksum', () => v4({ checksum: 0x1234 }), 'wire'],
		['TTL 0', () => v4({ ttl: 0 }), 'wire'],
		['TTL 1', () => v4({ ttl: 1 }), 'wire'],
		['a first fragment', () => v4({ fragment: 0x2000 }), 'wire'],
		['a middle fragment', () => v4({ fragment: 0x2010 }), 'wire'],
		['a tiny fragment', () => v4({ fragment: 0x2000, protocol: 6 }, new Uint8Array(8)), 'wire'],
		['an overlapping fragment', () => v4({ fragment: 0x0001, protocol: 6 }), 'wire'],
		['the end of a packet of 65536 bytes and more', () => v4({ fragment: 0x1fff }), 'wire'],
	],
	'IPv6 headers': () => [
		[
			'version 4 as IPv6',
			() => {
				const frame = v6();
				frame[14] = 0x45;
				return frame;
			},
			malformed,
		],
		['payload length past the end', () => v6({ payloadLength: 9 }), malformed],
		['payload length before the end', () => v6({ payloadLength: 4 }), 'wire'],
		['no payload at all', () => v6({ next: 59 }, new Uint8Array()), 'wire'],
		[
			'a jumbogram',
			() => v6({ next: 0, payloadLength: 0 }, Buffer.from([17, 0, 0xc2, 4, 0, 1, 0, 0])),
			malformed,
		],
		['hop-by-hop', () => v6({ next: 0 }, extension(59)), 'wire'],
		['a routing header', () => v6({ next: 43 }, Buffer.from([59, 0, 0, 0, 0, 0, 0, 0])), 'wire'],
		['destination options', () => v6({ next: 60 }, extension(59)), 'wire'],
		['ESP', () => v6({ next: 50 }), 'wire'],
		['AH', () => v6({ next: 51 }, Buffer.from([59, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1])), 'wire'],
		['eight options in front of an echo', () => behind(Array(8).fill(60), 128, echo6), 'wire victim'],
		[
			'nine options in front of an echo',
			() => behind(Array(9).fill(60), 128, echo6),
			['wire victim', hidden],
		],
		['ICMPv6 of no bytes', () => v6({ next: 58 }, new Uint8Array()), malformed],
		['ICMPv6 of one byte', () => v6({ next: 58 }, Buffer.from([128])), 'wire'],
		['a solicitation of one byte', () => v6({ next: 58 }, Buffer.from([135])), malformed],
		['hop limit 0', () => v6({ hopLimit: 0 }), 'wire'],
	],
	'neighbour discovery in disguise': () => [
		['a router advertisement', () => behind([], 134, ra()), { drop: 'router-guard' }],
		...[1, 2, 7, 8, 9, 12, 40].map(
			(depth): Case => [
				`one behind ${depth} destination options`,
				() => behind(Array(depth).fill(60), 134, ra()),
				hidden,
			],
		),
		['one behind hop-by-hop', () => behind([0], 134, ra()), hidden],
		['one behind a routing header', () => behind([43], 134, ra()), hidden],
		['one in an atomic fragment', () => behind([44], 134, ra()), hidden],
		['one behind options in an atomic fragment', () => behind([44, 60], 134, ra()), hidden],
		['one in a fragment behind options', () => behind([60, 44], 134, ra()), hidden],
		[
			'a later fragment that only looks like one',
			() =>
				v6(
					{ source: evilLinkLocal, destination: allNodes, next: 44, hopLimit: 255 },
					Buffer.concat([fragment(58, 0x05a8), Buffer.alloc(64, 134)]),
					evil.mac,
					allNodesMac,
				),
			'wire victim',
		],
		[
			'a first fragment that ends before its headers do',
			() =>
				v6(
					{ source: evilLinkLocal, destination: allNodes, next: 44, hopLimit: 255 },
					Buffer.concat([fragment(60, 1), Buffer.from([58, 1, 1, 12])]),
					evil.mac,
					allNodesMac,
				),
			hidden,
		],
		['one in a fragment in a fragment', () => behind([44, 44], 134, ra()), hidden],
		[
			'an advertisement of the victim behind options',
			() => behind([60], 136, neighbour(0x20000000, victim.ipv6, { type: 2, mac: evil.mac })),
			hidden,
		],
		[
			'an advertisement with hop limit 254',
			() => v6({ next: 58, hopLimit: 254 }, icmpv6([evil.ipv6, far.ipv6], 136, 0, neighbour(0, evil.ipv6))),
			malformed,
		],
		[
			'an option of length 0',
			() =>
				v6(
					{ next: 58, hopLimit: 255 },
					icmpv6([evil.ipv6, far.ipv6], 136, 0, Buffer.concat([neighbour(0, evil.ipv6), Buffer.alloc(8)])),
				),
			malformed,
		],
	],
	ethertypes: () => [
		['a spanning tree frame', () => ethernet('01:80:c2:00:00:00', evil.mac, 38, Buffer.alloc(38)), ethertype],
		...[
			0,
			46,
			1500,
			1501,
			0x0600,
			0x8035,
			0x8100 - 1,
			0x8808,
			0x8847,
			0x8864,
			0x88cc,
			0x88e5,
			0x9000,
			0xffff,
		].map(
			(type): Case => [
				`0x${type.toString(16)}`,
				() => ethernet(far.mac, evil.mac, type, Buffer.alloc(46)),
				ethertype,
			],
		),
		[
			'pause',
			() => ethernet('01:80:c2:00:00:01', evil.mac, 0x8808, Buffer.from([0, 1, 255, 255])),
			ethertype,
		],
	],
	'VLAN tags': () => [
		['802.1Q', () => tagged(v4(), 5), vlan],
		['802.1ad', () => tagged(v4(), 5, 0x88a8), vlan],
		['QinQ', () => tagged(tagged(v4(), 5), 6, 0x88a8), vlan],
		['a priority tag', () => tagged(v4(), 0x6000), vlan],
		['no tag at all in one', () => tagged(v4(), 0), vlan],
		['old QinQ', () => tagged(v4(), 5, 0x9100), [vlan, ethertype]],
		['a tag to the victim', () => tagged(v4({ destination: victim.ipv4 }, undefined, victim.mac), 5), vlan],
		['a truncated tag', () => tagged(v4(), 5).subarray(0, 16), ['unseen', vlan, malformed]],
	],
	MACs: () => [
		[
			"the victim's as the source",
			() => ethernet(far.mac, victim.mac, 0x0800, ipv4({ source: evil.ipv4, destination: far.ipv4 })),
			{ drop: 'mac-spoof' },
		],
		[
			"the master's as the source",
			() => ethernet(far.mac, host.mac, 0x0800, ipv4({ source: evil.ipv4, destination: far.ipv4 })),
			{ drop: 'mac-spoof' },
		],
		...[broadcastMac, '01:00:5e:00:00:01', '00:00:00:00:00:00'].map(
			(mac): Case => [
				`${mac} as the source`,
				() => ethernet(far.mac, mac, 0x0800, ipv4({ source: evil.ipv4, destination: far.ipv4 })),
				{ drop: 'mac-spoof' },
			],
		),
		['its own as the destination', () => v4({}, undefined, evil.mac), 'wire'],
		['one that nobody has as the destination', () => v4({}, undefined, '02:99:99:99:99:99'), 'wire'],
		["the victim's, with an address of the wire", () => v4({}, undefined, victim.mac), 'wire'],
		["somebody else's, with the victim's address", () => v4({ destination: victim.ipv4 }), 'victim'],
	],
	addresses: () => [
		['IPv4 of the victim', () => v4({ source: victim.ipv4 }), ipSpoof],
		['IPv4 of the host', () => v4({ source: host.ipv4 }), ipSpoof],
		['IPv4 of the wire', () => v4({ source: far.ipv4, destination: victim.ipv4 }), ipSpoof],
		...['0.0.0.0', '127.0.0.1', '224.0.0.1', '255.255.255.255', '240.0.0.1'].map(
			(source): Case => [`IPv4 ${source}`, () => v4({ source }), ipSpoof],
		),
		[
			'IPv4 0.0.0.0 to everybody, but not DHCP',
			() =>
				v4({ source: '0.0.0.0', destination: '255.255.255.255' }, udp(67, 68, Buffer.alloc(8)), broadcastMac),
			ipSpoof,
		],
		[
			'IPv4 0.0.0.0 to everybody, a later fragment',
			() =>
				v4(
					{ source: '0.0.0.0', destination: '255.255.255.255', fragment: 1 },
					udp(68, 67, Buffer.alloc(8)),
					broadcastMac,
				),
			ipSpoof,
		],
		[
			'DHCP from nobody',
			() =>
				v4(
					{ source: '0.0.0.0', destination: '255.255.255.255' },
					udp(68, 67, Buffer.alloc(240)),
					broadcastMac,
				),
			'wire victim',
		],
		[
			'the victim as the source of a broadcast',
			() => v4({ source: victim.ipv4, destination: '255.255.255.255' }, undefined, broadcastMac),
			ipSpoof,
		],
		[
			'the victim as the source of a multicast',
			() => v4({ source: victim.ipv4, destination: '224.0.0.251' }, undefined, '01:00:5e:00:00:fb'),
			ipSpoof,
		],
		['IPv6 of the victim', () => v6({ source: victim.ipv6 }), ipSpoof],
		['IPv6 of the host', () => v6({ source: host.ipv6 }), ipSpoof],
		['IPv6 of the wire', () => v6({ source: far.ipv6, destination: victim.ipv6 }), ipSpoof],
		["the victim's link-local address", () => v6({ source: victimLinkLocal }), ipSpoof],
		...['::', '::1', 'ff02::1', '::ffff:192.0.2.12'].map(
			(source): Case => [`IPv6 ${source}`, () => v6({ source }), ipSpoof],
		),
		[
			'IPv6 from nobody, an echo to everybody',
			() =>
				v6(
					{ source: '::', destination: allNodes, next: 58 },
					icmpv6(['::', allNodes], 128, 0, echo6),
					evil.mac,
					allNodesMac,
				),
			ipSpoof,
		],
		['its own address as the destination', () => v4({ destination: evil.ipv4 }), { drop: 'own-address' }],
		['169.254.169.254', () => v4({ destination: '169.254.169.254' }), 'wire'],
		[
			'an ICMP redirect to the victim',
			() => v4({ destination: victim.ipv4, protocol: 1 }, Buffer.from([5, 1, 0, 0, 192, 0, 2, 11])),
			'victim',
		],
		['an echo to the wire', () => v4({ protocol: 1 }, icmpEcho()), 'wire'],
	],
	ARP: () => [
		['a request', () => arpFrame({}), 'wire'],
		["a request for the victim's address", () => arpFrame({ target: victim.ipv4 }), 'victim'],
		["another's sender MAC", () => arpFrame({ senderMac: victim.mac }), { drop: 'arp-spoof' }],
		[
			'its own for all, sender MAC broadcast',
			() => arpFrame({ senderMac: broadcastMac }),
			{ drop: 'arp-spoof' },
		],
		['gratuitous for the wire', () => arpFrame({ sender: far.ipv4 }), { drop: 'arp-spoof' }],
		[
			'gratuitous for the victim',
			() => arpFrame({ sender: victim.ipv4, target: victim.ipv4 }),
			{ drop: 'arp-spoof' },
		],
		[
			'gratuitous for the host',
			() => arpFrame({ sender: host.ipv4, target: host.ipv4 }),
			{ drop: 'arp-spoof' },
		],
		[
			'a reply to the victim that the gateway is here',
			() =>
				arpFrame({ operation: 2, sender: far.ipv4, target: victim.ipv4, targetMac: victim.mac }, victim.mac),
			{ drop: 'arp-spoof' },
		],
		[
			'a reply from 0.0.0.0',
			() => arpFrame({ operation: 2, sender: '0.0.0.0', target: victim.ipv4 }),
			{ drop: 'arp-spoof' },
		],
		[
			'a probe for an address of nobody',
			() => arpFrame({ sender: '0.0.0.0', target: '192.0.2.77' }),
			{ drop: 'arp-spoof' },
		],
		["a probe for the victim's", () => arpFrame({ sender: '0.0.0.0', target: victim.ipv4 }), 'victim'],
		['an announcement of its own', () => arpFrame({ target: evil.ipv4 }), 'wire'],
		['operation 3', () => arpFrame({ operation: 3 }), malformed],
		['operation 0', () => arpFrame({ operation: 0 }), malformed],
		[
			'for Token Ring',
			() => {
				const frame = arpFrame({});
				frame[15] = 6;
				return frame;
			},
			malformed,
		],
		[
			'with MACs of 8 bytes',
			() => {
				const frame = arpFrame({});
				frame[18] = 8;
				return frame;
			},
			malformed,
		],
		['padded', () => Buffer.concat([arpFrame({}), Buffer.alloc(18)]), 'wire'],
	],
	'neighbour discovery': () => [
		[
			'a redirect',
			() => nd(137, evil.ipv6, victim.ipv6, Buffer.alloc(36), victim.mac),
			{ drop: 'router-guard' },
		],
		[
			'an advertisement of the victim to everybody',
			() =>
				nd(
					136,
					evil.ipv6,
					allNodes,
					neighbour(0x20000000, victim.ipv6, { type: 2, mac: evil.mac }),
					allNodesMac,
				),
			{ drop: 'nd-spoof' },
		],
		[
			'an advertisement of the wire to the victim',
			() =>
				nd(
					136,
					evil.ipv6,
					victim.ipv6,
					neighbour(0x20000000, far.ipv6, { type: 2, mac: evil.mac }),
					victim.mac,
				),
			{ drop: 'nd-spoof' },
		],
		[
			'an advertisement of the host',
			() =>
				nd(
					136,
					evil.ipv6,
					allNodes,
					neighbour(0x20000000, host.ipv6, { type: 2, mac: evil.mac }),
					allNodesMac,
				),
			{ drop: 'nd-spoof' },
		],
		[
			"an advertisement of its own with another's MAC",
			() =>
				nd(
					136,
					evil.ipv6,
					allNodes,
					neighbour(0x20000000, evil.ipv6, { type: 2, mac: victim.mac }),
					allNodesMac,
				),
			{ drop: 'nd-spoof' },
		],
		[
			"a solicitation with another's MAC",
			() =>
				nd(
					135,
					evil.ipv6,
					'ff02::1:ff00:12',
					neighbour(0, victim.ipv6, { type: 1, mac: far.mac }),
					'33:33:ff:00:00:12',
				),
			{ drop: 'nd-spoof' },
		],
		[
			"duplicate address detection for the victim's",
			() => nd(135, '::', 'ff02::1:ff00:12', neighbour(0, victim.ipv6), '33:33:ff:00:00:12'),
			'victim',
		],
		[
			"duplicate address detection for the router's",
			() => nd(135, '::', 'ff02::1:ff00:3', neighbour(0, far.ipv6), '33:33:ff:00:00:03'),
			{ drop: 'nd-spoof' },
		],
		[
			'denying the victim its address',
			() =>
				nd(
					136,
					victim.ipv6,
					allNodes,
					neighbour(0x20000000, victim.ipv6, { type: 2, mac: evil.mac }),
					allNodesMac,
				),
			{ drop: 'nd-spoof' },
		],
		[
			'a solicitation for the wire',
			() =>
				nd(
					135,
					evil.ipv6,
					'ff02::1:ff00:3',
					neighbour(0, far.ipv6, { type: 1, mac: evil.mac }),
					'33:33:ff:00:00:03',
				),
			'wire',
		],
		[
			"a second link-layer option with another's MAC",
			() =>
				nd(
					136,
					evil.ipv6,
					allNodes,
					Buffer.concat([
						neighbour(0x20000000, evil.ipv6, { type: 2, mac: evil.mac }),
						Buffer.from([2, 1]),
						Buffer.from('020000000099', 'hex'),
					]),
					allNodesMac,
				),
			[{ drop: 'nd-spoof' }, malformed],
		],
	],
};

for (const [title, cases] of Object.entries(groups)) {
	test.serial(`hostile frames: ${title}`, async t => {
		const wrong: string[] = [];
		const list = cases();
		for (const [name, frame, fate] of list) {
			const outcome = await follow(site, evil, victim, frame());
			const seen = fateOf(outcome);
			const wanted = [fate].flat().map(word);
			if (!wanted.includes(seen)) wrong.push(`${name}: ${seen} instead of ${wanted.join(' or ')}`);
			const masters = outcome.wire.filter(
				({ frame: sent }) => sent.subarray(6, 12).toString('hex') !== host.mac.replaceAll(':', ''),
			);
			if (masters.length > 0) wrong.push(`${name}: a source MAC on the wire that is not the master's`);
		}
		t.log(`${list.length} frames`);
		t.deepEqual(wrong, []);
	});
}

test.serial('hostile frames: the books balance', async t => {
	const { written, stats, ringFull } = await books(site, evil);
	t.log(`${written} frames written, ${sum(stats.drops)} dropped:`, stats.drops);
	t.is(ringFull, 0);
});

function fateOf({
	write,
	wire,
	victim: atVictim,
	unseen,
	drops,
}: Awaited<ReturnType<typeof follow>>): string {
	if (write !== 'sent') return 'refused';
	if (unseen !== 0) return 'unseen';
	const reasons = Object.entries(drops).map(
		([reason, count]) => `drop ${reason}${count === 1 ? '' : ` × ${count}`}`,
	);
	const places = [...(wire.length > 0 ? ['wire'] : []), ...(atVictim.length > 0 ? ['victim'] : [])];
	if (wire.length > 1 || atVictim.length > 1) places.push('more than once');
	return [...places, ...reasons].join(' ') || 'nowhere';
}

function word(fate: Fate): string {
	return typeof fate === 'string' ? fate : `drop ${fate.drop}`;
}

function range(from: number, to: number): number[] {
	return Array.from({ length: to - from + 1 }, (_, index) => from + index);
}
