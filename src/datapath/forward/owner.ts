/**
 * The last step for every frame with one receiver: who owns the destination, what the flag says about reaching
 * it, and which MACs it must see. Link-layer addresses inside ARP and ND are the business of their own files.
 */
import {
	ETH_DESTINATION,
	ETH_SOURCE,
	ETH_TYPE,
	ETHERNET_HEADER,
	ETHERTYPE_ARP,
	isGroupDestination,
	macEquals,
	writeMac,
} from '../../wire/ethernet.js';
import { IPV6_DESTINATION, IPV6_SOURCE } from '../../wire/ip.js';
import { FLAG_BRIDGE, FLAG_PRIVATE, FLAG_VEPA, MODE_L2, MODE_L3S, type PortState } from '../port-state.js';
import { drop, EDGE_HOST, EDGE_SLAVES, EDGE_WIRE, IGNORE, SLOW_ANSWER, SLOW_FANOUT } from '../verdict.js';

const DROP_PRIVATE = drop('private');
const DROP_OWN_ADDRESS = drop('own-address');
const DROP_UNKNOWN_DESTINATION = drop('unknown-destination');
const DROP_REFLECTED = drop('reflected');

/**
 * Where a unicast IP frame from a slave goes, given the owner of its destination address.
 *
 * A frame for an unknown address whose destination MAC is the master's own was sent to the host as a router:
 * on the wire nobody would take it, so the host slave gets it and the host's routing decides.
 */
export function slaveToOwner(
	state: PortState,
	frame: DataView,
	at: number,
	edge: number,
	owner: number,
): number {
	if (owner === EDGE_WIRE) {
		if (!isToMaster(state, frame, at)) {
			writeMac(frame, at + ETH_SOURCE, state.masterHigh, state.masterLow);
			return EDGE_WIRE;
		}
		return state.host ? EDGE_HOST : DROP_UNKNOWN_DESTINATION;
	}
	const reach = slaveReach(state, edge, owner);
	if (reach >= EDGE_HOST) writeReceiver(state, frame, at, reach);
	else if (reach === EDGE_WIRE) writeMac(frame, at + ETH_SOURCE, state.masterHigh, state.masterLow);
	return reach;
}

/** Verdict for a slave that wants to reach the known owner of an address: flags, the host, itself. */
export function slaveReach(state: PortState, edge: number, owner: number): number {
	if (owner === EDGE_HOST) return state.host ? EDGE_HOST : DROP_UNKNOWN_DESTINATION;
	if (owner === edge) return DROP_OWN_ADDRESS;
	if (state.flag === FLAG_BRIDGE) return owner;
	return state.flag === FLAG_PRIVATE ? DROP_PRIVATE : EDGE_WIRE;
}

/** Delivers to a slave or the host. A group destination stays what it is: receivers filter by it. */
export function writeReceiver(state: PortState, frame: DataView, at: number, edge: number): void {
	if (isGroupDestination(frame, at)) return;
	writeMac(frame, at + ETH_DESTINATION, state.macHigh[edge] as number, state.macLow[edge] as number);
}

/** True for a frame whose destination is the master's own MAC. */
export function isToMaster(state: PortState, frame: DataView, at: number): boolean {
	return macEquals(frame, at + ETH_DESTINATION, state.masterHigh, state.masterLow);
}

/** True for a frame on the wire that carries the master's own source MAC: somebody sends us back what we sent. */
export function isOwnFrame(state: PortState, frame: DataView, at: number): boolean {
	return macEquals(frame, at + ETH_SOURCE, state.masterHigh, state.masterLow);
}

/**
 * Where a frame from the wire goes, given the owner of its destination: only a slave's frames are ours. With
 * `vepa` the wire is how slaves reach each other, so there (and only there) our own frames come back in earnest.
 */
export function wireToOwner(
	state: PortState,
	frame: DataView,
	at: number,
	owner: number,
	sender: number,
): number {
	// In l3s the host's stack takes what is for slaves, and routes it to them.
	if (owner < EDGE_SLAVES || state.mode === MODE_L3S) return IGNORE;
	if (isOwnFrame(state, frame, at) && (state.flag !== FLAG_VEPA || owner === sender)) return DROP_REFLECTED;
	writeReceiver(state, frame, at, owner);
	return owner;
}

/**
 * Verdict for a group frame from the wire, given the owner of its source address. Access points reflect what
 * they are sent, so our guests' own broadcasts come back and must not reach them twice; where the host's broadcasts
 * go out past us, their reflection is the only copy that guests can get.
 */
export function wireToGroup(state: PortState, frame: DataView, at: number, sender: number): number {
	if (state.slaveCount === 0 || (state.mode !== MODE_L2 && state.multicastSlave === 0)) return IGNORE;
	if (!isOwnFrame(state, frame, at) || state.flag === FLAG_VEPA) return SLOW_FANOUT;
	const passedUs = state.hostGroups && frame.getUint16(at + ETH_TYPE) !== ETHERTYPE_ARP;
	return sender === EDGE_HOST && !passedUs ? SLOW_FANOUT : DROP_REFLECTED;
}

/** ipvtap answers for its slaves on the wire, in l3 and l3s: nobody there needs a route to them. */
export function answerToWire(state: PortState, frame: DataView, at: number): number {
	return isOwnFrame(state, frame, at) ? DROP_REFLECTED : SLOW_ANSWER;
}

/** Where a frame of the host's goes, given the owner of its destination. */
export function hostToOwner(state: PortState, frame: DataView, at: number, owner: number): number {
	if (owner < EDGE_SLAVES) return DROP_UNKNOWN_DESTINATION;
	writeReceiver(state, frame, at, owner);
	return owner;
}

/** Where an IPv6 packet goes that the slow path has looked at: to the owner of its destination. */
export function ipv6ToOwner(state: PortState, frame: DataView, at: number, ingress: number): number {
	const ip = at + ETHERNET_HEADER;
	const owner = state.ipv6.find6(frame, ip + IPV6_DESTINATION);
	if (ingress === EDGE_HOST) return hostToOwner(state, frame, at, owner);
	if (ingress >= EDGE_SLAVES) return slaveToOwner(state, frame, at, ingress, owner);
	return wireToOwner(state, frame, at, owner, state.ipv6.find6(frame, ip + IPV6_SOURCE));
}
