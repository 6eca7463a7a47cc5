/** Who gets a copy of a multicast or broadcast frame. Pure: the list is the result, nobody is sent anything. */
import { ETH_TYPE, ETHERNET_HEADER, ETHERTYPE_IPV6 } from '../../wire/ethernet.js';
import { IPV4_SOURCE, IPV6_SOURCE, isUnspecified6 } from '../../wire/ip.js';
import { isOwnFrame } from '../forward/owner.js';
import { FLAG_BRIDGE, FLAG_VEPA, type PortState } from '../port-state.js';
import { EDGE_HOST, EDGE_SLAVES, EDGE_WIRE } from '../verdict.js';

/**
 * Fills `into` with the edges on this machine that get a copy, and returns how many they are. The wire's copy
 * is not among them: it must be rewritten first (see `leavesForWire`).
 *
 * @param into one place per edge.
 */
export function fanout(
	state: PortState,
	frame: DataView,
	at: number,
	ingress: number,
	into: Uint16Array,
): number {
	let count = 0;
	// The host has taken its own copy of what came from the wire, and of what it sent itself.
	if (ingress >= EDGE_SLAVES && state.host) into[count++] = EDGE_HOST;
	if (ingress >= EDGE_SLAVES && state.flag !== FLAG_BRIDGE) return count;
	const ipv6 = frame.getUint16(at + ETH_TYPE) === ETHERTYPE_IPV6;
	const sender = ingress === EDGE_WIRE ? reflectedSender(state, frame, at, ipv6) : ingress;
	const { slaves, slaveCount, owned4 } = state;
	for (let index = 0; index < slaveCount; index++) {
		const edge = slaves[index] as number;
		// Without an IPv4 address nothing that is broadcast can be meant for it.
		if (edge !== sender && (ipv6 || owned4[edge] !== 0)) into[count++] = edge;
	}
	return count;
}

/** Whether the frame goes to the wire too: the host's own goes there by the master, not through us. */
export function leavesForWire(ingress: number): boolean {
	return ingress >= EDGE_SLAVES;
}

/** With `vepa` a slave's broadcast comes back from the relay for everybody else; its source says whose it was. */
function reflectedSender(state: PortState, frame: DataView, at: number, ipv6: boolean): number {
	if (state.flag !== FLAG_VEPA || !isOwnFrame(state, frame, at)) return EDGE_WIRE;
	const source = at + ETHERNET_HEADER + (ipv6 ? IPV6_SOURCE : IPV4_SOURCE);
	if (!ipv6) return state.ipv4.find(frame.getInt32(source));
	return isUnspecified6(frame, source) ? EDGE_WIRE : state.ipv6.find6(frame, source);
}
