/** The whole decision table, by room. */

import type { ModeName } from '../../src/datapath/port-state.js';
import type { Topology } from '../helpers/pure-port.js';
import { slaves, standardTopology } from '../helpers/world.js';
import { arpCases } from './arp.js';
import type { Case, Place, Question } from './case.js';
import { dhcpCases } from './dhcp.js';
import { flagCases } from './flags.js';
import { hostCases } from './host.js';
import { ipv4Cases } from './ipv4.js';
import { ipv6Cases } from './ipv6.js';
import { l3Cases } from './l3.js';
import { l3sCases } from './l3s.js';
import { malformedCases } from './malformed.js';
import { multicastCases } from './multicast.js';
import { ndCases } from './nd.js';
import { ndSpoofCases } from './nd-spoof.js';
import { reflectedCases } from './reflected.js';
import { spoofCases } from './spoof.js';

export const rooms: Readonly<Record<string, readonly Case[]>> = {
	ipv4: ipv4Cases,
	arp: arpCases,
	nd: ndCases,
	ipv6: ipv6Cases,
	multicast: multicastCases,
	dhcp: dhcpCases,
	spoof: spoofCases,
	'nd-spoof': ndSpoofCases,
	malformed: malformedCases,
	flags: flagCases,
	reflected: reflectedCases,
	host: hostCases,
	l3: l3Cases,
	l3s: l3sCases,
};

/** What is decided in one mode, by room. */
export function roomsOf(wanted: ModeName): Readonly<Record<string, readonly Case[]>> {
	return Object.fromEntries(
		Object.entries(rooms)
			.map(([room, cases]) => [room, cases.filter(({ mode = 'l2' }) => mode === wanted)] as const)
			.filter(([, cases]) => cases.length > 0),
	);
}

/** The port that a case happens on. */
export function topologyOf({ flag, noHost, mode, multicastSlave }: Question): Topology {
	return standardTopology(flag, !noHost, mode, multicastSlave);
}

/** A port takes longer to make than a frame to judge, and whoever judges hears what guests say of their groups. */
export function byTopology<Q extends Question>(cases: readonly Q[]): Iterable<[Topology, Q[]]> {
	const groups = new Map<string, [Topology, Q[]]>();
	for (const one of cases) {
		const topology = topologyOf(one);
		const key = JSON.stringify(topology);
		const group = groups.get(key);
		if (group) group[1].push(one);
		else groups.set(key, [topology, [one]]);
	}
	return groups.values();
}

/** The edge that a place is on that port. */
export function edgeOf(place: Place): number {
	if (place === 'wire') return 0;
	return place === 'host' ? 1 : (slaves.find(({ name }) => name === place)?.edge ?? -1);
}
