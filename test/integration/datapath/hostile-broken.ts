/** Frames that are too short, too long, or not what their headers say. */
import { broadcastMac, ethernet, extension, icmpv6, neighbour, tagged, tcp, udp } from './frames.js';
import {
	arpFrame,
	behind,
	type Case,
	echo6,
	ethertype,
	evil,
	hidden,
	malformed,
	range,
	v4,
	v6,
	victim,
	vlan,
} from './hostile-speech.js';
import { far } from './site.js';

export const brokenFrames: Record<string, () => Case[]> = {
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
};
