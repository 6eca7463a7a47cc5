/** Who gets a copy of a multicast or broadcast frame. Pure: the list is the result, nobody is sent anything. */
import { ETH_TYPE, ETHERNET_HEADER, ETHERTYPE_ARP, ETHERTYPE_IPV6 } from '../../wire/ethernet.js';
import { ARP_SENDER_IP, IPV4_SOURCE, IPV6_SOURCE, isUnspecified6 } from '../../wire/ip.js';
import { isDhcpRequest } from '../forward/dhcp.js';
import { isOwnFrame } from '../forward/owner.js';
import { ALLOW_DHCP_SERVER, FLAG_BRIDGE, FLAG_VEPA, type PortState } from '../port-state.js';
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
	// The relay brings it back for everybody else, the host included.
	if (ingress >= EDGE_SLAVES && state.flag === FLAG_VEPA) return count;
	// The host has taken its own copy of what came from the wire, and of what it sent itself.
	if (ingress >= EDGE_SLAVES && state.host) into[count++] = EDGE_HOST;
	if (ingress >= EDGE_SLAVES && state.flag !== FLAG_BRIDGE) return count;
	const type = frame.getUint16(at + ETH_TYPE);
	const ipv6 = type === ETHERTYPE_IPV6;
	const sender = ingress === EDGE_WIRE ? reflectedSender(state, frame, at, type) : ingress;
	const { slaves, slaveCount, owned4 } = state;
	// What a client calls itself is its secret: who knows it could take its place.
	const forServers = isDhcpRequest(frame, at, type);
	for (let index = 0; index < slaveCount; index++) {
		const edge = slaves[index] as number;
		if (forServers && ((state.allows[edge] as number) & ALLOW_DHCP_SERVER) === 0) continue;
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
function reflectedSender(state: PortState, frame: DataView, at: number, type: number): number {
	if (state.flag !== FLAG_VEPA || !isOwnFrame(state, frame, at)) return EDGE_WIRE;
	const l3 = at + ETHERNET_HEADER;
	if (type === ETHERTYPE_ARP) return state.ipv4.find(frame.getInt32(l3 + ARP_SENDER_IP));
	if (type !== ETHERTYPE_IPV6) return state.ipv4.find(frame.getInt32(l3 + IPV4_SOURCE));
	return isUnspecified6(frame, l3 + IPV6_SOURCE) ? EDGE_WIRE : state.ipv6.find6(frame, l3 + IPV6_SOURCE);
}
