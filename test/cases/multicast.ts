/** Design 5.2 and 5.3: who gets a copy of what is multicast or broadcast, and how the wire's own copy looks. */
import { destinationOptions, hopByHop, icmp, igmp, raw, udp } from '../helpers/frames.js';
import { BROADCAST, gateway, host, laptop, MASTER, vm1, vm2, vm3, vm4 } from '../helpers/world.js';
import { type Case, copied, delivered, dropped } from './case.js';
import {
	ALL_NODES,
	dhcpDiscover,
	groupMac6,
	mldReport,
	multicast4,
	multicast6,
	packet4,
	packet6,
} from './traffic.js';

const natted = { source: MASTER };
const mdns4 = '224.0.0.251';
const mdns6 = 'ff02::fb';
/** A group whose second byte loses its highest bit in the MAC. */
const admin = '239.255.255.250';
const everybody = '255.255.255.255';
const subnet = '192.0.2.255';
const mldHeader = { source: '::', hopLimit: 1, extensions: [hopByHop] };
const unconfigured = { source: '0.0.0.0' };

export const multicastCases: Case[] = [
	copied(
		'IPv4 multicast from a guest',
		'vm1',
		multicast4(vm1, mdns4),
		['host', 'vm2', 'vm4'],
		multicast4(vm1, mdns4, natted),
	),
	copied(
		'IPv4 multicast from a guest, no host slave',
		'vm1',
		multicast4(vm1, mdns4),
		['vm2', 'vm4'],
		multicast4(vm1, mdns4, natted),
		{ noHost: true },
	),
	copied(
		'limited broadcast from a guest',
		'vm1',
		multicast4(vm1, everybody),
		['host', 'vm2', 'vm4'],
		multicast4(vm1, everybody, natted),
	),
	copied(
		'broadcast to the subnet from a guest',
		'vm2',
		multicast4(vm2, subnet),
		['host', 'vm1', 'vm4'],
		multicast4(vm2, subnet, natted),
	),
	copied(
		'broadcast echo request',
		'vm1',
		multicast4(vm1, subnet, {}, icmp()),
		['host', 'vm2', 'vm4'],
		multicast4(vm1, subnet, natted, icmp()),
	),
	copied(
		'IPv6 multicast from a guest, also to who has no address yet',
		'vm1',
		multicast6(vm1, mdns6),
		['host', 'vm2', 'vm3', 'vm4'],
		multicast6(vm1, mdns6, natted),
	),
	copied(
		'IPv6 all nodes from a guest',
		'vm2',
		multicast6(vm2, ALL_NODES),
		['host', 'vm1', 'vm3', 'vm4'],
		multicast6(vm2, ALL_NODES, natted),
	),
	copied(
		'IPv4 multicast behind a unicast MAC gets the MAC of its group',
		'vm1',
		multicast4(vm1, admin, { destination: gateway.mac }),
		['host', 'vm2', 'vm4'],
		multicast4(vm1, admin, natted),
		{ out: [{ to: 'host', frame: multicast4(vm1, admin) }] },
	),
	copied(
		'limited broadcast behind a unicast MAC',
		'vm1',
		multicast4(vm1, everybody, { destination: MASTER }),
		['host', 'vm2', 'vm4'],
		multicast4(vm1, everybody, natted),
		{ out: [{ to: 'host', frame: multicast4(vm1, everybody) }] },
	),
	copied(
		'IPv6 multicast behind a unicast MAC',
		'vm1',
		multicast6(vm1, mdns6, { destination: vm2.mac }),
		['host', 'vm2', 'vm3', 'vm4'],
		multicast6(vm1, mdns6, natted),
		{ out: [{ to: 'host', frame: multicast6(vm1, mdns6) }] },
	),
	copied(
		'a unicast address behind the broadcast MAC is broadcast',
		'vm1',
		packet4(vm1, vm2, { destination: BROADCAST }),
		['host', 'vm2', 'vm4'],
		packet4(vm1, vm2, { source: MASTER, destination: BROADCAST }),
	),
	copied(
		'a unicast IPv6 address behind a group MAC',
		'vm1',
		packet6(vm1, vm2, { destination: groupMac6(ALL_NODES) }),
		['host', 'vm2', 'vm3', 'vm4'],
		packet6(vm1, vm2, { source: MASTER, destination: groupMac6(ALL_NODES) }),
	),
	copied(
		'a fragment of a multicast datagram',
		'vm1',
		multicast4(vm1, mdns4, {}, raw(17, new Uint8Array(64)), { fragment: 0x2010 }),
		['host', 'vm2', 'vm4'],
		multicast4(vm1, mdns4, natted, raw(17, new Uint8Array(64)), { fragment: 0x2010 }),
	),
	copied(
		'a multicast datagram of 64 KB',
		'vm1',
		multicast4(vm1, mdns4, {}, udp(1, 2, new Uint8Array(65507))),
		['host', 'vm2', 'vm4'],
		multicast4(vm1, mdns4, natted, udp(1, 2, new Uint8Array(65507))),
	),

	{
		name: 'DHCP discover of a guest without an address',
		from: 'vm3',
		frame: dhcpDiscover(vm3),
		verdict: 'dhcp',
	},
	{
		name: 'DHCP discover of a guest that may not learn',
		from: 'vm1',
		frame: dhcpDiscover(vm1),
		verdict: 'dhcp',
	},
	{
		name: 'DHCP request to renew, to the server alone',
		from: 'vm1',
		frame: packet4(vm1, gateway, {}, udp(68, 67, new Uint8Array(300))),
		verdict: 'dhcp',
	},
	dropped(
		'a DHCP reply from a guest',
		'vm1',
		packet4(vm1, vm2, {}, udp(67, 68, new Uint8Array(300))),
		'dhcp-guard',
	),
	dropped(
		'a DHCP reply from a guest to all',
		'vm1',
		multicast4(vm1, everybody, {}, udp(67, 68, new Uint8Array(300))),
		'dhcp-guard',
	),
	copied(
		'IGMP report',
		'vm1',
		multicast4(vm1, mdns4, {}, igmp(mdns4)),
		['host', 'vm2', 'vm4'],
		multicast4(vm1, mdns4, natted, igmp(mdns4)),
	),
	copied(
		'IGMP report of a guest without an address',
		'vm3',
		multicast4(vm3, mdns4, {}, igmp(mdns4), unconfigured),
		['host', 'vm1', 'vm2', 'vm4'],
		multicast4(vm3, mdns4, natted, igmp(mdns4), unconfigured),
	),
	copied(
		'MLD report of a guest without an address',
		'vm3',
		multicast6(vm3, 'ff02::16', {}, mldReport(mdns6), mldHeader),
		['host', 'vm1', 'vm2', 'vm4'],
		multicast6(vm3, 'ff02::16', natted, mldReport(mdns6), mldHeader),
	),
	copied(
		'MLD report with a link-local source',
		'vm1',
		multicast6(vm1, 'ff02::16', {}, mldReport(mdns6), { hopLimit: 1, extensions: [hopByHop] }),
		['host', 'vm2', 'vm3', 'vm4'],
		multicast6(vm1, 'ff02::16', natted, mldReport(mdns6), { hopLimit: 1, extensions: [hopByHop] }),
	),
	{
		name: 'multicast of a guest that learns claims its source',
		from: 'vm3',
		frame: multicast4(vm3, mdns4),
		verdict: 'claim',
		out: [
			{ to: 'wire', frame: multicast4(vm3, mdns4, natted) },
			{ to: 'host', frame: multicast4(vm3, mdns4) },
			{ to: 'vm1', frame: multicast4(vm3, mdns4) },
			{ to: 'vm2', frame: multicast4(vm3, mdns4) },
			{ to: 'vm4', frame: multicast4(vm3, mdns4) },
		],
	},
	dropped(
		'broadcast from nobody that is not DHCP',
		'vm3',
		multicast4(vm3, everybody, {}, udp(1000, 2000), unconfigured),
		'ip-spoof',
	),
	dropped(
		'a fragment that pretends to be DHCP',
		'vm3',
		multicast4(vm3, everybody, {}, udp(68, 67), { ...unconfigured, fragment: 0x2000 }),
		'malformed',
	),
	dropped(
		'DHCP from nobody to one station',
		'vm3',
		packet4(vm3, gateway, {}, udp(68, 67, new Uint8Array(240)), unconfigured),
		'ip-spoof',
	),
	dropped(
		'IPv6 multicast from nobody that is not MLD',
		'vm3',
		multicast6(vm3, mdns6, {}, udp(), { source: '::' }),
		'ip-spoof',
	),
	dropped(
		'IPv6 multicast from nobody behind destination options',
		'vm3',
		multicast6(vm3, mdns6, {}, udp(), { source: '::', extensions: [destinationOptions] }),
		'ip-spoof',
	),

	copied('IPv4 multicast from the wire', 'wire', multicast4(laptop, mdns4), ['vm1', 'vm2', 'vm4']),
	copied('limited broadcast from the wire', 'wire', multicast4(laptop, everybody), ['vm1', 'vm2', 'vm4']),
	copied('broadcast to the subnet from the wire', 'wire', multicast4(laptop, subnet), ['vm1', 'vm2', 'vm4']),
	copied('IPv6 multicast from the wire', 'wire', multicast6(laptop, mdns6), ['vm1', 'vm2', 'vm3', 'vm4']),
	copied(
		'IPv4 multicast that an access point has turned into unicast',
		'wire',
		multicast4(laptop, admin, { destination: MASTER }),
		['vm1', 'vm2', 'vm4'],
		undefined,
		{ out: [{ to: 'vm1', frame: multicast4(laptop, admin) }] },
	),
	copied(
		'broadcast that an access point has turned into unicast',
		'wire',
		multicast4(laptop, everybody, { destination: MASTER }),
		['vm1', 'vm2', 'vm4'],
		undefined,
		{ out: [{ to: 'vm1', frame: multicast4(laptop, everybody) }] },
	),
	copied(
		'IPv6 multicast that an access point has turned into unicast',
		'wire',
		multicast6(laptop, mdns6, { destination: MASTER }),
		['vm1', 'vm2', 'vm3', 'vm4'],
		undefined,
		{ out: [{ to: 'vm1', frame: multicast6(laptop, mdns6) }] },
	),

	copied('IPv4 multicast from the host: the wire has its copy already', 'host', multicast4(host, mdns4), [
		'vm1',
		'vm2',
		'vm4',
	]),
	copied('IPv6 multicast from the host', 'host', multicast6(host, mdns6), ['vm1', 'vm2', 'vm3', 'vm4']),
	copied('limited broadcast from the host', 'host', multicast4(host, everybody), ['vm1', 'vm2', 'vm4']),
	delivered(
		"multicast TTL doesn't matter: a unicast packet with a TTL of 1 goes its way",
		'vm4',
		packet4(vm4, vm1, {}, udp(), { ttl: 1 }),
		'vm1',
		packet4(vm4, vm1, {}, udp(), { ttl: 1 }),
	),
];
