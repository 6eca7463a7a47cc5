/** IPv4 frames: source ownership, then destination. */

import { ETHERNET_HEADER, isGroupDestination } from '../../wire/ethernet.js';
import {
	IPV4_DESTINATION,
	IPV4_HEADER_MIN,
	IPV4_PROTOCOL,
	IPV4_SOURCE,
	ipv4HeaderLength,
	isIpv4Group,
	PROTOCOL_IGMP,
} from '../../wire/ip.js';
import { FLAG_VEPA, type PortState } from '../port-state.js';
import { drop, EDGE_SLAVES, EDGE_WIRE, IGNORE, SLOW_CLAIM, SLOW_DHCP, SLOW_FANOUT } from '../verdict.js';
import { canClaim4 } from './claim.js';
import { dhcp4FromSlave, isDhcp4Reply, NOT_DHCP } from './dhcp.js';
import { hostToOwner, isOwnFrame, isToMaster, slaveToOwner, wireToGroup, wireToOwner } from './owner.js';

const DROP_MALFORMED = drop('malformed');
const DROP_IP_SPOOF = drop('ip-spoof');

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
	const dhcp = dhcp4FromSlave(state, frame, ip, edge, source === 0 ? group : owner === edge, owner === edge);
	if (dhcp !== NOT_DHCP) return dhcp;
	if (owner !== edge) {
		if (source === 0 && group && frame.getUint8(ip + IPV4_PROTOCOL) === PROTOCOL_IGMP) return SLOW_FANOUT;
		return owner === EDGE_WIRE && canClaim4(state, edge, source) ? SLOW_CLAIM : DROP_IP_SPOOF;
	}
	if (group) return SLOW_FANOUT;
	return slaveToOwner(state, frame, at, edge, state.ipv4.find(destination));
}

export function ipv4FromWire(state: PortState, frame: DataView, at: number, length: number): number {
	const ip = at + ETHERNET_HEADER;
	const group = isGroupDestination(frame, at);
	if (ipv4HeaderLength(frame, ip, length - ETHERNET_HEADER) === 0) {
		// The host never sees what is for a guest's address (filter/programs.ts), so nobody else would count it.
		const lost = !group && length >= ETHERNET_HEADER + IPV4_HEADER_MIN && isToMaster(state, frame, at);
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
	if (state.slaveCount > 0 && !reflected && isDhcp4Reply(frame, ip)) return SLOW_DHCP;
	if (group || isIpv4Group(destination)) return wireToGroup(state, frame, at, sender);
	return wireToOwner(state, frame, at, state.ipv4.find(destination), sender);
}

export function ipv4FromHost(state: PortState, frame: DataView, at: number, length: number): number {
	const ip = at + ETHERNET_HEADER;
	if (ipv4HeaderLength(frame, ip, length - ETHERNET_HEADER) === 0) return DROP_MALFORMED;
	if (isDhcp4Reply(frame, ip)) return SLOW_DHCP;
	const destination = frame.getInt32(ip + IPV4_DESTINATION);
	if (isGroupDestination(frame, at) || isIpv4Group(destination)) return SLOW_FANOUT;
	return hostToOwner(state, frame, at, state.ipv4.find(destination));
}
