/**
 * Which packets are DHCP's, and whether their sender may say such things. What is asked of a server, and what a
 * server answers to a guest, goes the slow path, where identities and leases are known. Guests are no servers
 * unless that was allowed: clients listen on a raw socket and look at little more than the destination port, so
 * the guard looks at that alone, whatever the source port, and through fragments and extension headers.
 */
import {
	DHCP_CLIENT_PORT,
	DHCP_OPTIONS,
	DHCP_SERVER_PORT,
	UDP_DESTINATION_PORT,
	UDP_HEADER,
} from '../../wire/dhcp.js';
import { DHCP6_CLIENT_PORT, DHCP6_SERVER_PORT, isClientMessage } from '../../wire/dhcp6.js';
import { ETHERNET_HEADER, ETHERTYPE_IPV4, ETHERTYPE_IPV6 } from '../../wire/ethernet.js';
import {
	IPV4_FRAGMENT,
	IPV4_PROTOCOL,
	IPV4_TOTAL_LENGTH,
	IPV6_HEADER,
	IPV6_NEXT_HEADER,
	IPV6_PAYLOAD_LENGTH,
	ipv4Payload,
	PROTOCOL_UDP,
} from '../../wire/ip.js';
import { CHAIN_FRAGMENT, CHAIN_OFFSET, isExtension, upperLayer } from '../../wire/ipv6-extension.js';
import { ALLOW_DHCP_SERVER, type PortState } from '../port-state.js';
import { drop, SLOW_DHCP } from '../verdict.js';

/** Not a verdict: what the packet says to DHCP, if anything, is no reason to treat it otherwise. */
export const NOT_DHCP = 0x7fffffff;

const DROP_MALFORMED = drop('malformed');
const DROP_DHCP_SPOOF = drop('dhcp-spoof');
const DROP_DHCP_GUARD = drop('dhcp-guard');

/**
 * Verdict for a guest's IPv4 packet as far as DHCP has a say in it, or NOT_DHCP.
 * @param last where the frame ends, which may be behind the packet.
 * @param mayAsk whether its source and destination are those of a client: its own address, or nobody's and to all.
 * @param owned whether its source is the guest's own.
 */
export function dhcp4FromSlave(
	state: PortState,
	frame: DataView,
	ip: number,
	last: number,
	edge: number,
	mayAsk: boolean,
	owned: boolean,
): number {
	if (frame.getUint8(ip + IPV4_PROTOCOL) !== PROTOCOL_UDP) return NOT_DHCP;
	const udp = ipv4Payload(frame, ip);
	const end = ip + frame.getUint16(ip + IPV4_TOTAL_LENGTH);
	const fragment = frame.getUint16(ip + IPV4_FRAGMENT);
	// What a later fragment would complete is dropped with the first.
	if ((fragment & FRAGMENT_OFFSET) !== 0 || udp + UDP_HEADER > last) return NOT_DHCP;
	const to = frame.getUint16(udp + UDP_DESTINATION_PORT);
	if (to !== DHCP_SERVER_PORT && to !== DHCP_CLIENT_PORT) return NOT_DHCP;
	// Padding, to everybody but clients that read frames raw, and by the frame's length: dhclient, systemd-networkd.
	if (udp + UDP_HEADER > end) return DROP_MALFORMED;

	const serves = ((state.allows[edge] as number) & ALLOW_DHCP_SERVER) !== 0;
	const whole = (fragment & MORE_FRAGMENTS) === 0 && udp + UDP_HEADER + DHCP_OPTIONS <= end;
	const from = frame.getUint16(udp);
	if (to === DHCP_CLIENT_PORT) {
		if (!serves) return DROP_DHCP_GUARD;
		return whole && from === DHCP_SERVER_PORT && owned ? SLOW_DHCP : NOT_DHCP;
	}
	if (whole && from === DHCP_CLIENT_PORT) return mayAsk ? SLOW_DHCP : NOT_DHCP;
	// A relay agent's request would be answered to whom it names, in whose name it likes.
	if (serves) return NOT_DHCP;
	return whole ? DROP_DHCP_SPOOF : DROP_MALFORMED;
}

/** Whether an IPv4 packet from the wire or the host is a server's answer to a client; a relay agent's is too. */
export function isDhcp4Reply(frame: DataView, ip: number): boolean {
	if (frame.getUint8(ip + IPV4_PROTOCOL) !== PROTOCOL_UDP) return false;
	if ((frame.getUint16(ip + IPV4_FRAGMENT) & (MORE_FRAGMENTS | FRAGMENT_OFFSET)) !== 0) return false;
	const udp = ipv4Payload(frame, ip);
	return (
		udp + UDP_HEADER + DHCP_OPTIONS <= ip + frame.getUint16(ip + IPV4_TOTAL_LENGTH) &&
		frame.getInt32(udp) === ((DHCP_SERVER_PORT << 16) | DHCP_CLIENT_PORT)
	);
}

/** The same for a guest's IPv6 packet, which isn't neighbour discovery. */
export function dhcp6FromSlave(
	state: PortState,
	frame: DataView,
	ip: number,
	edge: number,
	owned: boolean,
): number {
	const next = frame.getUint8(ip + IPV6_NEXT_HEADER);
	const end = ip + IPV6_HEADER + frame.getUint16(ip + IPV6_PAYLOAD_LENGTH);
	if (next !== PROTOCOL_UDP) return isExtension(next) ? hiddenDhcp6(frame, ip, end) : NOT_DHCP;
	const udp = ip + IPV6_HEADER;
	if (udp + UDP_HEADER > end) return NOT_DHCP;
	const to = frame.getUint16(udp + UDP_DESTINATION_PORT);
	if (to !== DHCP6_SERVER_PORT && to !== DHCP6_CLIENT_PORT) return NOT_DHCP;

	const serves = ((state.allows[edge] as number) & ALLOW_DHCP_SERVER) !== 0;
	const asks = to === DHCP6_SERVER_PORT && udp + UDP_HEADER < end && isClientMessage(frame, udp + UDP_HEADER);
	if (!asks && !serves) return DROP_DHCP_GUARD;
	return owned && (asks || to === DHCP6_CLIENT_PORT) ? SLOW_DHCP : NOT_DHCP;
}

/** Whether an IPv6 packet from the wire or the host is for a client's port. */
export function isDhcp6Reply(frame: DataView, ip: number): boolean {
	return (
		frame.getUint8(ip + IPV6_NEXT_HEADER) === PROTOCOL_UDP &&
		frame.getUint16(ip + IPV6_PAYLOAD_LENGTH) > UDP_HEADER &&
		frame.getUint16(ip + IPV6_HEADER + UDP_DESTINATION_PORT) === DHCP6_CLIENT_PORT
	);
}

/** Whether a frame, of either family and from anywhere, asks servers. Its IP header is known to be whole. */
export function isDhcpRequest(frame: DataView, at: number, type: number): boolean {
	const ip = at + ETHERNET_HEADER;
	if (type === ETHERTYPE_IPV6) {
		return (
			frame.getUint8(ip + IPV6_NEXT_HEADER) === PROTOCOL_UDP &&
			frame.getUint16(ip + IPV6_PAYLOAD_LENGTH) >= UDP_HEADER &&
			frame.getUint16(ip + IPV6_HEADER + UDP_DESTINATION_PORT) === DHCP6_SERVER_PORT
		);
	}
	if (type !== ETHERTYPE_IPV4 || frame.getUint8(ip + IPV4_PROTOCOL) !== PROTOCOL_UDP) return false;
	if ((frame.getUint16(ip + IPV4_FRAGMENT) & FRAGMENT_OFFSET) !== 0) return false;
	const udp = ipv4Payload(frame, ip);
	return (
		udp + UDP_HEADER <= ip + frame.getUint16(ip + IPV4_TOTAL_LENGTH) &&
		frame.getUint16(udp + UDP_DESTINATION_PORT) === DHCP_SERVER_PORT
	);
}

/** Nobody honest sends DHCPv6 behind extension headers, or in pieces; receivers would take it all the same. */
function hiddenDhcp6(frame: DataView, ip: number, end: number): number {
	const upper = upperLayer(frame, ip, end);
	// What can't be followed has been dropped already, since it might hide neighbour discovery.
	if (upper < 0 || (upper & 255) !== PROTOCOL_UDP) return NOT_DHCP;
	const udp = ip + (upper >> CHAIN_OFFSET);
	// Ports that only the next fragment would show may be any.
	if (udp + UDP_HEADER > end) return (upper & CHAIN_FRAGMENT) !== 0 ? DROP_MALFORMED : NOT_DHCP;
	const to = frame.getUint16(udp + UDP_DESTINATION_PORT);
	return to === DHCP6_SERVER_PORT || to === DHCP6_CLIENT_PORT ? DROP_DHCP_GUARD : NOT_DHCP;
}

const MORE_FRAGMENTS = 0x2000;
const FRAGMENT_OFFSET = 0x1fff;
