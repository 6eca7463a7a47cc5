/** Frames for conditions of the eBPF programs that the decision table has no use for: the forwarder doesn't ask there. */
import type { FlagName, ModeName } from '../../../src/datapath/port-state.js';
import type { Place } from '../../cases/case.js';
import {
	advertise,
	announcement,
	arpProbe,
	arpReply,
	arpRequest,
	multicast4,
	multicast6,
	packet4,
	packet6,
	solicit,
} from '../../cases/traffic.js';
import {
	arp,
	cut,
	ethernet,
	fragmentHeader,
	icmpv6,
	nonce,
	other,
	padded,
	patched,
	raw,
	routerAdvertisement,
	sourceLinkLayer,
	targetLinkLayer,
	tcp,
	u16,
	udp,
} from '../../helpers/frames.js';
import type { Topology } from '../../helpers/pure-port.js';
import { BROADCAST, gateway, host, laptop, MASTER, type Station, vm1, vm2 } from '../../helpers/world.js';

export interface Corner {
	name: string;
	from: Place;
	frame: Uint8Array;
	flag?: FlagName;
	mode?: ModeName;
	/** In place of the table's. */
	routes?: Topology['routes'];
	/** There are no slaves. */
	empty?: true;
}

const toMaster = { destination: MASTER };
const ETHERNET = 14;
const nobody = { ...gateway, ipv4: '0.0.0.0' };

export const corners: readonly Corner[] = [
	{ name: 'to a group of nobody', from: 'host', empty: true, frame: multicast4(host, '239.1.2.3') },
	{ name: 'DHCPv6 to all servers', from: 'host', frame: multicast6(host, 'ff02::1:2', {}, udp(546, 547)) },
	{ name: 'a question about nobody', from: 'wire', frame: question(gateway, '0.0.0.0') },
	{
		name: 'an answer from nobody to everybody',
		from: 'wire',
		frame: arpReply(nobody, laptop, { destination: BROADCAST }),
	},
	{
		name: 'an answer to nobody, to everybody',
		from: 'wire',
		frame: arpReply(laptop, nobody, { destination: BROADCAST }),
	},
	{
		name: 'an answer to nobody, where nobody is',
		from: 'wire',
		frame: arpReply(laptop, nobody, toMaster),
		empty: true,
	},
	{ name: 'a probe that may not reach', from: 'vm2', frame: arpProbe(vm2, vm1.ipv4), flag: 'private' },
	{
		name: 'a router speaks to the host',
		from: 'wire',
		frame: packet6(gateway, host, toMaster, routerAdvertisement(), { hopLimit: 255 }),
	},
	{
		name: 'another protocol from another MAC',
		from: 'vm1',
		frame: ethernet({ source: vm2.mac, destination: gateway.mac }, other(0x88b5)),
	},
	{ name: 'a padded question about the host', from: 'vm1', frame: padded(arpRequest(vm1, host.ipv4)) },
	{
		name: 'a damaged packet to everybody',
		from: 'wire',
		frame: packet4(gateway, vm1, { destination: BROADCAST }, udp(), { totalLength: 9000 }),
	},
	{
		name: 'unicast to the port of DHCP clients',
		from: 'wire',
		frame: packet4(gateway, vm1, toMaster, udp(67, 68)),
	},
	{
		name: 'a fragment that is all header and less',
		from: 'vm1',
		frame: patched(packet6(vm1, gateway, {}, raw(44, new Uint8Array(16))), ETHERNET + 4, u16(7)),
	},
	{
		name: 'a fragment that is not there',
		from: 'vm1',
		frame: cut(packet6(vm1, gateway, {}, raw(44, new Uint8Array(16))), ETHERNET + 40),
	},
	{
		name: 'a first fragment with half a UDP header',
		from: 'vm1',
		frame: packet6(vm1, gateway, {}, raw(17, new Uint8Array(4)), { extensions: [fragmentHeader(0, true)] }),
	},
	{
		name: 'a solicitation without a target',
		from: 'vm1',
		frame: packet6(vm1, gateway, {}, raw(58, Uint8Array.of(135, 0, 0, 0, 0, 0, 0, 0)), { hopLimit: 255 }),
	},
	{
		name: 'a solicitation without a target, from the wire',
		from: 'wire',
		frame: packet6(gateway, vm1, toMaster, raw(58, Uint8Array.of(135, 0, 0, 0, 0, 0, 0, 0)), {
			hopLimit: 255,
		}),
	},
	{
		name: 'a solicitation for the host, longer than its answer',
		from: 'vm1',
		frame: solicit(vm1, host.ipv6, {}, {}, [sourceLinkLayer(vm1.mac), nonce()]),
	},
	{
		name: 'a solicitation for the host, shorter than its answer',
		from: 'vm1',
		frame: solicit(vm1, host.ipv6, {}, {}, []),
	},
	{
		name: 'from the port itself by way of a reflective relay, its sender unknown by now',
		from: 'wire',
		flag: 'vepa',
		frame: packet4({ ...laptop, mac: MASTER }, vm1, toMaster),
	},
	{
		name: 'the same with IPv6',
		from: 'wire',
		flag: 'vepa',
		frame: packet6({ ...laptop, mac: MASTER }, vm1, toMaster),
	},
	{ name: 'an announcement, and nobody to hear it', from: 'wire', empty: true, frame: announcement(gateway) },
	{ name: 'IPv4, and nobody to get it', from: 'wire', empty: true, frame: packet4(gateway, vm1, toMaster) },
	{ name: 'IPv6, and nobody to get it', from: 'wire', empty: true, frame: packet6(gateway, vm1, toMaster) },
	{
		name: "somebody else's lease renewed",
		from: 'vm1',
		frame: packet4({ ...vm2, mac: vm1.mac }, gateway, {}, udp(68, 67)),
	},
	{ name: 'the host to a DHCP client', from: 'host', frame: packet4(host, vm1, {}, udp(67, 68)) },
	{ name: 'the host to a group', from: 'host', frame: packet4(host, { ...vm1, ipv4: '224.0.0.251' }) },
	{ name: 'the host to a group of IPv6', from: 'host', frame: packet6(host, { ...vm1, ipv6: 'ff02::fb' }) },
	{
		name: 'one of its addresses with another MAC',
		from: 'vm1',
		frame: packet6(vm1, gateway, { source: vm2.mac }),
	},
	{ name: 'ICMPv6 beyond neighbour discovery', from: 'vm1', frame: packet6(vm1, gateway, {}, icmpv6(200)) },
	{
		name: 'a first fragment of TCP',
		from: 'vm1',
		frame: packet6(vm1, gateway, {}, tcp(), { extensions: [fragmentHeader(0, true)] }),
	},
	{
		name: "a solicitation with an advertisement's option",
		from: 'vm1',
		frame: solicit(vm1, gateway.ipv6, {}, {}, [targetLinkLayer(vm1.mac)]),
	},
	{ name: "a solicitation for one's own address", from: 'vm1', frame: solicit(vm1, vm1.ipv6) },
	{ name: 'an advertisement of a new address', from: 'vm1', frame: advertise(vm1, gateway, 'fe80::77') },
];

function question(from: Station, target: string): Uint8Array {
	return ethernet(
		{ source: from.mac, destination: BROADCAST },
		arp({ operation: 1, senderMac: from.mac, sender: from.ipv4, target }),
	);
}
