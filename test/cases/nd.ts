/** Design 5.1 and 5.2: neighbour discovery; options and checksum follow the MAC. */

import {
	bytesOf,
	ethernet,
	icmpv6,
	ipv6,
	type Link,
	nonce,
	octets,
	redirect,
	routerAdvertisement,
	sourceLinkLayer,
	targetLinkLayer,
} from '../helpers/frames.js';
import { gateway, host, laptop, MASTER, type Station, vm1, vm2, vm3, vm4 } from '../helpers/world.js';
import { type Case, copied, delivered, dropped, ignored } from './case.js';
import {
	ALL_NODES,
	advertise,
	advertiseToAll,
	detectDuplicate,
	groupMac6,
	packet6,
	solicit,
	solicitRouters,
	solicitUnicast,
} from './traffic.js';

const natted = { source: MASTER };
const spare = '2001:db8:1::77';
const toGroup = groupMac6(ALL_NODES);
/** On-link, and for addresses of one's own (RFC 4861, 4.6.2). */
const AUTONOMOUS = 0x40;

export const ndCases: Case[] = [
	delivered(
		"solicitation for another guest's address: to that one alone",
		'vm1',
		solicit(vm1, vm2.ipv6),
		'vm2',
		solicit(vm1, vm2.ipv6),
	),
	delivered(
		'solicitation for the gateway',
		'vm1',
		solicit(vm1, gateway.linkLocal),
		'wire',
		solicit(vm1, gateway.linkLocal, natted),
	),
	delivered(
		'solicitation with other options around the one that counts',
		'vm1',
		solicit(vm1, gateway.linkLocal, {}, {}, [nonce(), sourceLinkLayer(vm1.mac), nonce()]),
		'wire',
		solicit(vm1, gateway.linkLocal, natted, {}, [nonce(), sourceLinkLayer(MASTER), nonce()]),
	),
	delivered(
		'solicitation without options',
		'vm1',
		solicit(vm1, gateway.linkLocal, {}, {}, []),
		'wire',
		solicit(vm1, gateway.linkLocal, natted, {}, []),
	),
	delivered(
		'solicitation from a global address',
		'vm1',
		solicit(vm1, gateway.ipv6, {}, { source: vm1.ipv6 }),
		'wire',
		solicit(vm1, gateway.ipv6, natted, { source: vm1.ipv6 }),
	),
	delivered(
		'unicast solicitation to the gateway',
		'vm1',
		solicitUnicast(vm1, gateway),
		'wire',
		solicitUnicast(vm1, gateway, natted),
	),
	delivered(
		"unicast solicitation to a guest by the master's MAC",
		'vm1',
		solicitUnicast(vm1, vm2, { destination: MASTER }),
		'vm2',
		solicitUnicast(vm1, vm2),
	),
	delivered(
		"solicitation for an address that a guest could learn but hasn't",
		'vm1',
		solicit(vm1, vm3.ipv6),
		'wire',
		solicit(vm1, vm3.ipv6, natted),
	),
	{
		name: 'solicitation for the host: answered in its place',
		from: 'vm1',
		frame: solicit(vm1, host.ipv6),
		verdict: 'answer',
		out: [{ to: 'vm1', frame: advertise(host, vm1, host.ipv6, {}, { source: host.ipv6 }) }],
	},
	{
		name: 'unicast solicitation for the host',
		from: 'vm1',
		frame: solicitUnicast(vm1, host),
		verdict: 'answer',
		out: [{ to: 'vm1', frame: advertise(host, vm1) }],
	},
	{
		name: "duplicate address detection for the host's address: it is taken, everybody is told",
		from: 'vm3',
		frame: detectDuplicate(vm3, host.linkLocal),
		verdict: 'answer',
		out: [{ to: 'vm3', frame: advertiseToAll(host) }],
	},
	dropped(
		'solicitation for a host that is not there',
		'vm1',
		solicit(vm1, host.ipv6),
		'unknown-destination',
		{ noHost: true },
	),
	delivered(
		"duplicate address detection for another guest's address",
		'vm3',
		detectDuplicate(vm3, vm1.ipv6),
		'vm1',
		detectDuplicate(vm3, vm1.ipv6),
	),
	delivered(
		"duplicate address detection for one's own address",
		'vm1',
		detectDuplicate(vm1, vm1.ipv6),
		'wire',
		detectDuplicate(vm1, vm1.ipv6, natted),
	),
	{
		name: 'duplicate address detection claims the address',
		from: 'vm3',
		frame: detectDuplicate(vm3, vm3.ipv6),
		verdict: 'claim',
		out: [{ to: 'wire', frame: detectDuplicate(vm3, vm3.ipv6, natted) }],
	},
	{
		name: 'a link-local address is claimable without learning',
		from: 'vm1',
		frame: detectDuplicate(vm1, 'fe80::5054:ff:fe00:11'),
		verdict: 'claim',
		out: [{ to: 'wire', frame: detectDuplicate(vm1, 'fe80::5054:ff:fe00:11', natted) }],
	},
	{
		name: 'a solicitation claims its source',
		from: 'vm3',
		frame: solicit(vm3, gateway.linkLocal),
		verdict: 'claim',
		out: [{ to: 'wire', frame: solicit(vm3, gateway.linkLocal, natted) }],
	},
	{
		name: 'an advertisement claims its target',
		from: 'vm4',
		frame: advertise(vm4, gateway, spare),
		verdict: 'claim',
		out: [{ to: 'wire', frame: advertise(vm4, gateway, spare, natted) }],
	},
	{
		name: 'an advertisement claims its source and its target',
		from: 'vm3',
		frame: advertise(vm3, gateway, vm3.ipv6),
		verdict: 'claim',
		out: [{ to: 'wire', frame: advertise(vm3, gateway, vm3.ipv6, natted) }],
	},

	delivered('advertisement to a guest', 'vm1', advertise(vm1, vm2), 'vm2', advertise(vm1, vm2)),
	delivered(
		'advertisement to the gateway',
		'vm1',
		advertise(vm1, gateway),
		'wire',
		advertise(vm1, gateway, vm1.linkLocal, natted),
	),
	delivered(
		'advertisement without its option',
		'vm1',
		advertise(vm1, gateway, vm1.ipv6, {}, {}, []),
		'wire',
		advertise(vm1, gateway, vm1.ipv6, natted, {}, []),
	),
	delivered('advertisement to the host', 'vm1', advertise(vm1, host), 'host', advertise(vm1, host)),
	delivered(
		'advertisement to the host by another MAC',
		'vm1',
		advertise(vm1, host, vm1.linkLocal, { destination: gateway.mac }),
		'host',
		advertise(vm1, host),
	),
	copied(
		'unsolicited advertisement',
		'vm1',
		advertiseToAll(vm1, vm1.ipv6),
		['host', 'vm2', 'vm3', 'vm4'],
		advertiseToAll(vm1, vm1.ipv6, natted),
	),
	copied(
		'unsolicited advertisement behind a unicast MAC',
		'vm1',
		advertiseToAll(vm1, vm1.ipv6, { destination: gateway.mac }),
		['host', 'vm2', 'vm3', 'vm4'],
		advertiseToAll(vm1, vm1.ipv6, natted),
		{ out: [{ to: 'host', frame: advertiseToAll(vm1, vm1.ipv6) }] },
	),
	copied(
		'router solicitation',
		'vm1',
		solicitRouters(vm1),
		['host', 'vm2', 'vm3', 'vm4'],
		solicitRouters(vm1, natted),
	),
	delivered(
		'unicast router solicitation',
		'vm1',
		solicitRouters(vm1, { destination: gateway.mac }, { destination: gateway.linkLocal }),
		'wire',
		solicitRouters(vm1, { source: MASTER, destination: gateway.mac }, { destination: gateway.linkLocal }),
	),

	delivered(
		"the gateway's solicitation for a guest: to that one alone",
		'wire',
		solicit(gateway, vm1.ipv6),
		'vm1',
		solicit(gateway, vm1.ipv6),
	),
	delivered(
		"the gateway's unicast solicitation",
		'wire',
		solicitUnicast(gateway, vm1, { destination: MASTER }),
		'vm1',
		solicitUnicast(gateway, vm1),
	),
	delivered(
		'a solicitation that an access point has turned into unicast',
		'wire',
		solicit(gateway, vm1.ipv6, { destination: MASTER }),
		'vm1',
		solicit(gateway, vm1.ipv6, { destination: vm1.mac }),
	),
	delivered(
		"somebody's duplicate address detection for a guest's address: the guest defends it",
		'wire',
		detectDuplicate(laptop, vm1.ipv6),
		'vm1',
		detectDuplicate(laptop, vm1.ipv6),
	),
	delivered(
		"the gateway's advertisement to a guest",
		'wire',
		advertise(gateway, vm1, gateway.linkLocal, { destination: MASTER }),
		'vm1',
		advertise(gateway, vm1),
	),
	delivered(
		"a router's unicast advertisement to a guest",
		'wire',
		packet6(gateway, vm1, { destination: MASTER }, routerAdvertisement([sourceLinkLayer(gateway.mac)]), {
			source: gateway.linkLocal,
			destination: vm1.linkLocal,
			hopLimit: 255,
		}),
		'vm1',
		packet6(gateway, vm1, {}, routerAdvertisement([sourceLinkLayer(gateway.mac)]), {
			source: gateway.linkLocal,
			destination: vm1.linkLocal,
			hopLimit: 255,
		}),
		{ verdict: 'router' },
	),
	delivered(
		'the same to a guest that may choose addresses: it is invited to',
		'wire',
		routerTo(vm4, { destination: MASTER }, AUTONOMOUS),
		'vm4',
		routerTo(vm4, {}, AUTONOMOUS),
		{ verdict: 'router' },
	),
	delivered(
		'the same to a guest that may not: it is not',
		'wire',
		routerTo(vm1, { destination: MASTER }, AUTONOMOUS),
		'vm1',
		routerTo(vm1, {}, 0),
		{ verdict: 'router' },
	),
	delivered(
		'the same from the host',
		'host',
		routerTo(vm1, { source: MASTER }, AUTONOMOUS),
		'vm1',
		routerTo(vm1, { source: MASTER }, 0),
		{ verdict: 'router' },
	),
	delivered(
		"a router's redirect to a guest",
		'wire',
		packet6(
			gateway,
			vm1,
			{ destination: MASTER },
			redirect(laptop.linkLocal, laptop.ipv6, [targetLinkLayer(laptop.mac)]),
			{ source: gateway.linkLocal, hopLimit: 255 },
		),
		'vm1',
		packet6(gateway, vm1, {}, redirect(laptop.linkLocal, laptop.ipv6, [targetLinkLayer(laptop.mac)]), {
			source: gateway.linkLocal,
			hopLimit: 255,
		}),
	),
	ignored('solicitation for the host', solicit(gateway, host.ipv6)),
	ignored('solicitation for somebody else', solicit(gateway, laptop.ipv6)),
	ignored('duplicate address detection for a free address', detectDuplicate(laptop, spare)),
	ignored('advertisement to the host', advertise(gateway, host)),
	copied(
		'router advertisement',
		'wire',
		ethernet(
			{ source: gateway.mac, destination: toGroup },
			ipv6(
				{ source: gateway.linkLocal, destination: ALL_NODES, hopLimit: 255 },
				routerAdvertisement([sourceLinkLayer(gateway.mac)]),
			),
		),
		['vm1', 'vm2', 'vm3', 'vm4'],
	),
	copied('unsolicited advertisement of the gateway', 'wire', advertiseToAll(gateway), [
		'vm1',
		'vm2',
		'vm3',
		'vm4',
	]),
	delivered(
		'ICMPv6 that is not discovery goes by its destination',
		'vm1',
		packet6(vm1, vm2, {}, icmpv6(128)),
		'vm2',
		packet6(vm1, vm2, {}, icmpv6(128)),
	),
];

/** The gateway's advertisement of a prefix to one guest. @param autonomous AUTONOMOUS or 0. */
function routerTo(guest: Station, link: Partial<Link>, autonomous: number): Uint8Array {
	const lifetimes = [0, 0, 14, 16, 0, 0, 14, 16, 0, 0, 0, 0];
	const data = bytesOf([64, 0x80 | autonomous], lifetimes, octets('2001:db8:1::'));
	return packet6(gateway, guest, link, routerAdvertisement([{ type: 3, data }]), {
		source: gateway.linkLocal,
		destination: guest.linkLocal,
		hopLimit: 255,
	});
}
