/**
 * Modes l3 and l3s, from a slave, behind the same checks of who it is as in l2. Nothing but unicast goes on. What is
 * for a slave or the host is delivered as in l2; in l3 everything else is routed here as the host would route it, and
 * in l3s everything goes to the host, whose netfilter sees it before its routing sends it on.
 *
 *   checksum   of the IPv4 header; wrong → dropped: nobody knows what such a packet is (RFC 1812, 5.2.2)
 *   hop        by longest prefix, of several the one that the flow hashes to; not to the wire → the host, a refusal, a drop
 *   hop limit  1 → refused; one less otherwise, the IPv4 header's checksum with it
 *   length     over the route's MTU → refused, or cut where the sender allows it
 *   neighbour  MAC of the router, or of the destination itself; not known → the frame waits in the slow path
 *
 * A refused frame is unchanged, and the slow path makes the ICMP error from it.
 */
import { sumOf } from '../../wire/checksum.js';
import { ETH_DESTINATION, ETH_SOURCE, ETHERNET_HEADER, writeMac } from '../../wire/ethernet.js';
import {
	IPV4_CHECKSUM,
	IPV4_DESTINATION,
	IPV4_FRAGMENT,
	IPV4_TOTAL_LENGTH,
	IPV4_TTL,
	IPV6_DESTINATION,
	IPV6_HEADER,
	IPV6_HOP_LIMIT,
	IPV6_PAYLOAD_LENGTH,
	IPV6_SOURCE,
	isLinkLocal6,
} from '../../wire/ip.js';
import { isSegmented, segmentLength } from '../../wire/vnet-header.js';
import { MODE_L2, MODE_L3S, type PortState } from '../port-state.js';
import { drop, EDGE_HOST, EDGE_WIRE, refuse, SLOW_FANOUT, SLOW_FRAGMENT, SLOW_RESOLVE } from '../verdict.js';
import { slaveReach, writeReceiver } from './owner.js';

const DROP_NOT_ROUTED = drop('not-routed');
const DROP_BAD_CHECKSUM = drop('bad-checksum');
const REFUSE_NO_ROUTE = refuse('no-route');
const REFUSE_TTL_EXCEEDED = refuse('ttl-exceeded');
const REFUSE_TOO_BIG = refuse('too-big');
const REFUSE_BEYOND_SCOPE = refuse('beyond-scope');

/** Verdict for what a slave sends to a group. */
export function slaveToGroup(state: PortState): number {
	return state.mode === MODE_L2 ? SLOW_FANOUT : DROP_NOT_ROUTED;
}

/** Verdict for what comes from the wire or the host for a group, in l3 and l3s. @param nobody if there is no receiver. */
export function toMulticastSlave(state: PortState, nobody: number): number {
	return state.multicastSlave === 0 ? nobody : SLOW_FANOUT;
}

/** Where a unicast IPv4 frame from its source's owner goes. */
export function routeIpv4(state: PortState, frame: DataView, at: number, edge: number): number {
	const ip = at + ETHERNET_HEADER;
	const destination = frame.getInt32(ip + IPV4_DESTINATION);
	const owner = state.ipv4.find(destination);
	if (owner !== EDGE_WIRE || state.mode === MODE_L3S) {
		const reach = toNeighbour(state, frame, at, edge, owner);
		if (reach !== EDGE_WIRE) return reach;
	}
	// Never left to be completed: a virtio header's partial checksum is that of the payload.
	if (sumOf(frame, ip, (frame.getUint8(ip) & 15) << 2) !== 0xffff) return DROP_BAD_CHECKSUM;
	const { routing } = state;
	const hop = routing.find(frame, ip);
	const verdict = routing.verdict(hop);
	if (verdict !== EDGE_WIRE) return notToWire(state, frame, at, verdict);
	const ttl = frame.getUint8(ip + IPV4_TTL);
	if (ttl <= 1) return REFUSE_TTL_EXCEEDED;
	const mtu = mtuOf(state, hop);
	const segmented = isSegmented(frame, at);
	if ((segmented ? segmentLength(frame, at) : frame.getUint16(ip + IPV4_TOTAL_LENGTH)) > mtu) {
		return segmented || (frame.getUint16(ip + IPV4_FRAGMENT) & DONT_FRAGMENT) !== 0
			? REFUSE_TOO_BIG
			: SLOW_FRAGMENT;
	}
	if (owner !== EDGE_WIRE && routing.isOnLink(hop)) toRelay(state, frame, at);
	else {
		const slot = routing.neighbour(hop, destination);
		if (slot === 0) return SLOW_RESOLVE;
		toSlot(state, frame, at, slot);
	}
	decrementTtl(frame, ip, ttl);
	return EDGE_WIRE;
}

/** Where a unicast IPv6 frame from its source's owner goes. */
export function routeIpv6(state: PortState, frame: DataView, at: number, edge: number): number {
	const ip = at + ETHERNET_HEADER;
	const destination = ip + IPV6_DESTINATION;
	const owner = state.ipv6.find6(frame, destination);
	if (owner !== EDGE_WIRE || state.mode === MODE_L3S) {
		const reach = toNeighbour(state, frame, at, edge, owner);
		if (reach !== EDGE_WIRE) return reach;
	}
	// RFC 4291, 2.5.6: what is link-local at either end doesn't leave the link, which in l3 is the port.
	if (isLinkLocal6(frame, ip + IPV6_SOURCE) || isLinkLocal6(frame, destination)) return REFUSE_BEYOND_SCOPE;
	const { routing } = state;
	const hop = routing.find6(frame, ip);
	const verdict = routing.verdict(hop);
	if (verdict !== EDGE_WIRE) return notToWire(state, frame, at, verdict);
	const hopLimit = frame.getUint8(ip + IPV6_HOP_LIMIT);
	if (hopLimit <= 1) return REFUSE_TTL_EXCEEDED;
	const length = isSegmented(frame, at)
		? segmentLength(frame, at)
		: IPV6_HEADER + frame.getUint16(ip + IPV6_PAYLOAD_LENGTH);
	if (length > mtuOf(state, hop)) return REFUSE_TOO_BIG;
	if (owner !== EDGE_WIRE && routing.isOnLink(hop)) toRelay(state, frame, at);
	else {
		const slot = routing.neighbour6(hop, frame, destination);
		if (slot === 0) return SLOW_RESOLVE;
		toSlot(state, frame, at, slot);
	}
	frame.setUint8(ip + IPV6_HOP_LIMIT, hopLimit - 1);
	return EDGE_WIRE;
}

/** Bytes of layer 3 that go by this hop in one piece. */
export function mtuOf(state: PortState, hop: number): number {
	const mtu = state.routing.mtu(hop);
	return mtu === 0 ? state.mtu : Math.min(mtu, state.mtu);
}

/** Among slaves and host as in l2, but in l3s all by way of the host. @returns EDGE_WIRE if it has to be routed. */
function toNeighbour(state: PortState, frame: DataView, at: number, edge: number, owner: number): number {
	const reach = owner === EDGE_WIRE ? EDGE_WIRE : slaveReach(state, edge, owner);
	if (reach < 0) return reach;
	const receiver = state.mode === MODE_L3S ? EDGE_HOST : reach;
	if (receiver !== EDGE_WIRE) writeReceiver(state, frame, at, receiver);
	return receiver;
}

function notToWire(state: PortState, frame: DataView, at: number, verdict: number): number {
	if (verdict !== EDGE_HOST) return verdict;
	if (!state.host) return REFUSE_NO_ROUTE;
	writeReceiver(state, frame, at, EDGE_HOST);
	return EDGE_HOST;
}

/** RFC 791: the second of the three flags above the fragment offset. */
const DONT_FRAGMENT = 0x4000;

function toSlot(state: PortState, frame: DataView, at: number, slot: number): void {
	const { neighbours } = state.routing;
	neighbours.used[slot] = 1;
	writeMac(frame, at + ETH_SOURCE, state.masterHigh, state.masterLow);
	writeMac(
		frame,
		at + ETH_DESTINATION,
		neighbours.macHigh[slot] as number,
		neighbours.macLow[slot] as number,
	);
}

/** With `vepa`, a slave's address on the master's own link has the master's MAC, as ipvtap answers everybody who asks. */
function toRelay(state: PortState, frame: DataView, at: number): void {
	writeMac(frame, at + ETH_SOURCE, state.masterHigh, state.masterLow);
	writeMac(frame, at + ETH_DESTINATION, state.masterHigh, state.masterLow);
}

/** RFC 1624, for a byte that becomes one less: as ip_decrease_ttl in include/net/ip.h. */
function decrementTtl(frame: DataView, ip: number, ttl: number): void {
	frame.setUint8(ip + IPV4_TTL, ttl - 1);
	const sum = frame.getUint16(ip + IPV4_CHECKSUM) + 0x0100;
	frame.setUint16(ip + IPV4_CHECKSUM, sum + (sum >= 0xffff ? 1 : 0));
}
