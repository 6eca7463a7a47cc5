/**
 * Theory of operation. `forward` is the whole decision about one frame in mode l2: it reads the frame and the
 * port's state, returns a verdict, and for a frame that goes to exactly one edge it has rewritten the frame in
 * place to what that edge must see. It does no I/O, keeps nothing, allocates nothing, and can't throw: lengths
 * are checked once at the top of each branch, and every reader below trusts that.
 *
 *   from a slave   is the source its own? → ARP and ND by target, IP by destination address
 *   from the wire  is it for a slave's address, or for a group? everything else is the host's
 *   from the host  by destination address
 *
 * Demultiplexing is by address, never by MAC: one MAC stands for everybody. Whoever is not in the table is on
 * the wire, so EDGE_WIRE is what a failed look-up gives and needs no branch of its own.
 */
import {
	ETH_SOURCE,
	ETH_TYPE,
	ETHERNET_HEADER,
	ETHERTYPE_ARP,
	ETHERTYPE_IPV4,
	ETHERTYPE_IPV6,
	ETHERTYPE_QINQ,
	ETHERTYPE_VLAN,
	macEquals,
} from '../../wire/ethernet.js';
import type { PortState } from '../port-state.js';
import { drop, EDGE_HOST, EDGE_WIRE, IGNORE } from '../verdict.js';
import { arpFromSlave, arpFromWire } from './arp.js';
import { ipv4FromHost, ipv4FromSlave, ipv4FromWire } from './ipv4.js';
import { ipv6FromHost, ipv6FromSlave, ipv6FromWire } from './ipv6.js';

/**
 * Decides about one frame and rewrites it for its receiver.
 *
 * @param at offset of the Ethernet header in `frame`.
 * @param length bytes from there; tags that the kernel has taken out of the frame are the caller's to check.
 * @param ingress edge that the frame came from.
 * @returns a verdict (see verdict.ts). A frame for the slow path, or a dropped one, is unchanged.
 */
export function forward(
	state: PortState,
	frame: DataView,
	at: number,
	length: number,
	ingress: number,
): number {
	if (length < ETHERNET_HEADER) return DROP_MALFORMED;
	if (ingress === EDGE_WIRE) return fromWire(state, frame, at, length);
	return ingress === EDGE_HOST
		? fromHost(state, frame, at, length)
		: fromSlave(state, frame, at, length, ingress);
}

const DROP_MALFORMED = drop('malformed');
const DROP_MAC_SPOOF = drop('mac-spoof');
const DROP_VLAN = drop('vlan');
const DROP_ETHERTYPE = drop('ethertype');

function fromSlave(state: PortState, frame: DataView, at: number, length: number, edge: number): number {
	if (!macEquals(frame, at + ETH_SOURCE, state.macHigh[edge] as number, state.macLow[edge] as number)) {
		return DROP_MAC_SPOOF;
	}
	switch (frame.getUint16(at + ETH_TYPE)) {
		case ETHERTYPE_IPV4:
			return ipv4FromSlave(state, frame, at, length, edge);
		case ETHERTYPE_IPV6:
			return ipv6FromSlave(state, frame, at, length, edge);
		case ETHERTYPE_ARP:
			return arpFromSlave(state, frame, at, length, edge);
		case ETHERTYPE_VLAN:
		case ETHERTYPE_QINQ:
			return DROP_VLAN;
		default:
			return DROP_ETHERTYPE;
	}
}

function fromWire(state: PortState, frame: DataView, at: number, length: number): number {
	switch (frame.getUint16(at + ETH_TYPE)) {
		case ETHERTYPE_IPV4:
			return ipv4FromWire(state, frame, at, length);
		case ETHERTYPE_IPV6:
			return ipv6FromWire(state, frame, at, length);
		case ETHERTYPE_ARP:
			return arpFromWire(state, frame, at, length);
		default:
			return IGNORE;
	}
}

function fromHost(state: PortState, frame: DataView, at: number, length: number): number {
	switch (frame.getUint16(at + ETH_TYPE)) {
		case ETHERTYPE_IPV4:
			return ipv4FromHost(state, frame, at, length);
		case ETHERTYPE_IPV6:
			return ipv6FromHost(state, frame, at, length);
		default:
			return DROP_ETHERTYPE;
	}
}
