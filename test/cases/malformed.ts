/**
 * Frames that aren't what they say. From a guest they are dropped; from the wire they are the host's to complain
 * about, unless they are for a guest. Truncation is generated: each kind of frame, cut at every byte.
 */
import {
	arp,
	bytesOf,
	cut,
	ethernet,
	icmpv6,
	ipv6,
	nonce,
	other,
	patched,
	raw,
	sourceLinkLayer,
	udp,
} from '../helpers/frames.js';
import { BROADCAST, gateway, host, MASTER, vm1, vm2 } from '../helpers/world.js';
import { type Case, dropped, ignored, type Verdict } from './case.js';
import {
	advertise,
	arpReply,
	arpRequest,
	groupMac6,
	multicast6,
	packet4,
	packet6,
	solicit,
	solicitRouters,
} from './traffic.js';

const toVm1 = { destination: MASTER };

/** Ethertypes that a guest has no business with; those under 1536 are 802.3 lengths. */
const ethertypes: [string, string, number][] = [
	['802.3 with LLC (spanning tree)', '01:80:c2:00:00:00', 0x0026],
	['a pause frame', '01:80:c2:00:00:01', 0x8808],
	['LLDP', '01:80:c2:00:00:0e', 0x88cc],
	['EAPOL', '01:80:c2:00:00:03', 0x888e],
	['RARP, as QEMU announces a guest with', BROADCAST, 0x8035],
	['MPLS', gateway.mac, 0x8847],
	['PPPoE', gateway.mac, 0x8863],
	['MACsec', gateway.mac, 0x88e5],
	['an ethertype of zero', gateway.mac, 0x0000],
	['an ethertype of ffff', gateway.mac, 0xffff],
];

const tagged: [string, Uint8Array][] = [
	['an 802.1Q tag', packet4(vm1, gateway, { tags: [{ tci: 100 }] })],
	['a priority tag (vlan 0)', packet4(vm1, gateway, { tags: [{ tci: 0xa000 }] })],
	['an 802.1ad tag', packet4(vm1, gateway, { tags: [{ type: 0x88a8, tci: 100 }] })],
	['two tags', packet6(vm1, gateway, { tags: [{ type: 0x88a8, tci: 1 }, { tci: 2 }] })],
	[
		'ARP behind a tag',
		ethernet(
			{ source: vm1.mac, destination: BROADCAST, tags: [{ tci: 7 }] },
			arp({ operation: 1, senderMac: vm1.mac, sender: vm1.ipv4, target: gateway.ipv4 }),
		),
	],
	['a tag and nothing else', cut(packet4(vm1, gateway, { tags: [{ tci: 1 }] }), 14)],
	['half a tag', cut(packet4(vm1, gateway, { tags: [{ tci: 1 }] }), 15)],
];

function nd(bytes: ArrayLike<number>, type = 135): Uint8Array {
	return multicast6(vm1, 'ff02::1:ff00:1', {}, icmpv6(type, Uint8Array.from(bytes)));
}

export const malformedCases: Case[] = [
	...ethertypes.map(([what, destination, type]) =>
		dropped(what, 'vm1', ethernet({ source: vm1.mac, destination }, other(type)), 'ethertype'),
	),
	...tagged.map(([what, frame]) => dropped(what, 'vm1', frame, 'vlan')),
	...ethertypes.map(([what, destination, type]) =>
		ignored(`${what}`, ethernet({ source: gateway.mac, destination }, other(type))),
	),
	ignored('a tagged frame for a guest', packet4(gateway, vm1, { ...toVm1, tags: [{ tci: 100 }] })),
	ignored(
		'tagged ARP for a guest',
		ethernet(
			{ source: gateway.mac, destination: BROADCAST, tags: [{ tci: 9 }] },
			arp({ operation: 1, senderMac: gateway.mac, sender: gateway.ipv4, target: vm1.ipv4 }),
		),
	),

	...[5, 0, 6, 15].map(version =>
		dropped(
			`IPv4 that says it is version ${version}`,
			'vm1',
			packet4(vm1, gateway, {}, udp(), { version }),
			'malformed',
		),
	),
	...[0, 1, 2, 3, 4].map(headerWords =>
		dropped(
			`IPv4 with a header of ${headerWords} words`,
			'vm1',
			packet4(vm1, gateway, {}, udp(), { headerWords }),
			'malformed',
		),
	),
	dropped(
		'IPv4 with a header longer than the packet',
		'vm1',
		packet4(vm1, gateway, {}, raw(17, new Uint8Array(8)), { headerWords: 15 }),
		'malformed',
	),
	dropped(
		'IPv4 with a total length longer than the frame',
		'vm1',
		packet4(vm1, gateway, {}, udp(), { totalLength: 35 }),
		'malformed',
	),
	dropped(
		'IPv4 with a total length of 65535',
		'vm1',
		packet4(vm1, gateway, {}, udp(), { totalLength: 65535 }),
		'malformed',
	),
	dropped(
		'IPv4 with a total length of 0',
		'vm1',
		packet4(vm1, gateway, {}, udp(), { totalLength: 0 }),
		'malformed',
	),
	dropped(
		'IPv4 with a total length shorter than its header',
		'vm1',
		packet4(vm1, gateway, {}, udp(), { totalLength: 19 }),
		'malformed',
	),
	dropped(
		'IPv4 with a total length longer than the frame',
		'wire',
		packet4(gateway, vm1, toVm1, udp(), { totalLength: 900 }),
		'malformed',
	),
	dropped(
		'IPv4 with a header of 4 words',
		'wire',
		packet4(gateway, vm1, toVm1, udp(), { headerWords: 4 }),
		'malformed',
	),

	...[4, 0, 7].map(version =>
		dropped(
			`IPv6 that says it is version ${version}`,
			'vm1',
			packet6(vm1, gateway, {}, udp(), { version }),
			'malformed',
		),
	),
	dropped(
		'IPv6 with a payload longer than the frame',
		'vm1',
		packet6(vm1, gateway, {}, udp(), { payloadLength: 15 }),
		'malformed',
	),
	dropped(
		'IPv6 with a payload of 65535',
		'vm1',
		packet6(vm1, gateway, {}, udp(), { payloadLength: 65535 }),
		'malformed',
	),
	dropped(
		'an IPv6 jumbogram',
		'vm1',
		packet6(vm1, gateway, {}, raw(0, Uint8Array.of(17, 0, 0xc2, 4, 0, 1, 0, 0)), { payloadLength: 0 }),
		'malformed',
	),
	dropped('ICMPv6 without a byte of it', 'vm1', packet6(vm1, gateway, {}, raw(58)), 'malformed'),
	dropped(
		'IPv6 with a payload longer than the frame',
		'wire',
		packet6(gateway, vm1, toVm1, udp(), { payloadLength: 900 }),
		'malformed',
	),
	dropped(
		'an IPv6 jumbogram',
		'wire',
		packet6(gateway, vm1, toVm1, raw(0, Uint8Array.of(17, 0, 0xc2, 4, 0, 1, 0, 0)), { payloadLength: 0 }),
		'malformed',
	),

	...[0, 3, 4, 8, 9, 0xffff].map(operation =>
		dropped(
			`ARP operation ${operation}`,
			'vm1',
			ethernet(
				{ source: vm1.mac, destination: BROADCAST },
				arp({ operation, senderMac: vm1.mac, sender: vm1.ipv4, target: gateway.ipv4 }),
			),
			'malformed',
		),
	),
	...(
		[
			['another hardware type', [0, 6, 8, 0, 6, 4]],
			['another protocol type', [0, 1, 0x86, 0xdd, 6, 4]],
			['hardware addresses of 8 bytes', [0, 1, 8, 0, 8, 4]],
			['protocol addresses of 16 bytes', [0, 1, 8, 0, 6, 16]],
		] as const
	).map(([what, prefix]) =>
		dropped(
			`ARP with ${what}`,
			'vm1',
			ethernet(
				{ source: vm1.mac, destination: BROADCAST },
				arp({ operation: 1, senderMac: vm1.mac, sender: vm1.ipv4, target: gateway.ipv4, prefix }),
			),
			'malformed',
		),
	),
	ignored(
		'ARP with another hardware type',
		ethernet(
			{ source: gateway.mac, destination: BROADCAST },
			arp({
				operation: 1,
				senderMac: gateway.mac,
				sender: gateway.ipv4,
				target: vm1.ipv4,
				prefix: [0, 6, 8, 0, 6, 4],
			}),
		),
	),

	...[0, 1, 64, 254].map(hopLimit =>
		dropped(
			`a solicitation with a hop limit of ${hopLimit}: it may have come through a router`,
			'vm1',
			solicit(vm1, gateway.linkLocal, {}, { hopLimit }),
			'malformed',
		),
	),
	dropped(
		'an advertisement with a hop limit of 254',
		'vm1',
		advertise(vm1, gateway, vm1.linkLocal, {}, { hopLimit: 254 }),
		'malformed',
	),
	dropped(
		'a router advertisement with a hop limit of 254',
		'vm1',
		multicast6(vm1, 'ff02::1', {}, icmpv6(134, new Uint8Array(12)), { hopLimit: 254 }),
		'malformed',
	),
	dropped('a solicitation without a target', 'vm1', nd(new Uint8Array(4)), 'malformed'),
	dropped('a solicitation with half a target', 'vm1', nd(new Uint8Array(12)), 'malformed'),
	dropped('a router solicitation of four bytes', 'vm1', nd([], 133), 'malformed'),
	dropped('a redirect of eight bytes', 'vm1', nd(new Uint8Array(4), 137), 'malformed'),
	dropped(
		'an option of length 0',
		'vm1',
		solicit(vm1, gateway.linkLocal, {}, {}, [{ ...sourceLinkLayer(vm1.mac), length: 0 }]),
		'malformed',
	),
	dropped(
		'an option that runs past the end',
		'vm1',
		solicit(vm1, gateway.linkLocal, {}, {}, [{ ...sourceLinkLayer(vm1.mac), length: 2 }]),
		'malformed',
	),
	dropped(
		'a second option of length 0',
		'vm1',
		solicit(vm1, gateway.linkLocal, {}, {}, [sourceLinkLayer(vm1.mac), { ...nonce(), length: 0 }]),
		'malformed',
	),
	dropped(
		'bytes behind the last option',
		'vm1',
		nd(bytesOf(new Uint8Array(20), [1, 1, 0x52, 0x54, 0, 0, 0, 0x11, 0, 0])),
		'malformed',
	),

	dropped('ARP, which its device does not speak', 'host', arpRequest(host, vm1.ipv4), 'ethertype'),
	dropped(
		'an ethertype of nobody',
		'host',
		ethernet({ source: MASTER, destination: vm1.mac }, other(0x88cc)),
		'ethertype',
	),
	dropped('a tag', 'host', packet4(host, vm1, { tags: [{ tci: 5 }] }), 'ethertype'),
	dropped(
		'IPv4 with a total length longer than the frame',
		'host',
		packet4(host, vm1, {}, udp(), { totalLength: 900 }),
		'malformed',
	),
	dropped(
		'IPv6 with a payload longer than the frame',
		'host',
		packet6(host, vm1, {}, udp(), { payloadLength: 900 }),
		'malformed',
	),
	dropped('a frame of 13 bytes', 'host', cut(packet4(host, vm1), 13), 'malformed'),

	...truncated('IPv4', packet4(vm1, vm2)),
	...truncated('IPv4 with options', packet4(vm1, vm2, {}, udp(), { options: new Uint8Array(8).fill(1) })),
	...truncated('IPv6', packet6(vm1, vm2)),
	...truncated('an ARP request', arpRequest(vm1, vm2.ipv4)),
	...truncated('an ARP reply', arpReply(vm1, vm2)),
	...truncated('a neighbour solicitation', solicit(vm1, vm2.linkLocal)),
	...truncated('a neighbour advertisement', advertise(vm1, vm2)),
	...truncated('a router solicitation', solicitRouters(vm1)),
	...truncatedInside(),
	...truncatedOnWire('IPv4', packet4(gateway, vm1, toVm1), 34),
	...truncatedOnWire('IPv6', packet6(gateway, vm1, toVm1), 54),
	...truncatedOnWire('ARP', arpRequest(gateway, vm1.ipv4)),
	...truncatedOnWire('a neighbour solicitation', solicit(gateway, vm1.linkLocal)),
];

/** A whole frame of vm1's, cut at every byte: its headers claim more than is there. */
function truncated(what: string, frame: Uint8Array): Case[] {
	return Array.from({ length: frame.length }, (_, length) =>
		dropped(`${what} cut to ${length} of ${frame.length} bytes`, 'vm1', cut(frame, length), 'malformed'),
	);
}

/** Discovery cut at every byte, with a payload length that agrees: the message itself is too short. */
function truncatedInside(): Case[] {
	const kinds: [string, number, number][] = [
		['a router solicitation', 133, 8],
		['a neighbour solicitation', 135, 24],
		['a neighbour advertisement', 136, 24],
	];
	return kinds.flatMap(([what, type, fixed]) =>
		Array.from({ length: fixed + 7 }, (_, length) => length)
			.filter(length => length !== fixed)
			.map(length => {
				const message = patched(new Uint8Array(40), 0, [type]).slice(0, length);
				const packet = ipv6(
					{ source: vm1.linkLocal, destination: 'ff02::1', hopLimit: 255 },
					raw(58, message),
				);
				const frame = ethernet({ source: vm1.mac, destination: groupMac6('ff02::1') }, packet);
				return dropped(`${what} of ${length} bytes`, 'vm1', frame, 'malformed');
			}),
	);
}

/**
 * From the wire it is the host's to say what is wrong with it; but what is for a guest's address, as far as can be
 * seen when `addressed` bytes are there, the host never sees.
 */
function truncatedOnWire(what: string, frame: Uint8Array, addressed = frame.length): Case[] {
	return Array.from({ length: frame.length - 14 }, (_, index): Case => {
		const length = index + 14;
		const verdict: Verdict = length < addressed ? 'ignore' : 'drop: malformed';
		return {
			name: `${what} cut to ${length} of ${frame.length} bytes`,
			from: 'wire',
			frame: cut(frame, length),
			verdict,
		};
	});
}
