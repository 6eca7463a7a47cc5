/** IPv4 frames: source ownership, then destination. */

import { ETHERNET_HEADER, isGroupDestination } from '../../wire/ethernet.js';
import { isRedirect4 } from '../../wire/icmp.js';
import {
	IPV4_DESTINATION,
	IPV4_HEADER_MIN,
	IPV4_PROTOCOL,
	IPV4_SOURCE,
	ipv4HeaderLength,
	isIpv4Group,
	PROTOCOL_IGMP,
} from '../../wire/ip.js';
import { FLAG_VEPA, MODE_L2, MODE_L3S, type PortState } from '../port-state.js';
import { drop, EDGE_SLAVES, EDGE_WIRE, IGNORE, SLOW_CLAIM, SLOW_DHCP, SLOW_FANOUT } from '../verdict.js';
import { canClaim4 } from './claim.js';
import { dhcp4FromSlave, isDhcp4Reply, NOT_DHCP } from './dhcp.js';
import { hostToOwner, isOwnFrame, isToMaster, slaveToOwner, wireToGroup, wireToOwner } from './owner.js';
import { routeIpv4, slaveToGroup, toMulticastSlave } from './route.js';

const DROP_MALFORMED = drop('malformed');
const DROP_IP_SPOOF = drop('ip-spoof');
const DROP_NOT_ROUTED = drop('not-routed');

export function ipv4FromSlave(
	state: PortState,
	frame: DataView,
	at: number,
	length: number,
	edge: number,
): number {
	const ip = at + ETHERNET_HEADER;
	if (ipv4HeaderLength(frame, ip, length - ETHERNET_HEADER) === 0) return DROP_MALFORMED;
	const source = frame.getInt32(ip + IPV4_SOURCE);
	const destination = frame.getInt32(ip + IPV4_DESTINATION);
	const group = isGroupDestination(frame, at) || isIpv4Group(destination);
	const owner = state.ipv4.find(source);
	// Requests to renew come from an address and go to the server alone, but name the MAC inside all the same.
	const owned = owner === edge;
	const dhcp = dhcp4FromSlave(state, frame, ip, at + length, edge, source === 0 ? group : owned, owned);
	const l2 = state.mode === MODE_L2;
	// Of l3 and l3s no lease comes, and nobody there looks whose name a request is in, or whose lease it gives back.
	if (dhcp !== NOT_DHCP) return l2 || dhcp < 0 ? dhcp : DROP_NOT_ROUTED;
	if (!owned) {
		const fromNobody = source === 0 && group;
		if (fromNobody && (!l2 || frame.getUint8(ip + IPV4_PROTOCOL) === PROTOCOL_IGMP))
			return slaveToGroup(state);
		return owner === EDGE_WIRE && canClaim4(state, edge, source) ? SLOW_CLAIM : DROP_IP_SPOOF;
	}
	if (group) return slaveToGroup(state);
	return l2
		? slaveToOwner(state, frame, at, edge, state.ipv4.find(destination))
		: routeIpv4(state, frame, at, edge);
}

export function ipv4FromWire(state: PortState, frame: DataView, at: number, length: number): number {
	const ip = at + ETHERNET_HEADER;
	const group = isGroupDestination(frame, at);
	if (ipv4HeaderLength(frame, ip, length - ETHERNET_HEADER) === 0) {
		// But in l3s, the host never sees what is for a guest's address (filter/programs.ts): nobody else would count it.
		const ours = state.mode !== MODE_L3S && !group && isToMaster(state, frame, at);
		const lost = ours && length >= ETHERNET_HEADER + IPV4_HEADER_MIN;
		return lost && state.ipv4.find(frame.getInt32(ip + IPV4_DESTINATION)) >= EDGE_SLAVES
			? DROP_MALFORMED
			: IGNORE;
	}
	const destination = frame.getInt32(ip + IPV4_DESTINATION);
	// A network card in promiscuous mode, somebody's tcpdump, shows us what is for other machines.
	if (!group && !isToMaster(state, frame, at)) return IGNORE;
	const sender = state.ipv4.find(frame.getInt32(ip + IPV4_SOURCE));
	// A guest's own answer that an access point sends back is a reflection like any other.
	const reflected = sender >= EDGE_SLAVES && state.flag !== FLAG_VEPA && isOwnFrame(state, frame, at);
	const l2 = state.mode === MODE_L2;
	if (l2 && state.slaveCount > 0 && !reflected && isDhcp4Reply(frame, ip)) return SLOW_DHCP;
	if (group || isIpv4Group(destination)) return wireToGroup(state, frame, at, sender);
	return wireToOwner(state, frame, at, state.ipv4.find(destination), sender);
}

export function ipv4FromHost(state: PortState, frame: DataView, at: number, length: number): number {
	const ip = at + ETHERNET_HEADER;
	if (ipv4HeaderLength(frame, ip, length - ETHERNET_HEADER) === 0) return DROP_MALFORMED;
	const l2 = state.mode === MODE_L2;
	if (l2 && isDhcp4Reply(frame, ip)) return SLOW_DHCP;
	const destination = frame.getInt32(ip + IPV4_DESTINATION);
	if (isGroupDestination(frame, at) || isIpv4Group(destination)) {
		return l2 ? SLOW_FANOUT : toMulticastSlave(state, DROP_NOT_ROUTED);
	}
	// All slaves are behind one device of the host's, and so it offers them the shorter way; there is none.
	if (state.mode === MODE_L3S && isRedirect4(frame, ip)) return DROP_NOT_ROUTED;
	return hostToOwner(state, frame, at, state.ipv4.find(destination));
}
