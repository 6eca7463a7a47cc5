/** Frames that the host sends to its place on the port. */
import { fragmentHeader, icmp, raw, tcp, udp, withDestination } from '../helpers/frames.js';
import { BROADCAST, gateway, host, laptop, MASTER, vm1, vm2, vm3, vm4 } from '../helpers/world.js';
import { type Case, copied, delivered, dropped } from './case.js';
import { packet4, packet6 } from './traffic.js';

export const hostCases: Case[] = [
	delivered('to a guest', 'host', packet4(host, vm1), 'vm1', packet4(host, vm1)),
	delivered(
		"to a guest by the master's MAC: the device speaks no ARP",
		'host',
		packet4(host, vm1, { destination: MASTER }),
		'vm1',
		packet4(host, vm1),
	),
	delivered(
		'to a guest by a MAC of zero',
		'host',
		packet4(host, vm2, { destination: '00:00:00:00:00:00' }),
		'vm2',
		packet4(host, vm2),
	),
	delivered(
		'to a guest, IPv6',
		'host',
		packet6(host, vm1, { destination: MASTER }),
		'vm1',
		packet6(host, vm1),
	),
	delivered(
		'to a guest, link-local',
		'host',
		packet6(host, vm1, { destination: MASTER }, udp(), {
			source: host.linkLocal,
			destination: vm1.linkLocal,
		}),
		'vm1',
		packet6(host, vm1, {}, udp(), { source: host.linkLocal, destination: vm1.linkLocal }),
	),
	delivered('echo', 'host', packet4(host, vm4, {}, icmp()), 'vm4', packet4(host, vm4, {}, icmp())),
	delivered(
		'TCP of 64 KB',
		'host',
		packet4(host, vm1, {}, tcp(1, 2, new Uint8Array(65000))),
		'vm1',
		packet4(host, vm1, {}, tcp(1, 2, new Uint8Array(65000))),
	),
	delivered(
		'a fragment',
		'host',
		packet4(host, vm1, {}, raw(17, new Uint8Array(16)), { fragment: 0x2002 }),
		'vm1',
		packet4(host, vm1, {}, raw(17, new Uint8Array(16)), { fragment: 0x2002 }),
	),
	delivered(
		'an IPv6 fragment',
		'host',
		packet6(host, vm1, {}, raw(17, new Uint8Array(16)), { extensions: [fragmentHeader(16, true)] }),
		'vm1',
		packet6(host, vm1, {}, raw(17, new Uint8Array(16)), { extensions: [fragmentHeader(16, true)] }),
	),
	delivered(
		'what the host routes for somebody else',
		'host',
		packet4(laptop, vm1, { source: MASTER, destination: MASTER }),
		'vm1',
		packet4(laptop, vm1, { source: MASTER }),
	),
	dropped(
		'to somebody on the wire: the host has a better way',
		'host',
		packet4(host, gateway),
		'unknown-destination',
	),
	dropped('to somebody on the wire, IPv6', 'host', packet6(host, gateway), 'unknown-destination'),
	dropped(
		"to an address that a guest could learn but hasn't",
		'host',
		packet4(host, vm3),
		'unknown-destination',
	),
	dropped('to itself', 'host', packet4(host, host), 'unknown-destination'),
	dropped('to itself, IPv6', 'host', packet6(host, host), 'unknown-destination'),
	copied('unicast behind the broadcast MAC', 'host', withDestination(packet4(host, vm1), BROADCAST), [
		'vm1',
		'vm2',
		'vm4',
	]),
];
