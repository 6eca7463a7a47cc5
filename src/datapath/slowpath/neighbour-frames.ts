/**
 * The ARP and ND frames that ipvtap says on a slave's behalf, from the master's MAC: that an address is here, and
 * whether anybody else has it. Each is written whole, at `to` of `frame`, and its length returned. Pure.
 */
import { writeIcmpv6Checksum } from '../../wire/checksum.js';
import {
	ETH_DESTINATION,
	ETH_SOURCE,
	ETH_TYPE,
	ETHERNET_HEADER,
	ETHERTYPE_ARP,
	ETHERTYPE_IPV6,
	writeMac,
} from '../../wire/ethernet.js';
import {
	ARP_LENGTH,
	ARP_OPERATION,
	ARP_REQUEST,
	ARP_SENDER_IP,
	ARP_SENDER_MAC,
	ARP_TARGET_IP,
	ARP_TARGET_MAC,
	copyAddress6,
	IPV6_DESTINATION,
	IPV6_HEADER,
	IPV6_HOP_LIMIT,
	IPV6_NEXT_HEADER,
	IPV6_PAYLOAD_LENGTH,
	IPV6_SOURCE,
	PROTOCOL_ICMPV6,
	writeAllNodes,
} from '../../wire/ip.js';
import {
	ND_FLAGS,
	ND_OVERRIDE,
	ND_ROUTER,
	ND_TARGET,
	NEIGHBOUR_ADVERTISEMENT,
	NEIGHBOUR_SOLICITATION,
	OPTION_TARGET_LINK_LAYER,
} from '../../wire/ndp.js';
import type { AddressKey } from '../address-key.js';
import { ALLOW_ROUTER, type PortState } from '../port-state.js';

/** "It is here": an ARP announcement (RFC 5227, 2.3), an unsolicited and overriding NA (RFC 4861, 7.2.6). */
export function writeAnnouncement(state: PortState, key: AddressKey, frame: DataView, to: number): number {
	if (key.family === 4) return arpRequest(state, key, key.words[0] as number, frame, to);
	link(state, frame, to, ETHERTYPE_IPV6);
	writeMac(frame, to + ETH_DESTINATION, 0x3333, 1);
	const icmp = to + ETHERNET_HEADER + IPV6_HEADER;
	copyAddress6(key.bytes, 0, frame, to + ETHERNET_HEADER + IPV6_SOURCE);
	writeAllNodes(frame, to + ETHERNET_HEADER + IPV6_DESTINATION);
	frame.setUint32(icmp, NEIGHBOUR_ADVERTISEMENT << 24);
	// Who is told that a router is none forgets it (RFC 4861, 7.2.5).
	const allows = state.allows[state.ipv6.find6(key.bytes, 0)] as number;
	frame.setUint32(icmp + ND_FLAGS, ND_OVERRIDE + ((allows & ALLOW_ROUTER) !== 0 ? ND_ROUTER : 0));
	copyAddress6(key.bytes, 0, frame, icmp + ND_TARGET);
	return finishAdvertisement(state, frame, to);
}

/**
 * "Has anybody got it?": an ARP probe (RFC 5227, 2.1.1), or the solicitation of duplicate address detection (RFC
 * 4862, 5.4.2). Whoever has the address answers, and nobody's neighbour table changes.
 */
export function writeProbe(state: PortState, key: AddressKey, frame: DataView, to: number): number {
	if (key.family === 4) return arpRequest(state, key, 0, frame, to);
	link(state, frame, to, ETHERTYPE_IPV6);
	const ip = to + ETHERNET_HEADER;
	const icmp = ip + IPV6_HEADER;
	const last = 0xff000000 | (key.bytes.getUint32(12) & 0xffffff);
	writeMac(frame, to + ETH_DESTINATION, 0x3333, last);
	for (let offset = 0; offset < 16; offset += 4) frame.setInt32(ip + IPV6_SOURCE + offset, 0);
	// ff02::1:ffXX:XXXX, the solicited-node group (RFC 4291, 2.7.1).
	frame.setUint32(ip + IPV6_DESTINATION, 0xff020000);
	frame.setUint32(ip + IPV6_DESTINATION + 4, 0);
	frame.setUint32(ip + IPV6_DESTINATION + 8, 1);
	frame.setInt32(ip + IPV6_DESTINATION + 12, last);
	frame.setUint32(icmp, NEIGHBOUR_SOLICITATION << 24);
	frame.setUint32(icmp + ND_FLAGS, 0);
	copyAddress6(key.bytes, 0, frame, icmp + ND_TARGET);
	return finish(frame, to, SOLICITATION);
}

/** Completes an advertisement whose addresses, flags and target stand: the master's MAC as its option, lengths, checksum. */
export function finishAdvertisement(state: PortState, frame: DataView, to: number): number {
	const icmp = to + ETHERNET_HEADER + IPV6_HEADER;
	frame.setUint16(icmp + SOLICITATION, (OPTION_TARGET_LINK_LAYER << 8) | 1);
	writeMac(frame, icmp + SOLICITATION + 2, state.masterHigh, state.masterLow);
	return finish(frame, to, ADVERTISEMENT);
}

/** Bytes of a solicitation without options, and of an advertisement with its target link-layer address. */
const SOLICITATION = 24;
const ADVERTISEMENT = 32;

function arpRequest(state: PortState, key: AddressKey, sender: number, frame: DataView, to: number): number {
	const arp = to + ETHERNET_HEADER;
	link(state, frame, to, ETHERTYPE_ARP);
	writeMac(frame, to + ETH_DESTINATION, 0xffff, -1);
	// Ethernet, IPv4, address lengths 6 and 4.
	frame.setUint32(arp, 0x00010800);
	frame.setUint16(arp + 4, 0x0604);
	frame.setUint16(arp + ARP_OPERATION, ARP_REQUEST);
	writeMac(frame, arp + ARP_SENDER_MAC, state.masterHigh, state.masterLow);
	frame.setInt32(arp + ARP_SENDER_IP, sender);
	writeMac(frame, arp + ARP_TARGET_MAC, 0, 0);
	frame.setInt32(arp + ARP_TARGET_IP, key.words[0] as number);
	return ETHERNET_HEADER + ARP_LENGTH;
}

function link(state: PortState, frame: DataView, to: number, type: number): void {
	writeMac(frame, to + ETH_SOURCE, state.masterHigh, state.masterLow);
	frame.setUint16(to + ETH_TYPE, type);
}

function finish(frame: DataView, to: number, length: number): number {
	const ip = to + ETHERNET_HEADER;
	const icmp = ip + IPV6_HEADER;
	frame.setUint32(ip, 0x60000000);
	frame.setUint16(ip + IPV6_PAYLOAD_LENGTH, length);
	frame.setUint8(ip + IPV6_NEXT_HEADER, PROTOCOL_ICMPV6);
	frame.setUint8(ip + IPV6_HOP_LIMIT, 255);
	writeIcmpv6Checksum(frame, ip, icmp, length);
	return ETHERNET_HEADER + IPV6_HEADER + length;
}
