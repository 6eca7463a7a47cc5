/** IPv4 frames: source ownership, then destination. */

import { DHCP_OPTIONS, UDP_HEADER } from '../../wire/dhcp.js';
import { ETHERNET_HEADER, isGroupDestination } from '../../wire/ethernet.js';
import {
	IPV4_DESTINATION,
	IPV4_FRAGMENT,
	IPV4_HEADER_MIN,
	IPV4_PROTOCOL,
	IPV4_SOURCE,
	IPV4_TOTAL_LENGTH,
	ipv4HeaderLength,
	isIpv4Group,
	PROTOCOL_IGMP,
	PROTOCOL_UDP,
} from '../../wire/ip.js';
import type { PortState } from '../port-state.js';
import { drop, EDGE_SLAVES, EDGE_WIRE, IGNORE, SLOW_CLAIM, SLOW_DHCP, SLOW_FANOUT } from '../verdict.js';
import { canClaim4 } from './claim.js';
import { hostToOwner, isToMaster, slaveToOwner, wireToGroup, wireToOwner } from './owner.js';

const DROP_MALFORMED = drop('malformed');
const DROP_IP_SPOOF = drop('ip-spoof');
const DROP_DHCP_GUARD = drop('dhcp-guard');

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
	const ports = dhcpPorts(frame, ip);
	if (ports === DHCP_REPLY) return DROP_DHCP_GUARD;
	// Requests to renew come from an address and go to the server alone, but name the MAC inside all the same.
	if (ports === DHCP_REQUEST && (source === 0 ? group : owner === edge)) return SLOW_DHCP;
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
	if (state.slaveCount > 0 && dhcpPorts(frame, ip) === DHCP_REPLY) return SLOW_DHCP;
	const sender = state.ipv4.find(frame.getInt32(ip + IPV4_SOURCE));
	if (group || isIpv4Group(destination)) return wireToGroup(state, frame, at, sender);
	return wireToOwner(state, frame, at, state.ipv4.find(destination), sender);
}

export function ipv4FromHost(state: PortState, frame: DataView, at: number, length: number): number {
	const ip = at + ETHERNET_HEADER;
	if (ipv4HeaderLength(frame, ip, length - ETHERNET_HEADER) === 0) return DROP_MALFORMED;
	if (dhcpPorts(frame, ip) === DHCP_REPLY) return SLOW_DHCP;
	const destination = frame.getInt32(ip + IPV4_DESTINATION);
	if (isGroupDestination(frame, at) || isIpv4Group(destination)) return SLOW_FANOUT;
	return hostToOwner(state, frame, at, state.ipv4.find(destination));
}

/**
 * Source and destination port of a UDP packet that could be DHCP, in one number; 0 for other protocols, fragments,
 * and packets too short for a DHCP message.
 */
function dhcpPorts(frame: DataView, ip: number): number {
	if (frame.getUint8(ip + IPV4_PROTOCOL) !== PROTOCOL_UDP) return 0;
	const udp = ip + ((frame.getUint8(ip) & 15) << 2);
	const whole = (frame.getUint16(ip + IPV4_FRAGMENT) & FRAGMENT) === 0;
	return whole && udp + UDP_HEADER + DHCP_OPTIONS <= ip + frame.getUint16(ip + IPV4_TOTAL_LENGTH)
		? frame.getInt32(udp)
		: 0;
}

/** More fragments, and the offset. */
const FRAGMENT = 0x3fff;
/** RFC 2131, 4.1: clients speak from port 68 to port 67, servers the other way round. */
const DHCP_REQUEST = (68 << 16) | 67;
const DHCP_REPLY = (67 << 16) | 68;
