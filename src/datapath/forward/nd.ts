/**
 * Neighbour discovery: the sender must own the source, the target that it advertises, and the MAC in its
 * options; a solicitation goes to the owner of its target alone. Guests don't advertise routers.
 */
import { replaceMacInChecksum } from '../../wire/checksum.js';
import { ETH_SOURCE, ETHERNET_HEADER, isGroupDestination, macEquals, writeMac } from '../../wire/ethernet.js';
import {
	IPV6_DESTINATION,
	IPV6_HEADER,
	IPV6_HOP_LIMIT,
	IPV6_PAYLOAD_LENGTH,
	IPV6_SOURCE,
	isLinkLocal6,
	isUnspecified6,
} from '../../wire/ip.js';
import {
	ICMPV6_CHECKSUM,
	linkLayerOption,
	ND_TARGET,
	NEIGHBOUR_ADVERTISEMENT,
	NEIGHBOUR_SOLICITATION,
	OPTION_SOURCE_LINK_LAYER,
	OPTION_TARGET_LINK_LAYER,
	ROUTER_ADVERTISEMENT,
	ROUTER_SOLICITATION,
} from '../../wire/ndp.js';
import { checksumIsPartial } from '../../wire/vnet-header.js';
import { ALLOW_ROUTER, MODE_L2, type PortState } from '../port-state.js';
import {
	drop,
	EDGE_HOST,
	EDGE_SLAVES,
	EDGE_WIRE,
	IGNORE,
	SLOW_ANSWER,
	SLOW_CLAIM,
	SLOW_FANOUT,
	SLOW_REFRESH,
	SLOW_ROUTER,
} from '../verdict.js';
import { canClaim6, isIpv6Group } from './claim.js';
import { answerToWire, slaveReach, wireToOwner, writeReceiver } from './owner.js';

const DROP_MALFORMED = drop('malformed');
const DROP_ND_SPOOF = drop('nd-spoof');
const DROP_ROUTER_GUARD = drop('router-guard');
const DROP_NOT_ROUTED = drop('not-routed');

export function ndFromSlave(
	state: PortState,
	frame: DataView,
	at: number,
	type: number,
	edge: number,
): number {
	const ip = at + ETHERNET_HEADER;
	const icmp = ip + IPV6_HEADER;
	if (frame.getUint8(ip + IPV6_HOP_LIMIT) !== 255) return DROP_MALFORMED;
	const solicits = type === NEIGHBOUR_SOLICITATION;
	if (!solicits && type !== NEIGHBOUR_ADVERTISEMENT && type !== ROUTER_SOLICITATION) {
		if (type !== ROUTER_ADVERTISEMENT || !mayRoute(state, edge)) return DROP_ROUTER_GUARD;
	}
	if (!namesItself(state, frame, ip, type, edge)) return DROP_ND_SPOOF;

	const fromNobody = isUnspecified6(frame, ip + IPV6_SOURCE);
	if (!fromNobody) {
		const verdict = ownership(state, frame, ip + IPV6_SOURCE, edge);
		if (verdict !== OWNED) return verdict;
	}

	const target = icmp + ND_TARGET;
	if (solicits) {
		const targetOwner = state.ipv6.find6(frame, target);
		// Duplicate address detection: the question alone can deny the address to another, so it must be claimable.
		if (fromNobody && targetOwner === EDGE_WIRE) {
			return canClaim6(state, frame, target, edge) ? SLOW_CLAIM : DROP_ND_SPOOF;
		}
		if (state.mode !== MODE_L2) return targetOwner === edge ? DROP_NOT_ROUTED : SLOW_ANSWER;
		return toOwner(state, frame, at, edge, targetOwner, SLOW_ANSWER);
	}
	if (type === NEIGHBOUR_ADVERTISEMENT) {
		const verdict = ownership(state, frame, target, edge);
		if (verdict !== OWNED) return verdict;
	}
	// What it advertises is noted, and goes no further.
	if (state.mode !== MODE_L2) return type === NEIGHBOUR_ADVERTISEMENT ? SLOW_REFRESH : DROP_NOT_ROUTED;
	if (isGroupDestination(frame, at) || isIpv6Group(frame, ip + IPV6_DESTINATION)) return SLOW_FANOUT;
	const owner = state.ipv6.find6(frame, ip + IPV6_DESTINATION);
	const toSlave = owner >= EDGE_SLAVES && slaveReach(state, edge, owner) === owner;
	if (type === ROUTER_ADVERTISEMENT && toSlave) return SLOW_ROUTER;
	return toOwner(state, frame, at, edge, owner, EDGE_HOST);
}

/** A solicitation from the wire goes to the slave that owns its target; the host answers for its own. */
export function solicitationFromWire(state: PortState, frame: DataView, at: number): number {
	const ip = at + ETHERNET_HEADER;
	const owner = state.ipv6.find6(frame, ip + IPV6_HEADER + ND_TARGET);
	if (owner < EDGE_SLAVES) return IGNORE;
	if (state.mode !== MODE_L2) {
		// Slaves' link-local addresses are those of another link than the wire.
		return isLinkLocal6(frame, ip + IPV6_HEADER + ND_TARGET) ? IGNORE : answerToWire(state, frame, at);
	}
	// Reflected duplicate address detection comes from `::`; whose it was, only its target can tell.
	const fromNobody = isUnspecified6(frame, ip + IPV6_SOURCE);
	const sender = fromNobody ? owner : state.ipv6.find6(frame, ip + IPV6_SOURCE);
	return wireToOwner(state, frame, at, owner, sender);
}

/**
 * MAC-NAT of the source MAC and of the link-layer address option, for a frame that goes to the wire.
 * Where the checksum is left to whoever sends at last, it holds the pseudo-header alone and stays.
 */
export function ndToWire(state: PortState, frame: DataView, at: number, type: number): void {
	const ip = at + ETHERNET_HEADER;
	const icmp = ip + IPV6_HEADER;
	const end = icmp + frame.getUint16(ip + IPV6_PAYLOAD_LENGTH);
	writeMac(frame, at + ETH_SOURCE, state.masterHigh, state.masterLow);
	const option = linkLayerOption(frame, icmp, end, optionOf(type));
	if (option === 0) return;
	if (checksumIsPartial(frame, at)) writeMac(frame, option, state.masterHigh, state.masterLow);
	else replaceMacInChecksum(frame, option, state.masterHigh, state.masterLow, icmp + ICMPV6_CHECKSUM);
}

/** Not a verdict: the slave owns the address, go on. */
const OWNED = 0x7fffffff;

/** Redirects stay forbidden: they name other machines' MACs, which can't be checked. */
function mayRoute(state: PortState, edge: number): boolean {
	return ((state.allows[edge] as number) & ALLOW_ROUTER) !== 0;
}

function ownership(state: PortState, frame: DataView, address: number, edge: number): number {
	const owner = state.ipv6.find6(frame, address);
	if (owner === edge) return OWNED;
	return owner === EDGE_WIRE && canClaim6(state, frame, address, edge) ? SLOW_CLAIM : DROP_ND_SPOOF;
}

function toOwner(
	state: PortState,
	frame: DataView,
	at: number,
	edge: number,
	owner: number,
	host: number,
): number {
	const reach = owner === EDGE_WIRE || owner === edge ? EDGE_WIRE : slaveReach(state, edge, owner);
	if (reach === EDGE_HOST && host !== EDGE_HOST) return host;
	if (reach === EDGE_WIRE) ndToWire(state, frame, at, frame.getUint8(at + ETHERNET_HEADER + IPV6_HEADER));
	else if (reach >= EDGE_HOST) writeReceiver(state, frame, at, reach);
	return reach;
}

function namesItself(state: PortState, frame: DataView, ip: number, type: number, edge: number): boolean {
	const icmp = ip + IPV6_HEADER;
	const end = icmp + frame.getUint16(ip + IPV6_PAYLOAD_LENGTH);
	const option = linkLayerOption(frame, icmp, end, optionOf(type));
	return (
		option === 0 || macEquals(frame, option, state.macHigh[edge] as number, state.macLow[edge] as number)
	);
}

function optionOf(type: number): number {
	return type === NEIGHBOUR_ADVERTISEMENT ? OPTION_TARGET_LINK_LAYER : OPTION_SOURCE_LINK_LAYER;
}
