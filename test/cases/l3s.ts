/** Design 5.6: unicast goes by way of the host's stack, both ways; ipvtap answers questions, as in l3. */
import { icmp, redirect, udp } from '../helpers/frames.js';
import { gateway, host, laptop, MASTER, type Station, server, vm1, vm2, vm3 } from '../helpers/world.js';
import { type Case, copied, delivered, dropped, ignored } from './case.js';
import {
	advertise,
	arpProbe,
	arpReply,
	arpRequest,
	multicast4,
	packet4,
	packet6,
	solicit,
} from './traffic.js';

const l3s = { mode: 'l3s' } as const;
const viaMaster = { destination: MASTER };
const asMaster = (station: Station): Station => ({ ...station, mac: MASTER });

export const l3sCases: Case[] = [
	delivered(
		'to a guest: by the host',
		'vm1',
		packet4(vm1, asMaster(vm2)),
		'host',
		packet4(vm1, asMaster(vm2)),
		l3s,
	),
	delivered('to a guest by its own MAC', 'vm1', packet6(vm1, vm2), 'host', packet6(vm1, asMaster(vm2)), l3s),
	delivered('to the LAN', 'vm1', packet4(vm1, laptop), 'host', packet4(vm1, asMaster(laptop)), l3s),
	delivered(
		'to anywhere',
		'vm1',
		packet6(vm1, server, viaMaster),
		'host',
		packet6(vm1, asMaster(server)),
		l3s,
	),
	delivered('to the host', 'vm1', packet4(vm1, host), 'host', packet4(vm1, host), l3s),
	delivered(
		"the last hop: the host's business too",
		'vm1',
		packet4(vm1, server, viaMaster, udp(), { ttl: 1 }),
		'host',
		packet4(vm1, asMaster(server), {}, udp(), { ttl: 1 }),
		l3s,
	),
	dropped('to oneself', 'vm1', packet4(vm1, asMaster(vm1)), 'own-address', l3s),
	dropped('private: to a guest', 'vm1', packet4(vm1, asMaster(vm2)), 'private', { ...l3s, flag: 'private' }),
	dropped("with another's source", 'vm1', packet4({ ...vm1, ipv4: vm2.ipv4 }, laptop), 'ip-spoof', l3s),
	dropped('multicast', 'vm1', multicast4(vm1, '224.0.0.251'), 'not-routed', l3s),
	{
		name: 'the first packet claims its source',
		from: 'vm3',
		frame: packet4(vm3, laptop, viaMaster),
		verdict: 'claim',
		...l3s,
		out: [{ to: 'host', frame: packet4(vm3, asMaster(laptop)) }],
	},
	{
		name: 'ARP for a guest',
		from: 'vm1',
		frame: arpRequest(vm1, vm2.ipv4),
		verdict: 'answer',
		...l3s,
		out: [{ to: 'vm1', frame: arpReply(asMaster(vm2), vm1) }],
	},
	dropped("a probe for one's own address", 'vm1', arpProbe(vm1, vm1.ipv4), 'not-routed', l3s),
	ignored('from the LAN, for a guest: the host routes it', packet4(laptop, vm1, viaMaster), l3s),
	ignored('from the LAN, for a guest, IPv6', packet6(laptop, vm1, viaMaster), l3s),
	{
		name: "the LAN's ARP for a guest",
		from: 'wire',
		frame: arpRequest(gateway, vm1.ipv4),
		verdict: 'answer',
		...l3s,
		out: [{ to: 'wire', frame: arpReply(asMaster(vm1), gateway) }],
	},
	{
		name: 'somebody sees whether a guest still lives',
		from: 'wire',
		frame: solicit(laptop, vm1.ipv6, viaMaster, { destination: vm1.ipv6 }),
		verdict: 'answer',
		...l3s,
		out: [{ to: 'wire', frame: advertise(asMaster(vm1), laptop, vm1.ipv6, {}, { source: vm1.ipv6 }) }],
	},
	delivered(
		'from the host for a guest, whoever it is from',
		'host',
		packet4(laptop, vm1, { source: MASTER }),
		'vm1',
		packet4(laptop, vm1, { source: MASTER }),
		l3s,
	),
	delivered(
		'from one guest to another, sent on',
		'host',
		packet6(vm1, vm2, { source: MASTER }),
		'vm2',
		packet6(vm1, vm2, { source: MASTER }),
		l3s,
	),
	dropped(
		'the host sees a shorter way between guests, which is none',
		'host',
		packet4(host, vm1, {}, icmp(5)),
		'not-routed',
		l3s,
	),
	dropped(
		'the host sees a shorter way between guests, IPv6',
		'host',
		packet6({ ...host, ipv6: host.linkLocal }, vm1, {}, redirect(vm2.ipv6, vm2.ipv6), { hopLimit: 255 }),
		'not-routed',
		l3s,
	),
	copied('multicast for who is nominated', 'wire', multicast4(gateway, '224.0.0.251'), ['vm2'], undefined, {
		...l3s,
		multicastSlave: 'vm2',
	}),
];
