/** Frames that lie about who sends them, and neighbour discovery in disguise. */
import { broadcastMac, ethernet, fragment, icmpEcho, icmpv6, ipv4, neighbour, udp } from './frames.js';
import {
	allNodes,
	allNodesMac,
	arpFrame,
	behind,
	type Case,
	dhcp,
	echo6,
	evil,
	evilLinkLocal,
	hidden,
	ipSpoof,
	malformed,
	nd,
	ra,
	v4,
	v6,
	victim,
	victimLinkLocal,
} from './hostile-speech.js';
import { far, host } from './site.js';

export const lyingFrames: Record<string, () => Case[]> = {
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
			'IPv4 0.0.0.0 to all DHCP clients, from a port of no server',
			() =>
				v4(
					{ source: '0.0.0.0', destination: '255.255.255.255' },
					udp(167, 68, Buffer.alloc(8)),
					broadcastMac,
				),
			{ drop: 'dhcp-guard' },
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
		['DHCP of nothing but zeros', () => toServer(Buffer.alloc(240)), malformed],
		['DHCP cut short', () => toServer(dhcp(1, evil.mac).subarray(0, 239)), malformed],
		['a DISCOVER', () => toServer(dhcp(1, evil.mac)), 'wire'],
		["a DISCOVER in the victim's name", () => toServer(dhcp(1, victim.mac)), { drop: 'dhcp-spoof' }],
		["a DISCOVER in the master's name", () => toServer(dhcp(1, host.mac)), { drop: 'dhcp-spoof' }],
		[
			'an OFFER to everybody',
			() => toClient(dhcp(2, victim.mac, 2), '255.255.255.255', broadcastMac),
			{ drop: 'dhcp-guard' },
		],
		[
			'an OFFER to the victim',
			() => toClient(dhcp(2, victim.mac, 2), victim.ipv4, victim.mac),
			{ drop: 'dhcp-guard' },
		],
		[
			'a DHCPv6 reply to the victim',
			() => v6({ destination: victim.ipv6 }, udp(547, 546, dhcp6(7)), evil.mac, victim.mac),
			{ drop: 'dhcp-guard' },
		],
		['a relay agent of DHCPv6', () => v6({}, udp(547, 547, dhcp6(12))), { drop: 'dhcp-guard' }],
		['DHCPv6 to a server', () => v6({}, udp(546, 547, dhcp6(11))), 'wire'],
		['DHCPv6 cut short', () => v6({}, udp(546, 547, dhcp6(11).subarray(0, 3))), malformed],
		['an ACK to the wire', () => toClient(dhcp(5, far.mac, 2), far.ipv4, far.mac), { drop: 'dhcp-guard' }],
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
		["a probe for the victim's", () => arpFrame({ sender: '0.0.0.0', target: victim.ipv4 }), 'nowhere'],
		['an announcement of its own', () => arpFrame({ operation: 2, target: evil.ipv4 }), 'wire'],
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

function toServer(message: Buffer): Buffer {
	return v4({ source: '0.0.0.0', destination: '255.255.255.255' }, udp(68, 67, message), broadcastMac);
}

/** A DHCPv6 message of the type, without options. */
function dhcp6(type: number): Buffer {
	return Buffer.of(type, 0, 0, 1);
}

/** What only a DHCP server says. */
function toClient(message: Buffer, destination: string, to: string): Buffer {
	return v4({ destination }, udp(67, 68, message), to);
}
