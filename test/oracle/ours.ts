/** What we make of a case, in the terms in which the kernel answers: who gets which frame, the host's stack included. */
import { keyOf } from '../../src/datapath/address-key.js';
import { masterDropFilter } from '../../src/datapath/filter/programs.js';
import { EDGE_HOST, EDGE_WIRE, verdictName } from '../../src/datapath/verdict.js';
import type { Place } from '../cases/case.js';
import { load } from '../helpers/classic-bpf-machine.js';
import { PurePort, type Topology } from '../helpers/pure-port.js';
import { addressesOf, gateway, slaves, standardTopology } from '../helpers/world.js';
import type { Kind, Mode } from './configurations.js';
import type { Asked } from './l3-cases.js';
import type { Departure } from './plan.js';

/** Whether we have the kind of port too: `vepa` has no sense where the host's stack decides (docs/modes.md). */
export function isOurs({ mode, flag }: Kind): boolean {
	return mode !== 'l3s' || flag !== 'vepa';
}

export interface Ours {
	/** What the fast path says, in the decision table's words. */
	verdict: string;
	/** Bytes are as our guests and the wire see them. */
	out: Departure[];
}

export function ours({ flag = 'bridge', noHost, from, frame }: Asked, mode: Mode): Ours {
	const port = new PurePort({ ...standardTopology(flag, !noHost, mode), routes });
	try {
		const { verdict, out } = port.receive(edgeOf(from), frame);
		// The kernel's LAN is silent, too.
		const departures = [...out, ...port.settle()].map(one => ({
			to: placeOf(one.edge),
			frame: hex(one.frame),
		}));
		// In l3s what is for the guests is left to the host, and so nothing shields it.
		const host: Departure[] =
			from === 'wire' && (mode === 'l3s' || passesShield(frame))
				? [{ to: 'host', frame: hex(untagged(frame)) }]
				: [];
		return { verdict: inTableWords(verdict), out: [...departures, ...host] };
	} finally {
		port.close();
	}
}

/** As the kernel's host has them (configurations.ts): its own networks, and a router for the rest. */
const routes: NonNullable<Topology['routes']> = [
	{ prefix: '192.0.2.0/24', hop: { to: 'wire' } },
	{ prefix: '192.0.2.255/32', hop: { to: 'not-routed' } },
	{ prefix: '2001:db8:1::/64', hop: { to: 'wire' } },
	{ prefix: '0.0.0.0/0', hop: { to: 'wire', gateway: gateway.ipv4 } },
	{ prefix: '::/0', hop: { to: 'wire', gateway: gateway.ipv6 } },
];

function inTableWords(verdict: string): string {
	const slave = slaves.find(({ edge }) => verdictName(edge) === verdict);
	return slave?.name ?? verdict.replace(/^slow: /, '');
}

function edgeOf(place: Place): number {
	if (place === 'wire') return EDGE_WIRE;
	return place === 'host' ? EDGE_HOST : slaves.find(({ name }) => name === place)!.edge;
}

function placeOf(edge: number): Place {
	if (edge === EDGE_WIRE) return 'wire';
	return edge === EDGE_HOST ? 'host' : slaves.find(slave => slave.edge === edge)!.name;
}

/** The filter on the master, which keeps from the host's stack what is the guests'. */
function passesShield(frame: Uint8Array): boolean {
	const tci = ((frame[14] ?? 0) << 8) | (frame[15] ?? 0);
	return shield({ bytes: untagged(frame), vlanTagged: isTagged(frame), tci }) !== TC_ACT_SHOT;
}

/** The kernel takes a tag out of the frame before anybody sees it, and keeps it beside. */
function untagged(frame: Uint8Array): Uint8Array {
	return isTagged(frame) ? Uint8Array.of(...frame.slice(0, 12), ...frame.slice(16)) : frame;
}

function isTagged(frame: Uint8Array): boolean {
	return [0x8100, 0x88a8].includes(((frame[12] ?? 0) << 8) | (frame[13] ?? 0));
}

const TC_ACT_SHOT = 2;
const shield = load(
	masterDropFilter(slaves.filter(({ owns }) => owns).flatMap(slave => addressesOf(slave).map(keyOf))),
);

function hex(bytes: Uint8Array): string {
	return Buffer.from(bytes).toString('hex');
}
