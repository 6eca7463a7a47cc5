/**
 * The standard port that the decision table is about:
 *
 *      vm1 ─┐                                        ┌─ gateway 192.0.2.1
 *      vm2 ─┤                                        │
 *      vm3 ─┤── port ── master 02:00:00:00:00:aa ────┴─ laptop  192.0.2.20
 *      vm4 ─┘      └── host 192.0.2.2
 *
 * vm1 and vm2 have the addresses that they were given and may claim no others but link-local ones; vm3 learns
 * and has nothing yet; vm4 learns and has some already. Plain data: whoever drives the table, in this process,
 * over real TAPs or in the kernel, builds the same port from it.
 */
import { type FlagName, flagNumbers, type ModeName, PortState } from '../../src/datapath/port-state.js';
import type { Hop } from '../../src/datapath/routing/routing.js';
import { EDGE_HOST } from '../../src/datapath/verdict.js';
import type { Topology } from './pure-port.js';

/** Somebody with one MAC and one address of each kind. */
export interface Station {
	mac: string;
	ipv4: string;
	ipv6: string;
	linkLocal: string;
}

export interface Slave extends Station {
	name: SlaveName;
	edge: number;
	learns: boolean;
	/** Whether the port knows the addresses from the beginning. */
	owns: boolean;
}

export type SlaveName = 'vm1' | 'vm2' | 'vm3' | 'vm4';

export const MASTER = '02:00:00:00:00:aa';
export const BROADCAST = 'ff:ff:ff:ff:ff:ff';

export const host = station(MASTER, '192.0.2.2', '2001:db8:1::2', 'fe80::aa');
export const gateway = station('02:00:00:00:00:01', '192.0.2.1', '2001:db8:1::1', 'fe80::1');
export const laptop = station('02:00:00:00:00:20', '192.0.2.20', '2001:db8:1::20', 'fe80::20');

export const vm1 = slave('vm1', 2, '11', { learns: false, owns: true });
export const vm2 = slave('vm2', 3, '12', { learns: false, owns: true });
export const vm3 = slave('vm3', 4, '13', { learns: true, owns: false });
export const vm4 = slave('vm4', 5, '14', { learns: true, owns: true });
export const slaves: readonly Slave[] = [vm1, vm2, vm3, vm4];

export function addressesOf({ ipv4, ipv6, linkLocal }: Station): string[] {
	return [ipv4, ipv6, linkLocal];
}

/** Somebody behind the gateway, and somebody on another network of the host's. */
export const server: Station = { ...station(gateway.mac, '100.64.0.9', '2001:db8:2::9', 'fe80::9') };
export const inner: Station = { ...station(MASTER, '203.0.113.9', '2001:db8:3::9', 'fe80::9') };

/**
 * How the host of the standard port routes in l3, as `ip route` says it: the words behind the prefix, and what they
 * come to. Everything else has no route.
 */
export const standardRoutes: readonly { prefix: string; words: string; hop: Hop }[] = [
	{ prefix: '192.0.2.0/24', words: '', hop: { to: 'wire' } },
	{ prefix: '192.0.2.255/32', words: '', hop: { to: 'not-routed' } },
	wire('100.64.0.0/24', gateway.ipv4),
	wire('100.64.1.0/24', gateway.ipv4, 600),
	{ prefix: '203.0.113.0/24', words: 'dev other', hop: { to: 'host' } },
	...nowhere('198.51.100.0/28', 'unreachable', 'unreachable'),
	...nowhere('198.51.100.16/28', 'prohibit', 'prohibited'),
	...nowhere('198.51.100.32/28', 'blackhole', 'blackhole'),
	{ prefix: '2001:db8:1::/64', words: '', hop: { to: 'wire' } },
	wire('2001:db8:2::/64', gateway.linkLocal),
	wire('2001:db8:2:1::/64', gateway.linkLocal, 1280),
	{ prefix: '2001:db8:3::/64', words: 'dev other', hop: { to: 'host' } },
	...nowhere('2001:db8:4::/64', 'unreachable', 'no-route'),
	...nowhere('2001:db8:5::/64', 'prohibit', 'prohibited'),
	...nowhere('2001:db8:6::/64', 'blackhole', 'blackhole'),
];

/** Whom the host knows on the wire. */
export const standardNeighbours: readonly { address: string; mac: string }[] = [gateway, laptop].flatMap(
	known => addressesOf(known).map(address => ({ address, mac: known.mac })),
);

function wire(prefix: string, gateway: string, mtu?: number): { prefix: string; words: string; hop: Hop } {
	const words = `via ${gateway} dev eth0${mtu === undefined ? '' : ` mtu ${mtu}`}`;
	return { prefix, words, hop: { to: 'wire', gateway, ...(mtu === undefined ? {} : { mtu }) } };
}

function nowhere(prefix: string, type: string, to: Hop['to']): { prefix: string; words: string; hop: Hop }[] {
	return [{ prefix, words: type, hop: { to } }];
}

/** The port as a list of who is there and who owns what. */
export function standardTopology(
	flag: FlagName = 'bridge',
	withHost = true,
	mode: ModeName = 'l2',
	multicastSlave?: SlaveName,
): Topology {
	const ofHost = addressesOf(host).map(address => ({ address, edge: EDGE_HOST, origin: 'host' as const }));
	const ofSlaves = slaves
		.filter(({ owns }) => owns)
		.flatMap(slave =>
			addressesOf(slave).map(address => ({ address, edge: slave.edge, origin: 'static' as const })),
		);
	const nominated = slaves.find(({ name }) => name === multicastSlave)?.edge;
	return {
		master: MASTER,
		host: withHost,
		flag,
		slaves,
		addresses: [...ofHost, ...ofSlaves],
		mode,
		routes: standardRoutes,
		neighbours: standardNeighbours,
		sources: { ipv4: host.ipv4, ipv6: host.ipv6 },
		...(nominated === undefined ? {} : { multicastSlave: nominated }),
	};
}

/** The port as a forwarder's thread sees it. */
export function standardPort(flag: FlagName = 'bridge', withHost = true): PortState {
	const state = new PortState(0x5eed);
	state.setMaster(MASTER);
	state.flag = flagNumbers[flag];
	state.host = withHost;
	for (const { edge, mac, learns } of slaves) state.addSlave(edge, mac, learns);
	for (const { address, edge } of standardTopology(flag, withHost).addresses) state.assign(address, edge);
	return state;
}

function station(mac: string, ipv4: string, ipv6: string, linkLocal: string): Station {
	return { mac, ipv4, ipv6, linkLocal };
}

function slave(
	name: SlaveName,
	edge: number,
	number: string,
	rights: { learns: boolean; owns: boolean },
): Slave {
	const addresses = station(
		`52:54:00:00:00:${number}`,
		`192.0.2.${number}`,
		`2001:db8:1::${number}`,
		`fe80::${number}`,
	);
	return { name, edge, ...addresses, ...rights };
}
