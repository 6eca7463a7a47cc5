/** IPv4 frames: source ownership, then destination. */
import { ETH_DESTINATION, ETHERNET_HEADER, isGroupDestination, macEquals } from '../../wire/ethernet.js';
import {
	IPV4_DESTINATION,
	IPV4_FRAGMENT,
	IPV4_PROTOCOL,
	IPV4_SOURCE,
	ipv4HeaderLength,
	isIpv4Group,
	PROTOCOL_IGMP,
	PROTOCOL_UDP,
} from '../../wire/ip.js';
import type { PortState } from '../port-state.js';
import { drop, EDGE_WIRE, IGNORE, SLOW_CLAIM, SLOW_FANOUT } from '../verdict.js';
import { canClaim4 } from './claim.js';
import { hostToOwner, slaveToOwner, wireToGroup, wireToOwner } from './owner.js';

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
	if (owner !== edge) {
		if (source === 0 && group && isFromNobody(frame, ip)) return SLOW_FANOUT;
		return owner === EDGE_WIRE && canClaim4(state, edge, source) ? SLOW_CLAIM : DROP_IP_SPOOF;
	}
	if (group) return SLOW_FANOUT;
	return slaveToOwner(state, frame, at, edge, state.ipv4.find(destination));
}

export function ipv4FromWire(state: PortState, frame: DataView, at: number, length: number): number {
	const ip = at + ETHERNET_HEADER;
	if (ipv4HeaderLength(frame, ip, length - ETHERNET_HEADER) === 0) return IGNORE;
	const destination = frame.getInt32(ip + IPV4_DESTINATION);
	const group = isGroupDestination(frame, at);
	// A network card in promiscuous mode, somebody's tcpdump, shows us what is for other machines.
	if (!group && !macEquals(frame, at + ETH_DESTINATION, state.masterHigh, state.masterLow)) return IGNORE;
	const sender = state.ipv4.find(frame.getInt32(ip + IPV4_SOURCE));
	if (group || isIpv4Group(destination)) return wireToGroup(state, frame, at, sender);
	return wireToOwner(state, frame, at, state.ipv4.find(destination), sender);
}

export function ipv4FromHost(state: PortState, frame: DataView, at: number, length: number): number {
	const ip = at + ETHERNET_HEADER;
	if (ipv4HeaderLength(frame, ip, length - ETHERNET_HEADER) === 0) return DROP_MALFORMED;
	const destination = frame.getInt32(ip + IPV4_DESTINATION);
	if (isGroupDestination(frame, at) || isIpv4Group(destination)) return SLOW_FANOUT;
	return hostToOwner(state, frame, at, state.ipv4.find(destination));
}

/**
 * A guest without an address speaks from 0.0.0.0 for two purposes: DHCP (RFC 2131, 4.1), and IGMP reports of
 * a host that has none yet (RFC 4541, 2.1.1). A later fragment shows no ports and is neither.
 */
function isFromNobody(frame: DataView, ip: number): boolean {
	const protocol = frame.getUint8(ip + IPV4_PROTOCOL);
	if (protocol === PROTOCOL_IGMP) return true;
	if (protocol !== PROTOCOL_UDP || (frame.getUint16(ip + IPV4_FRAGMENT) & 0x3fff) !== 0) return false;
	const udp = ip + ((frame.getUint8(ip) & 15) << 2);
	return udp + 4 <= ip + frame.getUint16(ip + 2) && frame.getInt32(udp) === DHCP_PORTS;
}

/** Source port 68, destination port 67. */
const DHCP_PORTS = (68 << 16) | 67;
