/** Design 5.1 and 5.2: unicast IPv6, by owner of the destination address, whatever headers lie between. */
import {
	destinationOptions,
	fragmentHeader,
	hopByHop,
	icmpv6,
	padded,
	raw,
	routing,
	tcp,
	udp,
	withDestination,
	withSource,
} from '../helpers/frames.js';
import { gateway, host, laptop, MASTER, vm1, vm2, vm3, vm4 } from '../helpers/world.js';
import { type Case, delivered, dropped, ignored } from './case.js';
import { packet6 } from './traffic.js';

const far = { ...gateway, ipv6: '2001:db8:ffff::7' };
const toMaster = { destination: MASTER };
const toVm2 = packet6(vm1, vm2);
const toGateway = packet6(vm1, gateway);
const viaHost = packet6(vm1, far, toMaster);

const payloads: [string, Uint8Array][] = [
	['TCP', packet6(vm1, gateway, {}, tcp())],
	['ICMPv6 echo', packet6(vm1, gateway, {}, icmpv6(128))],
	['packet too big', packet6(vm1, gateway, {}, icmpv6(2))],
	['ESP', packet6(vm1, gateway, {}, raw(50, new Uint8Array(40)))],
	['no next header', packet6(vm1, gateway, {}, raw(59))],
	['no payload at all', packet6(vm1, gateway, {}, raw(17))],
	['a TCP header cut off in the middle', packet6(vm1, gateway, {}, raw(6, new Uint8Array(9)))],
	['hop-by-hop options', packet6(vm1, gateway, {}, udp(), { extensions: [hopByHop] })],
	['destination options', packet6(vm1, gateway, {}, udp(), { extensions: [destinationOptions] })],
	['a routing header', packet6(vm1, gateway, {}, udp(), { extensions: [routing] })],
	[
		'an echo behind three headers',
		packet6(vm1, gateway, {}, icmpv6(128), { extensions: [hopByHop, routing, destinationOptions] }),
	],
	[
		'an extension header that runs past the end',
		packet6(vm1, gateway, {}, raw(60, Uint8Array.of(17, 9, 0, 0, 0, 0, 0, 0))),
	],
	['an extension header of four bytes', packet6(vm1, gateway, {}, raw(60, Uint8Array.of(17, 0, 0, 0)))],
	['a first fragment', packet6(vm1, gateway, {}, udp(), { extensions: [fragmentHeader(0, true)] })],
	[
		'a middle fragment',
		packet6(vm1, gateway, {}, raw(17, new Uint8Array(64)), { extensions: [fragmentHeader(128, true)] }),
	],
	[
		'a later fragment of a long echo, with bytes like those of an advertisement',
		packet6(vm1, gateway, {}, raw(58, new Uint8Array(64).fill(136)), {
			extensions: [fragmentHeader(1448, false)],
		}),
	],
	[
		'a later fragment of a long echo, empty',
		packet6(vm1, gateway, {}, raw(58), { extensions: [fragmentHeader(1448, false)] }),
	],
	[
		'a first fragment of an echo',
		packet6(vm1, gateway, {}, icmpv6(128), { extensions: [fragmentHeader(0, true)] }),
	],
	['an atomic fragment', packet6(vm1, gateway, {}, udp(), { extensions: [fragmentHeader(0, false)] })],
	['a hop limit of 0', packet6(vm1, gateway, {}, udp(), { hopLimit: 0 })],
	['padding', padded(packet6(vm1, gateway, {}, raw(59)), 80)],
	['64 KB, as segmentation offload makes them', packet6(vm1, gateway, {}, tcp(1, 2, new Uint8Array(65515)))],
];

export const ipv6Cases: Case[] = [
	delivered('guest to guest', 'vm1', toVm2, 'vm2', toVm2),
	delivered("guest to guest by the master's MAC", 'vm1', packet6(vm1, vm2, toMaster), 'vm2', toVm2),
	delivered(
		"guest to guest by the gateway's MAC: the address counts",
		'vm1',
		withDestination(toVm2, gateway.mac),
		'vm2',
		toVm2,
	),
	delivered(
		'guest to guest, link-local',
		'vm1',
		packet6(vm1, vm2, {}, udp(), { source: vm1.linkLocal, destination: vm2.linkLocal }),
		'vm2',
		packet6(vm1, vm2, {}, udp(), { source: vm1.linkLocal, destination: vm2.linkLocal }),
	),
	delivered('guest to host', 'vm1', packet6(vm1, host), 'host', packet6(vm1, host)),
	delivered(
		'guest to host, link-local',
		'vm1',
		packet6(vm1, host, {}, udp(), { source: vm1.linkLocal, destination: host.linkLocal }),
		'host',
		packet6(vm1, host, {}, udp(), { source: vm1.linkLocal, destination: host.linkLocal }),
	),
	delivered('guest to gateway', 'vm1', toGateway, 'wire', withSource(toGateway, MASTER)),
	delivered(
		'guest to somebody far away, by the gateway',
		'vm1',
		packet6(vm1, far),
		'wire',
		packet6(vm1, far, { source: MASTER }),
	),
	delivered('guest to somebody far away with the host as router', 'vm1', viaHost, 'host', viaHost),
	dropped('guest to host without a host slave', 'vm1', packet6(vm1, host), 'unknown-destination', {
		noHost: true,
	}),
	dropped('guest to itself', 'vm1', packet6(vm1, vm1), 'own-address'),
	...payloads.map(([what, frame]) =>
		delivered(`guest to gateway: ${what}`, 'vm1', frame, 'wire', withSource(frame, MASTER)),
	),
	{
		name: 'the first packet of a guest that learns claims its source',
		from: 'vm3',
		frame: packet6(vm3, gateway),
		verdict: 'claim',
		out: [{ to: 'wire', frame: packet6(vm3, gateway, { source: MASTER }) }],
	},
	{
		name: 'a privacy address beside a given one',
		from: 'vm4',
		frame: packet6({ ...vm4, ipv6: '2001:db8:1::dead:beef' }, vm1),
		verdict: 'claim',
		out: [{ to: 'vm1', frame: packet6({ ...vm4, ipv6: '2001:db8:1::dead:beef' }, vm1) }],
	},
	{
		name: 'a link-local source is claimable without learning',
		from: 'vm2',
		frame: packet6({ ...vm2, ipv6: 'fe80::1234' }, gateway),
		verdict: 'claim',
		out: [{ to: 'wire', frame: packet6({ ...vm2, ipv6: 'fe80::1234' }, gateway, { source: MASTER }) }],
	},
	delivered('gateway to guest', 'wire', packet6(gateway, vm1, toMaster), 'vm1', packet6(gateway, vm1)),
	delivered(
		'gateway to guest, link-local',
		'wire',
		packet6(gateway, vm2, toMaster, udp(), { destination: vm2.linkLocal }),
		'vm2',
		packet6(gateway, vm2, {}, udp(), { destination: vm2.linkLocal }),
	),
	delivered(
		'wire to guest: a middle fragment',
		'wire',
		packet6(far, vm2, toMaster, raw(17, new Uint8Array(24)), { extensions: [fragmentHeader(64, true)] }),
		'vm2',
		packet6(far, vm2, {}, raw(17, new Uint8Array(24)), { extensions: [fragmentHeader(64, true)] }),
	),
	ignored('wire to host', packet6(gateway, host)),
	ignored('wire to an address of nobody here', packet6(gateway, laptop, toMaster)),
	ignored("wire to an address that a guest could learn but hasn't", packet6(gateway, vm3, toMaster)),
	ignored(
		"wire to a guest's address by somebody else's MAC",
		packet6(gateway, vm1, { destination: laptop.mac }),
	),
];
