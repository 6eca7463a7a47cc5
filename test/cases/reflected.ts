/** Design 5.2: what a switch or an access point sends back to us is not delivered again. */
import { hopByHop } from '../helpers/frames.js';
import { gateway, host, laptop, MASTER, vm1, vm2, vm3 } from '../helpers/world.js';
import { type Case, copied, dropped, ignored } from './case.js';
import {
	advertiseToAll,
	announcement,
	arpProbe,
	arpReply,
	arpRequest,
	detectDuplicate,
	dhcpDiscover,
	mldReport,
	multicast4,
	multicast6,
	packet4,
	packet6,
	solicit,
	solicitRouters,
} from './traffic.js';

const natted = { source: MASTER };
const toMaster = { source: MASTER, destination: MASTER };

export const reflectedCases: Case[] = [
	dropped("a guest's multicast", 'wire', multicast4(vm1, '224.0.0.251', natted), 'reflected'),
	dropped("a guest's broadcast", 'wire', multicast4(vm1, '255.255.255.255', natted), 'reflected'),
	dropped("a guest's IPv6 multicast", 'wire', multicast6(vm1, 'ff02::fb', natted), 'reflected'),
	dropped(
		"a guest's multicast, turned into unicast",
		'wire',
		multicast4(vm1, '224.0.0.251', toMaster),
		'reflected',
	),
	dropped("a guest's unsolicited advertisement", 'wire', advertiseToAll(vm1, vm1.ipv6, natted), 'reflected'),
	dropped("a guest's router solicitation", 'wire', solicitRouters(vm1, natted), 'reflected'),
	dropped('a DHCP discover of a guest without an address', 'wire', dhcpDiscover(vm3, natted), 'reflected'),
	dropped(
		'an MLD report of a guest without an address',
		'wire',
		multicast6(vm3, 'ff02::16', natted, mldReport('ff02::fb'), { source: '::', extensions: [hopByHop] }),
		'reflected',
	),
	dropped("a guest's announcement", 'wire', announcement(vm1, natted), 'reflected'),
	dropped(
		"a guest's broadcast ARP reply",
		'wire',
		arpReply(vm1, laptop, { source: MASTER, destination: 'ff:ff:ff:ff:ff:ff' }),
		'reflected',
	),
	dropped(
		"a guest's probe: it must not see its own address taken",
		'wire',
		arpProbe(vm1, vm1.ipv4, natted),
		'reflected',
	),
	dropped(
		"a guest's duplicate address detection",
		'wire',
		detectDuplicate(vm1, vm1.ipv6, natted),
		'reflected',
	),
	dropped('a packet from guest to guest', 'wire', packet4(vm1, vm2, toMaster), 'reflected'),
	dropped('an IPv6 packet from guest to guest', 'wire', packet6(vm1, vm2, toMaster), 'reflected'),
	dropped('ARP of one guest for another', 'wire', arpRequest(vm1, vm2.ipv4, natted), 'reflected'),
	dropped('a solicitation of one guest for another', 'wire', solicit(vm1, vm2.ipv6, natted), 'reflected'),
	ignored("a guest's ARP for the gateway: nobody here is meant", arpRequest(vm1, gateway.ipv4, natted)),
	ignored("a guest's solicitation for the gateway", solicit(vm1, gateway.linkLocal, natted)),
	ignored("a guest's packet to the host", packet4(vm1, host, toMaster)),
	dropped(
		"the host's multicast: guests have had it by the host slave",
		'wire',
		multicast4(host, '224.0.0.251'),
		'reflected',
	),
	dropped("the host's IPv6 multicast", 'wire', multicast6(host, 'ff02::fb'), 'reflected'),
	dropped("the host's broadcast", 'wire', multicast4(host, '255.255.255.255'), 'reflected'),
	copied("the host's announcement: its ARP doesn't come by the host slave", 'wire', announcement(host), [
		'vm1',
		'vm2',
		'vm4',
	]),
	copied(
		"the host's multicast, no host slave: the reflection is the only copy that guests can get",
		'wire',
		multicast4(host, '224.0.0.251'),
		['vm1', 'vm2', 'vm4'],
		undefined,
		{ noHost: true },
	),
];
