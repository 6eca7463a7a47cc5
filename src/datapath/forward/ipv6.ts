/** IPv6 frames: neighbour discovery goes by target, everything else by source ownership and destination. */
import { ETHERNET_HEADER, isGroupDestination } from '../../wire/ethernet.js';
import {
	IPV6_DESTINATION,
	IPV6_HEADER,
	IPV6_NEXT_HEADER,
	IPV6_SOURCE,
	ipv6Fits,
	isUnspecified6,
	PROTOCOL_HOP_BY_HOP,
} from '../../wire/ip.js';
import {
	ND_HIDDEN,
	NEIGHBOUR_ADVERTISEMENT,
	NEIGHBOUR_SOLICITATION,
	ndType,
	REDIRECT,
	ROUTER_ADVERTISEMENT,
} from '../../wire/ndp.js';
import { FLAG_VEPA, MODE_L2, MODE_L3S, type PortState } from '../port-state.js';
import {
	drop,
	EDGE_SLAVES,
	EDGE_WIRE,
	IGNORE,
	SLOW_CLAIM,
	SLOW_DHCP,
	SLOW_FANOUT,
	SLOW_ROUTER,
} from '../verdict.js';
import { canClaim6, isIpv6Group } from './claim.js';
import { dhcp6FromSlave, isDhcp6Reply, NOT_DHCP } from './dhcp.js';
import { ndFromSlave, solicitationFromWire } from './nd.js';
import { hostToOwner, isOwnFrame, isToMaster, slaveToOwner, wireToGroup, wireToOwner } from './owner.js';
import { routeIpv6, slaveToGroup, toMulticastSlave } from './route.js';

const DROP_MALFORMED = drop('malformed');
const DROP_IP_SPOOF = drop('ip-spoof');
const DROP_ND_HIDDEN = drop('nd-hidden');
const DROP_NOT_ROUTED = drop('not-routed');

export function ipv6FromSlave(
	state: PortState,
	frame: DataView,
	at: number,
	length: number,
	edge: number,
): number {
	const ip = at + ETHERNET_HEADER;
	if (!ipv6Fits(frame, ip, length - ETHERNET_HEADER)) return DROP_MALFORMED;
	const nd = ndType(frame, ip);
	if (nd > 0) return ndFromSlave(state, frame, at, nd, edge);
	if (nd < 0) return nd === ND_HIDDEN ? DROP_ND_HIDDEN : DROP_MALFORMED;
	const group = isGroupDestination(frame, at) || isIpv6Group(frame, ip + IPV6_DESTINATION);
	const owner = state.ipv6.find6(frame, ip + IPV6_SOURCE);
	const dhcp = dhcp6FromSlave(state, frame, ip, edge, owner === edge);
	if (dhcp !== NOT_DHCP) return state.mode === MODE_L2 || dhcp < 0 ? dhcp : DROP_NOT_ROUTED;
	if (owner !== edge) {
		if (group && isFromNobody(frame, ip)) return slaveToGroup(state);
		return owner === EDGE_WIRE && canClaim6(state, frame, ip + IPV6_SOURCE, edge)
			? SLOW_CLAIM
			: DROP_IP_SPOOF;
	}
	if (group) return slaveToGroup(state);
	return state.mode === MODE_L2
		? slaveToOwner(state, frame, at, edge, state.ipv6.find6(frame, ip + IPV6_DESTINATION))
		: routeIpv6(state, frame, at, edge);
}

export function ipv6FromWire(state: PortState, frame: DataView, at: number, length: number): number {
	const ip = at + ETHERNET_HEADER;
	const group = isGroupDestination(frame, at);
	if (!ipv6Fits(frame, ip, length - ETHERNET_HEADER)) {
		// As in IPv4: the host doesn't see it either, but in l3s.
		const ours = state.mode !== MODE_L3S && !group && isToMaster(state, frame, at);
		const lost = ours && length >= ETHERNET_HEADER + IPV6_HEADER;
		return lost && state.ipv6.find6(frame, ip + IPV6_DESTINATION) >= EDGE_SLAVES ? DROP_MALFORMED : IGNORE;
	}
	if (!group && !isToMaster(state, frame, at)) return IGNORE;
	const nd = ndType(frame, ip);
	if (nd === NEIGHBOUR_SOLICITATION) return solicitationFromWire(state, frame, at);
	const sender = state.ipv6.find6(frame, ip + IPV6_SOURCE);
	if (nd === NEIGHBOUR_ADVERTISEMENT && group && mayConcernSlave(state, frame, at)) return SLOW_FANOUT;
	if (group || isIpv6Group(frame, ip + IPV6_DESTINATION)) return wireToGroup(state, frame, at, sender);
	const owner = state.ipv6.find6(frame, ip + IPV6_DESTINATION);
	if (isDhcp6Reply(frame, ip) && isForSlave(state, frame, at, owner)) return SLOW_DHCP;
	// Routers are heard, and some guests don't hear all that they say: the slow path sees to both.
	if (nd === ROUTER_ADVERTISEMENT && isForSlave(state, frame, at, owner)) return SLOW_ROUTER;
	return wireToOwner(state, frame, at, owner, sender);
}

export function ipv6FromHost(state: PortState, frame: DataView, at: number, length: number): number {
	const ip = at + ETHERNET_HEADER;
	if (!ipv6Fits(frame, ip, length - ETHERNET_HEADER)) return DROP_MALFORMED;
	const l2 = state.mode === MODE_L2;
	if (isGroupDestination(frame, at) || isIpv6Group(frame, ip + IPV6_DESTINATION)) {
		return l2 ? SLOW_FANOUT : toMulticastSlave(state, DROP_NOT_ROUTED);
	}
	const nd = ndType(frame, ip);
	if (state.mode === MODE_L3S && nd === REDIRECT) return DROP_NOT_ROUTED;
	const owner = state.ipv6.find6(frame, ip + IPV6_DESTINATION);
	if (l2 && owner >= EDGE_SLAVES && isDhcp6Reply(frame, ip)) return SLOW_DHCP;
	if (l2 && owner >= EDGE_SLAVES && nd === ROUTER_ADVERTISEMENT) return SLOW_ROUTER;
	return hostToOwner(state, frame, at, owner);
}

/** With `vepa` what guests say to each other comes back, and leases and routers among it are followed on the way in. */
function isForSlave(state: PortState, frame: DataView, at: number, owner: number): boolean {
	return (
		state.mode === MODE_L2 &&
		owner >= EDGE_SLAVES &&
		(state.flag === FLAG_VEPA || !isOwnFrame(state, frame, at))
	);
}

/** In l3 and l3s, too, the slow path must hear of somebody else who says that he has what a slave has, or has claimed. */
function mayConcernSlave(state: PortState, frame: DataView, at: number): boolean {
	return state.mode !== MODE_L2 && state.slaveCount > 0 && !isOwnFrame(state, frame, at);
}

/** A guest without an address speaks from `::` also in MLD reports, which carry a router alert (RFC 3590). */
function isFromNobody(frame: DataView, ip: number): boolean {
	return (
		isUnspecified6(frame, ip + IPV6_SOURCE) && frame.getUint8(ip + IPV6_NEXT_HEADER) === PROTOCOL_HOP_BY_HOP
	);
}
