/** Design 5.4: what of DHCP goes the slow path, and what no guest may say. Beside these, DHCPv4 is in multicast.ts. */
import { destinationOptions, fragmentHeader, hopByHop, udp } from '../helpers/frames.js';
import { gateway, host, laptop, MASTER, vm1, vm2, vm4 } from '../helpers/world.js';
import { type Case, copied, delivered, dropped, ignored, type Place } from './case.js';
import { multicast4, multicast6, packet4, packet6 } from './traffic.js';

const natted = { source: MASTER };
const toMaster = { destination: MASTER };
const everybody = '255.255.255.255';
const servers6 = 'ff02::1:2';
const message4 = new Uint8Array(300);
/** Information-request, solicit and reply of transaction 1, without options: legal as far as the fast path looks. */
const asks = Uint8Array.of(11, 0, 0, 1);
const solicit = Uint8Array.of(1, 0, 0, 1);
const reply = Uint8Array.of(7, 0, 0, 1);
const relayed = Uint8Array.of(12, 0, 0, 1);
const stranger = { ...vm1, linkLocal: 'fe80::99' };

export const dhcpCases: Case[] = [
	{
		name: 'DHCPv6 from a link-local address that the port has not seen yet: to servers only',
		from: 'vm1',
		frame: multicast6(stranger, servers6, {}, udp(546, 547, solicit)),
		verdict: 'claim',
		out: [
			{ to: 'wire', frame: multicast6(stranger, servers6, natted, udp(546, 547, solicit)) },
			{ to: 'host', frame: multicast6(stranger, servers6, {}, udp(546, 547, solicit)) },
		],
	},
	followed('DHCPv6 to all servers', 'vm1', multicast6(vm1, servers6, {}, udp(546, 547, asks)), {
		wire: multicast6(vm1, servers6, natted, udp(546, 547, asks)),
		host: multicast6(vm1, servers6, {}, udp(546, 547, asks)),
	}),
	followed('DHCPv6 to one server', 'vm1', packet6(vm1, gateway, {}, udp(546, 547, asks)), {
		wire: packet6(vm1, gateway, natted, udp(546, 547, asks)),
	}),
	followed('DHCPv6 to a server on the host', 'vm1', packet6(vm1, host, {}, udp(546, 547, asks)), {
		host: packet6(vm1, host, {}, udp(546, 547, asks)),
	}),
	followed('DHCPv6 from another source port', 'vm1', packet6(vm1, gateway, {}, udp(40000, 547, asks)), {
		wire: packet6(vm1, gateway, natted, udp(40000, 547, asks)),
	}),
	followed(
		'DHCPv6 from a server on the wire',
		'wire',
		packet6(gateway, vm1, toMaster, udp(547, 546, reply)),
		{
			vm1: packet6(gateway, vm1, {}, udp(547, 546, reply)),
		},
	),
	followed('DHCPv6 from a server on the host', 'host', packet6(host, vm1, {}, udp(547, 546, reply)), {
		vm1: packet6(host, vm1, {}, udp(547, 546, reply)),
	}),
	ignored(
		'DHCPv6 from a server on the wire to the host',
		packet6(gateway, host, toMaster, udp(547, 546, reply)),
	),
	delivered(
		'UDP to a guest from a port of DHCPv6, but to another',
		'wire',
		packet6(gateway, vm1, toMaster, udp(546, 5353, reply)),
		'vm1',
		packet6(gateway, vm1, { destination: vm1.mac }, udp(546, 5353, reply)),
	),
	copied("a LAN client's DHCP discover is no guest's business", 'wire', discover(), []),
	copied(
		"a LAN client's DHCPv6 solicit is no guest's business",
		'wire',
		multicast6(laptop, servers6, {}, udp(546, 547, solicit)),
		[],
	),
	dropped(
		"a guest's own DHCP answer, reflected",
		'wire',
		multicast4(vm1, everybody, natted, udp(67, 68, message4)),
		'reflected',
	),
	dropped(
		"a guest's own DHCPv6 answer, reflected",
		'wire',
		packet6(vm2, vm1, { source: MASTER, destination: MASTER }, udp(547, 546, reply)),
		'reflected',
	),

	...['dhcp-guard' as const].flatMap(reason => [
		dropped(
			'a DHCP reply from a port of no server',
			'vm1',
			packet4(vm1, vm2, {}, udp(1067, 68, message4)),
			reason,
		),
		dropped('a DHCP reply cut short', 'vm1', packet4(vm1, vm2, {}, udp(67, 68)), reason),
		dropped(
			'the first fragment of a DHCP reply',
			'vm1',
			packet4(vm1, vm2, {}, udp(67, 68, message4), { fragment: 0x2000 }),
			reason,
		),
		dropped('a DHCPv6 reply', 'vm1', packet6(vm1, vm2, {}, udp(547, 546, reply)), reason),
		dropped('a DHCPv6 reply to the wire', 'vm1', packet6(vm1, laptop, {}, udp(547, 546, reply)), reason),
		dropped(
			'a DHCPv6 reply from a port of no server',
			'vm1',
			packet6(vm1, vm2, {}, udp(9, 546, reply)),
			reason,
		),
		dropped(
			'a DHCPv6 reply behind destination options',
			'vm1',
			packet6(vm1, vm2, {}, udp(547, 546, reply), { extensions: [destinationOptions] }),
			reason,
		),
		dropped(
			'the first fragment of a DHCPv6 reply',
			'vm1',
			packet6(vm1, vm2, {}, udp(547, 546, reply), { extensions: [fragmentHeader(0, true)] }),
			reason,
		),
		dropped(
			"a relay agent's DHCPv6 message",
			'vm1',
			multicast6(vm1, servers6, {}, udp(547, 547, relayed)),
			reason,
		),
		dropped(
			"a server's message to servers",
			'vm1',
			multicast6(vm1, servers6, {}, udp(546, 547, reply)),
			reason,
		),
		dropped(
			'a DHCPv6 request behind a router alert',
			'vm1',
			multicast6(vm1, servers6, {}, udp(546, 547, asks), { extensions: [hopByHop] }),
			reason,
		),
	]),
	dropped(
		'a DHCP release from a port of no client: a server would take it',
		'vm1',
		packet4(vm1, gateway, {}, udp(1068, 67, message4)),
		'dhcp-spoof',
	),
	dropped(
		"a relay agent's DHCP request",
		'vm4',
		packet4(vm4, gateway, {}, udp(67, 67, message4)),
		'dhcp-spoof',
	),
	dropped('a DHCP request cut short', 'vm4', packet4(vm4, gateway, {}, udp(68, 67)), 'malformed'),
	delivered(
		'what only looks like a reply: a later fragment',
		'vm1',
		packet4(vm1, vm2, {}, udp(67, 68, message4), { fragment: 0x2010 }),
		'vm2',
		packet4(vm1, vm2, {}, udp(67, 68, message4), { fragment: 0x2010 }),
	),
];

/** Goes the slow path, and on from there as its addresses say. */
function followed(
	name: string,
	from: Place,
	frame: Uint8Array,
	receivers: Partial<Record<Place, Uint8Array>>,
): Case {
	const out = Object.entries(receivers).map(([to, copy]) => ({ to: to as Place, frame: copy }));
	return { name, from, frame, verdict: 'dhcp', out };
}

function discover(): Uint8Array {
	return multicast4(laptop, everybody, {}, udp(68, 67, message4), { source: '0.0.0.0' });
}
