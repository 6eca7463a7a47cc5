/** Forgeries of a guest that may use its own two addresses alone: what it sends, and what is counted for it. */
import { lanMembers } from '../../../src/lab/lan.js';
import {
	address,
	arp,
	broadcastMac,
	checksum,
	ethernet,
	icmpv6,
	ipv4,
	ipv6,
	neighbour,
	routerAdvertisement,
	udp,
} from '../datapath/frames.js';
import { dhcp } from '../datapath/hostile-speech.js';
import type { Place } from './place.js';
import { FORGED } from './truth.js';

export interface Attack {
	name: string;
	frames: Buffer[];
	/** Reason under which each of the frames is counted. */
	drop: string;
}

const { router, laptop, host } = lanMembers;

export function attacks(place: Place): Attack[] {
	const { evil, victimMac } = place;
	const victim = { mac: victimMac, ipv4: '192.0.2.12', ipv6: '2001:db8:1::12' };
	const others = [victim, router, laptop, host];
	const mine = { mac: evil.mac, ipv4: evil.ipv4, ipv6: evil.ipv6 };
	/** Whom evil may send to, each by the MAC that it goes by. */
	const targets = [victim, router, laptop, host];
	const pairs = others.flatMap(other => targets.filter(to => to !== other).map(to => [other, to] as const));

	const packet4 = (source: string, to: Member, from = evil.mac): Buffer =>
		ethernet(
			to.mac,
			from,
			0x0800,
			ipv4({ source, destination: to.ipv4 }, udp(7, 7, FORGED, [source, to.ipv4])),
		);
	const packet6 = (source: string, to: Member): Buffer =>
		ethernet(
			to.mac,
			evil.mac,
			0x86dd,
			ipv6({ source, destination: to.ipv6 }, udp(7, 7, FORGED, [source, to.ipv6])),
		);
	const arpOf = (operation: number, sender: Member, senderMac: string, to?: Member): Buffer =>
		ethernet(
			to?.mac ?? broadcastMac,
			evil.mac,
			0x0806,
			arp({
				operation,
				senderMac,
				sender: sender.ipv4,
				target: to?.ipv4 ?? sender.ipv4,
				...(to === undefined ? {} : { targetMac: to.mac }),
			}),
		);
	const nd = (type: number, source: string, destination: string, body: Buffer, to: string): Buffer =>
		ethernet(
			to,
			evil.mac,
			0x86dd,
			ipv6({ source, destination, next: 58, hopLimit: 255 }, icmpv6([source, destination], type, 0, body)),
		);
	const mineOf = { type: 2, mac: evil.mac };
	const allNodes = 'ff02::1';
	const allNodesMac = '33:33:00:00:00:01';
	const toDhcpClient = (type: number, destination: string, to: string): Buffer =>
		ethernet(
			to,
			evil.mac,
			0x0800,
			ipv4({ source: evil.ipv4, destination }, udp(67, 68, dhcp(type, victim.mac, 2))),
		);

	return [
		{
			name: "others' MACs",
			frames: others.flatMap(other => targets.map(to => packet4(evil.ipv4, to, other.mac))),
			drop: 'mac-spoof',
		},
		{
			name: "others' IPv4 addresses",
			frames: pairs.map(([other, to]) => packet4(other.ipv4, to)),
			drop: 'ip-spoof',
		},
		{
			name: 'IPv4 addresses of nobody here',
			frames: ['203.0.113.9', '192.0.2.77', '127.0.0.1', '0.0.0.0', '224.0.0.1', '255.255.255.255'].flatMap(
				source => targets.map(to => packet4(source, to)),
			),
			drop: 'ip-spoof',
		},
		{
			name: "others' IPv6 addresses",
			frames: pairs.map(([other, to]) => packet6(other.ipv6, to)),
			drop: 'ip-spoof',
		},
		{
			name: "others' addresses as the source of multicast and broadcast",
			frames: others.flatMap(other => [
				packet4(other.ipv4, { mac: '01:00:5e:00:00:fb', ipv4: '224.0.0.251', ipv6: '' }),
				packet4(other.ipv4, { mac: broadcastMac, ipv4: '192.0.2.255', ipv6: '' }),
				packet6(other.ipv6, { mac: '33:33:00:00:00:fb', ipv4: '', ipv6: 'ff02::fb' }),
			]),
			drop: 'ip-spoof',
		},
		{
			name: 'gratuitous ARP for everybody else',
			frames: others.flatMap(other => [arpOf(1, other, evil.mac), arpOf(2, other, evil.mac)]),
			drop: 'arp-spoof',
		},
		{
			name: 'ARP answers in the place of everybody else',
			frames: pairs.map(([other, to]) => arpOf(2, other, evil.mac, to)),
			drop: 'arp-spoof',
		},
		{
			name: "ARP for its own address with everybody else's MAC",
			frames: others.flatMap(other => [arpOf(1, mine, other.mac), arpOf(2, mine, other.mac, victim)]),
			drop: 'arp-spoof',
		},
		{
			name: 'ARP for everybody else with their own MAC',
			frames: pairs.map(([other, to]) => arpOf(2, other, other.mac, to)),
			drop: 'arp-spoof',
		},
		{
			name: 'ARP probes for an address that it may not have',
			frames: Array.from({ length: 5 }, (_, count) =>
				arpOf(1, { mac: '', ipv4: '0.0.0.0', ipv6: '' }, evil.mac, {
					mac: broadcastMac,
					ipv4: `192.0.2.${90 + count}`,
					ipv6: '',
				}),
			),
			drop: 'arp-spoof',
		},
		{
			name: 'unsolicited advertisements of everybody else, with override',
			frames: others.flatMap(other =>
				[evil.ipv6, other.ipv6].map(source =>
					nd(136, source, allNodes, neighbour(0x20000000, other.ipv6, mineOf), allNodesMac),
				),
			),
			drop: 'nd-spoof',
		},
		{
			name: 'solicited advertisements in the place of everybody else',
			frames: pairs.map(([other, to]) =>
				nd(136, evil.ipv6, to.ipv6, neighbour(0x60000000, other.ipv6, mineOf), to.mac),
			),
			drop: 'nd-spoof',
		},
		{
			name: "solicitations in others' names, with its own MAC",
			frames: pairs.map(([other, to]) =>
				nd(135, other.ipv6, to.ipv6, neighbour(0, to.ipv6, { type: 1, mac: evil.mac }), to.mac),
			),
			drop: 'nd-spoof',
		},
		{
			name: "solicitations in its own name, with others' MACs",
			frames: pairs.map(([other, to]) =>
				nd(135, evil.ipv6, to.ipv6, neighbour(0, to.ipv6, { type: 1, mac: other.mac }), to.mac),
			),
			drop: 'nd-spoof',
		},
		{
			name: 'router advertisements',
			frames: [evil.ipv6, 'fe80::11', router.ipv6].flatMap(source => [
				nd(134, source, allNodes, autonomous(evil.mac), allNodesMac),
				nd(134, source, victim.ipv6, routerAdvertisement(evil.mac), victim.mac),
			]),
			drop: 'router-guard',
		},
		{
			name: 'ICMPv6 redirects',
			frames: [evil.ipv6, router.ipv6].map(source =>
				nd(
					137,
					source,
					victim.ipv6,
					Buffer.concat([Buffer.alloc(4), address(evil.ipv6), address('2001:db8:9::1')]),
					victim.mac,
				),
			),
			drop: 'router-guard',
		},
		{
			name: "ICMP redirects in the router's name",
			frames: [victim, laptop].map(to =>
				ethernet(
					to.mac,
					evil.mac,
					0x0800,
					ipv4({ source: router.ipv4, destination: to.ipv4, protocol: 1 }, redirect4(evil.ipv4, to.ipv4)),
				),
			),
			drop: 'ip-spoof',
		},
		{
			name: 'answers of a DHCP server',
			frames: [2, 5, 6].flatMap(type => [
				toDhcpClient(type, '255.255.255.255', broadcastMac),
				toDhcpClient(type, victim.ipv4, victim.mac),
				toDhcpClient(type, laptop.ipv4, laptop.mac),
			]),
			drop: 'dhcp-guard',
		},
		{
			name: 'DHCP starvation, a client a frame',
			frames: Array.from({ length: 100 }, (_, count) =>
				ethernet(
					broadcastMac,
					evil.mac,
					0x0800,
					ipv4(
						{ source: '0.0.0.0', destination: '255.255.255.255' },
						udp(68, 67, dhcp(count % 2 ? 3 : 1, `02:de:ad:00:00:${(count + 16).toString(16)}`)),
					),
				),
			),
			drop: 'dhcp-spoof',
		},
		{
			name: 'answers of a DHCP server from another port',
			frames: [victim, laptop].map(to =>
				ethernet(
					to.mac,
					evil.mac,
					0x0800,
					ipv4({ source: evil.ipv4, destination: to.ipv4 }, udp(4711, 68, dhcp(5, to.mac, 2))),
				),
			),
			drop: 'dhcp-guard',
		},
		{
			name: 'answers of a DHCPv6 server',
			frames: [victim, laptop].map(to =>
				ethernet(
					to.mac,
					evil.mac,
					0x86dd,
					ipv6(
						{ source: evil.ipv6, destination: to.ipv6 },
						udp(547, 546, Buffer.from([7, 0, 0, 1]), [evil.ipv6, to.ipv6]),
					),
				),
			),
			drop: 'dhcp-guard',
		},
		{
			name: "DHCP with the victim's client identifier, and in the name of a relay agent",
			frames: [
				clientId(dhcp(1, evil.mac), victim.mac),
				clientId(dhcp(3, evil.mac), victim.mac),
				relayed(evil),
			].map(message =>
				ethernet(
					broadcastMac,
					evil.mac,
					0x0800,
					ipv4({ source: '0.0.0.0', destination: '255.255.255.255' }, udp(68, 67, message)),
				),
			),
			drop: 'dhcp-spoof',
		},
		{
			name: "giving back the victim's lease",
			frames: [release(evil.mac, victim.ipv4)].map(message =>
				ethernet(
					router.mac,
					evil.mac,
					0x0800,
					ipv4({ source: evil.ipv4, destination: router.ipv4 }, udp(68, 67, message)),
				),
			),
			drop: 'dhcp-spoof',
		},
		{
			name: 'duplicate address detection for what it may not have',
			frames: [router, laptop].map(({ ipv6: target }) =>
				nd(
					135,
					'::',
					`ff02::1:ff00:${target.slice(-1)}`,
					neighbour(0, target),
					`33:33:ff:00:00:0${target.slice(-1)}`,
				),
			),
			drop: 'nd-spoof',
		},
	];
}

interface Member {
	mac: string;
	ipv4: string;
	ipv6: string;
}

/** With option 61, RFC 2132, 9.14: hardware type 1 and a MAC. */
function clientId(message: Buffer, of: string): Buffer {
	const option = Buffer.from(`3d0701${of.replaceAll(':', '')}ff`, 'hex');
	return Buffer.concat([message.subarray(0, message.indexOf(255, 240)), option]);
}

/** Says that it comes by a relay agent, at evil's own address (RFC 2131, 2, giaddr). */
function relayed(evil: { mac: string; ipv4: string }): Buffer {
	const message = dhcp(1, evil.mac);
	message.set(address(evil.ipv4), 24);
	return message;
}

/** DHCPRELEASE: the address stands in ciaddr. */
function release(own: string, of: string): Buffer {
	const message = dhcp(7, own);
	message.set(address(of), 12);
	return message;
}

/** A router advertisement with a prefix to make addresses in (RFC 4861, 4.6.2). */
export function autonomous(sender: string, prefix = '2001:db8:bad::'): Buffer {
	const option = Buffer.alloc(32);
	option.set([3, 4, 64, 0xc0, 0, 1, 0x51, 0x80, 0, 1, 0x51, 0x80]);
	option.set(address(prefix), 16);
	return Buffer.concat([routerAdvertisement(sender), option]);
}

/** "To 198.51.100.9 go by `gateway`" (RFC 792), with the packet of `to`'s that it is about. */
export function redirect4(gateway: string, to: string): Buffer {
	const about = ipv4({ source: to, destination: '198.51.100.9' });
	const message = Buffer.concat([Buffer.from([5, 1, 0, 0]), address(gateway), about]);
	message.writeUInt16BE(checksum(message), 2);
	return message;
}
