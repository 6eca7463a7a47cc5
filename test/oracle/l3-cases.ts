/** Frames for the routed modes of the kernel's driver, on the standard port. */
import type { FlagName } from '../../src/datapath/port-state.js';
import type { Case } from '../cases/case.js';
import {
	advertise,
	advertiseToAll,
	announcement,
	arpProbe,
	arpReply,
	arpRequest,
	detectDuplicate,
	multicast4,
	multicast6,
	packet4,
	packet6,
	solicit,
	solicitRouters,
	solicitUnicast,
} from '../cases/traffic.js';
import { cut, ethernet, fragmentHeader, icmp, other, padded, raw, udp } from '../helpers/frames.js';
import { BROADCAST, gateway, host, laptop, MASTER, vm1, vm2, vm3 } from '../helpers/world.js';

/** What is put to the kernel of a case: a verdict of ours is no part of it. */
export type Asked = Pick<Case, 'name' | 'flag' | 'noHost' | 'from' | 'frame'>;

/** Somebody beyond the gateway. */
const far = { ...gateway, ipv4: '198.51.100.7', ipv6: '2001:db8:ffff::7' };
const toMaster = { destination: MASTER };
/** DF, which Linux sets on all it sends. */
const whole = { fragment: 0x4000 };

export const l3Cases: readonly Asked[] = [
	...fromGuest([
		['guest to gateway', packet4(vm1, gateway)],
		['guest to gateway, IPv6', packet6(vm1, gateway)],
		['guest to a neighbour of the host', packet4(vm1, laptop)],
		['guest to a neighbour of the host, by the gateway', packet4(vm1, laptop, { destination: gateway.mac })],
		['guest to somebody far away', packet4(vm1, far)],
		['guest to somebody far away, IPv6', packet6(vm1, far)],
		[
			'guest to somebody far away by the MAC of nobody',
			packet4(vm1, far, { destination: '02:00:00:00:00:99' }),
		],
		['guest to somebody far away with the host as router', packet4(vm1, far, toMaster)],
		['guest to somebody far away by the broadcast MAC', packet4(vm1, far, { destination: BROADCAST })],
		['guest to host', packet4(vm1, host)],
		['guest to host, IPv6', packet6(vm1, host)],
		[
			'guest to host, link-local',
			packet6(vm1, { ...host, ipv6: host.linkLocal }, {}, udp(), { source: vm1.linkLocal }),
		],
		['guest to guest', packet4(vm1, vm2)],
		['guest to guest, IPv6', packet6(vm1, vm2)],
		["guest to guest by the gateway's MAC", packet4(vm1, vm2, { destination: gateway.mac })],
		['guest to guest by the broadcast MAC', packet4(vm1, vm2, { destination: BROADCAST })],
		['guest to itself', packet4(vm1, vm1)],
		['a time to live of 1, to the gateway', packet4(vm1, gateway, {}, udp(), { ttl: 1 })],
		['a time to live of 0, to the gateway', packet4(vm1, gateway, {}, udp(), { ttl: 0 })],
		['a hop limit of 1, to the gateway', packet6(vm1, gateway, {}, udp(), { hopLimit: 1 })],
		['a time to live of 1, to a guest', packet4(vm1, vm2, {}, udp(), { ttl: 1 })],
		['a wrong header checksum', packet4(vm1, far).with(24, 0xde)],
		['IPv4 options', packet4(vm1, far, {}, udp(), { options: Uint8Array.of(148, 4, 0, 0, 1, 1, 1, 0) })],
		['the padding of a short frame', padded(packet4(vm1, far, {}, raw(17)))],
		['a fragment', packet4(vm1, far, {}, raw(17, new Uint8Array(64)), { fragment: 0x2010 })],
		[
			'an IPv6 fragment',
			packet6(vm1, far, {}, raw(17, new Uint8Array(64)), { extensions: [fragmentHeader(64, true)] }),
		],
		['1500 bytes that must not be cut', packet4(vm1, far, {}, udp(1, 2, new Uint8Array(1472)), whole)],
		['an echo request to the gateway', packet4(vm1, gateway, {}, icmp())],
		["another guest's address as source", packet4(vm2, far, { source: vm1.mac })],
		["the host's address as source", packet4(host, far, { source: vm1.mac })],
		['an address of nobody as source', packet4({ ...vm1, ipv4: '192.0.2.99' }, far)],
		['a loopback address as source', packet4({ ...vm1, ipv4: '127.0.0.1' }, far)],
		["another guest's IPv6 address as source", packet6(vm2, far, { source: vm1.mac })],
		["another guest's address as source, to a guest", packet4({ ...vm3, mac: vm1.mac }, vm2)],
		['IPv4 multicast', multicast4(vm1, '224.0.0.251')],
		['limited broadcast', multicast4(vm1, '255.255.255.255')],
		['broadcast to the subnet', multicast4(vm1, '192.0.2.255')],
		['IPv6 multicast', multicast6(vm1, 'ff02::fb')],
		['IPv4 multicast behind a unicast MAC', multicast4(vm1, '239.255.255.250', { destination: gateway.mac })],
		[
			'limited broadcast behind a unicast MAC',
			multicast4(vm1, '255.255.255.255', { destination: gateway.mac }),
		],
		['IPv6 multicast behind a unicast MAC', multicast6(vm1, 'ff02::fb', { destination: gateway.mac })],
		['ARP request for the gateway', arpRequest(vm1, gateway.ipv4)],
		['ARP request for the host', arpRequest(vm1, host.ipv4)],
		['ARP request for a guest', arpRequest(vm1, vm2.ipv4)],
		['ARP request for somebody far away', arpRequest(vm1, far.ipv4)],
		['ARP request for its own address', announcement(vm1)],
		["ARP probe for a guest's address", arpProbe(vm3, vm2.ipv4)],
		['ARP reply to a guest', arpReply(vm1, vm2)],
		['ARP reply to the gateway', arpReply(vm1, gateway)],
		['solicitation for the gateway', solicit(vm1, gateway.linkLocal)],
		['solicitation for the host', solicit(vm1, host.linkLocal)],
		['solicitation for a guest', solicit(vm1, vm2.ipv6)],
		['unicast solicitation for a guest', solicitUnicast(vm1, vm2)],
		["duplicate address detection for a guest's address", detectDuplicate(vm3, vm2.ipv6)],
		['duplicate address detection for its own address', detectDuplicate(vm1, vm1.ipv6)],
		['router solicitation', solicitRouters(vm1)],
		['advertisement to a guest', advertise(vm1, vm2)],
		['advertisement to the gateway', advertise(vm1, gateway)],
		['an 802.1Q tag', packet4(vm1, gateway, { tags: [{ tci: 100 }] })],
		['LLDP', ethernet({ source: vm1.mac, destination: '01:80:c2:00:00:0e' }, other(0x88cc))],
		['an ethertype of nobody', ethernet({ source: vm1.mac, destination: gateway.mac }, other(0x88b5))],
		['IPv4 with a total length longer than the frame', packet4(vm1, far, {}, udp(), { totalLength: 900 })],
		['IPv4 cut short', cut(packet4(vm1, far), 30)],
	]),
	...fromWire([
		['gateway to guest', packet4(gateway, vm1, toMaster)],
		['gateway to guest, IPv6', packet6(gateway, vm1, toMaster)],
		['somebody far away to guest', packet4(far, vm1, toMaster)],
		['wire to guest: a time to live of 1', packet4(far, vm1, toMaster, udp(), { ttl: 1 })],
		[
			'wire to guest: a fragment',
			packet4(far, vm1, toMaster, raw(17, new Uint8Array(64)), { fragment: 0x2010 }),
		],
		["wire to a guest's address by somebody else's MAC", packet4(gateway, vm1, { destination: laptop.mac })],
		["wire to a guest's address by the broadcast MAC", packet4(gateway, vm1, { destination: BROADCAST })],
		['wire to host', packet4(gateway, host)],
		['wire to an address that a guest could have', packet4(gateway, vm3, toMaster)],
		[
			'a packet from guest to guest that comes back',
			packet4(vm1, vm2, { source: MASTER, destination: MASTER }),
		],
		['IPv4 multicast', multicast4(laptop, '224.0.0.251')],
		['limited broadcast', multicast4(laptop, '255.255.255.255')],
		['IPv6 multicast', multicast6(laptop, 'ff02::fb')],
		['ARP request for a guest', arpRequest(gateway, vm1.ipv4)],
		['ARP request for the host', arpRequest(gateway, host.ipv4)],
		['ARP reply to a guest', arpReply(gateway, vm1, toMaster)],
		['solicitation for a guest', solicit(gateway, vm1.ipv6)],
		['unicast solicitation for a guest', solicitUnicast(gateway, vm1, toMaster)],
		["duplicate address detection for a guest's address", detectDuplicate(laptop, vm1.ipv6)],
		['unsolicited advertisement of the gateway', advertiseToAll(gateway)],
	]),
	...fromGuest(
		[
			['guest to guest', packet4(vm1, vm2)],
			['guest to guest, IPv6', packet6(vm1, vm2)],
			['guest to guest by the broadcast MAC', packet4(vm1, vm2, { destination: BROADCAST })],
			['guest to gateway', packet4(vm1, gateway)],
			['ARP request for a guest', arpRequest(vm1, vm2.ipv4)],
			['guest to itself', packet4(vm1, vm1)],
		],
		'private',
	),
	...fromGuest(
		[
			['guest to guest', packet4(vm1, vm2)],
			['guest to guest, IPv6', packet6(vm1, vm2)],
			['guest to gateway', packet4(vm1, gateway)],
			['ARP request for a guest', arpRequest(vm1, vm2.ipv4)],
		],
		'vepa',
	),
];

type Named = readonly [name: string, frame: Uint8Array];

function fromGuest(frames: readonly Named[], flag: FlagName = 'bridge'): Asked[] {
	const senders = [vm1, vm2, vm3];
	return frames.map(([name, frame]) => {
		const source = Buffer.from(frame.subarray(6, 12))
			.toString('hex')
			.replace(/..(?!$)/g, '$&:');
		return { name, flag, from: senders.find(({ mac }) => mac === source)!.name, frame };
	});
}

function fromWire(frames: readonly Named[]): Asked[] {
	return frames.map(([name, frame]) => ({ name, from: 'wire', frame }));
}
