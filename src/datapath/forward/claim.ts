/** Which addresses a slave may come to own by using them, and which one a frame is a claim to. */
import { ETH_TYPE, ETHERNET_HEADER, ETHERTYPE_ARP, ETHERTYPE_IPV4 } from '../../wire/ethernet.js';
import {
	ARP_SENDER_IP,
	ARP_TARGET_IP,
	IPV4_SOURCE,
	IPV6_HEADER,
	IPV6_SOURCE,
	isIpv4Group,
	isLinkLocal6,
	isUnspecified6,
} from '../../wire/ip.js';
import { ND_TARGET, NEIGHBOUR_ADVERTISEMENT, ndType } from '../../wire/ndp.js';
import type { PortState } from '../port-state.js';

/** Whether a slave may come to own the IPv4 address, as far as the address and its own settings say. */
export function canClaim4(state: PortState, edge: number, address: number): boolean {
	const network = address >>> 24;
	return state.learns[edge] === 1 && network !== 0 && network !== 127 && !isIpv4Group(address);
}

/**
 * Whether a slave may come to own the IPv6 address at `address`. Link-local ones in every setting: without
 * one a guest has no IPv6 at all, and modern guests don't derive it from their MAC (RFC 7217).
 */
export function canClaim6(state: PortState, frame: DataView, address: number, edge: number): boolean {
	if (isLinkLocal6(frame, address)) return true;
	return state.learns[edge] === 1 && !isIpv6Group(frame, address) && !isReserved6(frame, address);
}

export function isIpv6Group(frame: DataView, address: number): boolean {
	return frame.getUint8(address) === 0xff;
}

/**
 * Offset of the address that a SLOW_CLAIM frame claims: its source, or the target of a probe, of duplicate
 * address detection, and of an advertisement whose source is owned already.
 */
export function claimedAddress(state: PortState, frame: DataView, at: number, edge: number): number {
	const l3 = at + ETHERNET_HEADER;
	const type = frame.getUint16(at + ETH_TYPE);
	if (type === ETHERTYPE_IPV4) return l3 + IPV4_SOURCE;
	if (type === ETHERTYPE_ARP) {
		return l3 + (frame.getInt32(l3 + ARP_SENDER_IP) === 0 ? ARP_TARGET_IP : ARP_SENDER_IP);
	}
	const source = l3 + IPV6_SOURCE;
	const target = l3 + IPV6_HEADER + ND_TARGET;
	if (isUnspecified6(frame, source)) return target;
	const advertises = ndType(frame, l3) === NEIGHBOUR_ADVERTISEMENT;
	return advertises && state.ipv6.find6(frame, source) === edge ? target : source;
}

/** ::/64 holds the unspecified and loopback addresses and the forms that embed IPv4 (RFC 4291, 2.5). */
function isReserved6(frame: DataView, address: number): boolean {
	return (frame.getInt32(address) | frame.getInt32(address + 4)) === 0;
}
