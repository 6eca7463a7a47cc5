/** Design 5.1 and 5.2: unicast IPv4, by owner of the destination address. */
import {
	bytesOf,
	fragmentHeader,
	icmp,
	padded,
	patched,
	raw,
	tcp,
	udp,
	withDestination,
	withSource,
} from '../helpers/frames.js';
import { gateway, host, laptop, MASTER, vm1, vm2, vm3, vm4 } from '../helpers/world.js';
import { type Case, delivered, dropped, ignored } from './case.js';
import { packet4, packet6 } from './traffic.js';

/** Somebody beyond the gateway. */
const far = { ...gateway, ipv4: '198.51.100.7', ipv6: '2001:db8:ffff::7' };
const toMaster = { destination: MASTER };

const toGateway = packet4(vm1, gateway);
const toVm2 = packet4(vm1, vm2);
const toFar = packet4(vm1, far);
const fromFar = packet4(far, vm1, toMaster);
const viaHost = packet4(vm1, far, toMaster);

/** Whatever the packet carries, and however odd it is: forwarding looks at addresses. */
const payloads: [string, Uint8Array][] = [
	['TCP', packet4(vm1, gateway, {}, tcp())],
	['ICMP echo', packet4(vm1, gateway, {}, icmp())],
	['ICMP redirect', packet4(vm1, gateway, {}, icmp(5))],
	['ESP', packet4(vm1, gateway, {}, raw(50, new Uint8Array(40)))],
	['GRE', packet4(vm1, gateway, {}, raw(47, new Uint8Array(40)))],
	['no payload at all', packet4(vm1, gateway, {}, raw(17))],
	['a UDP header cut off in the middle', packet4(vm1, gateway, {}, raw(17, Uint8Array.of(0, 68, 0)))],
	['a TCP header cut off in the middle', packet4(vm1, gateway, {}, raw(6, new Uint8Array(9)))],
	['options', packet4(vm1, gateway, {}, udp(), { options: Uint8Array.of(148, 4, 0, 0, 1, 1, 1, 0) })],
	['forty bytes of options', packet4(vm1, gateway, {}, udp(), { options: new Uint8Array(40).fill(1) })],
	['a first fragment', packet4(vm1, gateway, {}, udp(), { fragment: 0x2000 })],
	['a middle fragment', packet4(vm1, gateway, {}, raw(17, new Uint8Array(64)), { fragment: 0x2010 })],
	['a last fragment', packet4(vm1, gateway, {}, raw(17, new Uint8Array(9)), { fragment: 0x0010 })],
	[
		'the smallest fragment there is',
		packet4(vm1, gateway, {}, raw(6, new Uint8Array(8)), { fragment: 0x2000 }),
	],
	['a time to live of 1', packet4(vm1, gateway, {}, udp(), { ttl: 1 })],
	['a time to live of 0', packet4(vm1, gateway, {}, udp(), { ttl: 0 })],
	['a wrong header checksum', patched(toGateway, 24, [0xde, 0xad])],
	['the padding of a short frame', padded(packet4(vm1, gateway, {}, raw(17)))],
	['1500 bytes', packet4(vm1, gateway, {}, udp(1, 2, new Uint8Array(1472)))],
	[
		'65535 bytes, as segmentation offload makes them',
		packet4(vm1, gateway, {}, tcp(1, 2, new Uint8Array(65495))),
	],
];

export const ipv4Cases: Case[] = [
	delivered('guest to guest', 'vm1', toVm2, 'vm2', toVm2),
	delivered('guest to guest, and back', 'vm2', packet4(vm2, vm1), 'vm1', packet4(vm2, vm1)),
	delivered("guest to guest by the master's MAC", 'vm1', packet4(vm1, vm2, toMaster), 'vm2', toVm2),
	delivered(
		"guest to guest by the gateway's MAC: the address counts",
		'vm1',
		withDestination(toVm2, gateway.mac),
		'vm2',
		toVm2,
	),
	delivered("guest to guest by another guest's MAC", 'vm1', withDestination(toVm2, vm4.mac), 'vm2', toVm2),
	delivered('guest to host', 'vm1', packet4(vm1, host), 'host', packet4(vm1, host)),
	delivered(
		"guest to host by the gateway's MAC",
		'vm1',
		withDestination(packet4(vm1, host), gateway.mac),
		'host',
		packet4(vm1, host),
	),
	delivered('guest to gateway', 'vm1', toGateway, 'wire', withSource(toGateway, MASTER)),
	delivered('guest to somebody far away, by the gateway', 'vm1', toFar, 'wire', withSource(toFar, MASTER)),
	delivered(
		'guest to the laptop',
		'vm2',
		packet4(vm2, laptop),
		'wire',
		packet4(vm2, laptop, { source: MASTER }),
	),
	delivered(
		"guest to an address that another could have but doesn't own",
		'vm1',
		packet4(vm1, vm3),
		'wire',
		packet4(vm1, vm3, { source: MASTER }),
	),
	delivered('guest to somebody far away with the host as router', 'vm1', viaHost, 'host', viaHost),
	dropped('guest to somebody far away with a host that is not there', 'vm1', viaHost, 'unknown-destination', {
		noHost: true,
	}),
	dropped('guest to host without a host slave', 'vm1', packet4(vm1, host), 'unknown-destination', {
		noHost: true,
	}),
	dropped('guest to itself', 'vm1', packet4(vm1, vm1), 'own-address'),

	...payloads.map(([what, frame]) =>
		delivered(`guest to gateway: ${what}`, 'vm1', frame, 'wire', withSource(frame, MASTER)),
	),

	{
		name: 'the first packet of a guest that learns claims its source',
		from: 'vm3',
		frame: packet4(vm3, gateway),
		verdict: 'claim',
		out: [{ to: 'wire', frame: packet4(vm3, gateway, { source: MASTER }) }],
	},
	{
		name: 'a claim to a guest',
		from: 'vm3',
		frame: packet4(vm3, vm1, toMaster),
		verdict: 'claim',
		out: [{ to: 'vm1', frame: packet4(vm3, vm1) }],
	},
	{
		name: 'a claim to the host',
		from: 'vm3',
		frame: packet4(vm3, host),
		verdict: 'claim',
		out: [{ to: 'host', frame: packet4(vm3, host) }],
	},
	{
		name: 'a second address beside a given one',
		from: 'vm4',
		frame: packet4({ ...vm4, ipv4: '192.0.2.24' }, gateway),
		verdict: 'claim',
		out: [{ to: 'wire', frame: packet4({ ...vm4, ipv4: '192.0.2.24' }, gateway, { source: MASTER }) }],
	},

	delivered('gateway to guest', 'wire', packet4(gateway, vm1, toMaster), 'vm1', packet4(gateway, vm1)),
	delivered('somebody far away to guest', 'wire', fromFar, 'vm1', withDestination(fromFar, vm1.mac)),
	delivered(
		'wire to guest: a middle fragment',
		'wire',
		packet4(far, vm2, toMaster, raw(17, new Uint8Array(24)), { fragment: 0x2010 }),
		'vm2',
		packet4(far, vm2, {}, raw(17, new Uint8Array(24)), { fragment: 0x2010 }),
	),
	delivered(
		'wire to guest: padded',
		'wire',
		padded(packet4(gateway, vm1, toMaster, raw(17))),
		'vm1',
		padded(packet4(gateway, vm1, {}, raw(17))),
	),
	ignored('wire to host', packet4(gateway, host)),
	ignored('wire to an address of nobody here', packet4(gateway, laptop, toMaster)),
	ignored("wire to an address that a guest could learn but hasn't", packet4(gateway, vm3, toMaster)),
	ignored(
		"wire to a guest's address by somebody else's MAC",
		packet4(gateway, vm1, { destination: laptop.mac }),
	),
	ignored("wire to a guest by the guest's own MAC, which nobody outside knows", packet4(gateway, vm1)),
	ignored(
		'wire to a guest, with a fragment header that is IPv6',
		packet6(gateway, host, toMaster, raw(17), { extensions: [fragmentHeader(8, false)] }),
	),
	ignored(
		'wire to a guest: 802.3 instead of an ethertype',
		bytesOf(packet4(gateway, vm1, toMaster).slice(0, 12), [0, 46], new Uint8Array(46)),
	),
];
