/**
 * ARP replies and neighbour advertisements in the host's name. The host's stack can't give them: the address is
 * on the master, and Linux answers ND only on the device that has it, and ARP there only if `arp_ignore` lets it.
 */
import {
	ETH_DESTINATION,
	ETH_SOURCE,
	ETH_TYPE,
	ETHERNET_HEADER,
	ETHERTYPE_ARP,
	writeMac,
} from '../../wire/ethernet.js';
import {
	ARP_LENGTH,
	ARP_OPERATION,
	ARP_REPLY,
	ARP_SENDER_IP,
	ARP_SENDER_MAC,
	ARP_TARGET_IP,
	ARP_TARGET_MAC,
	copyAddress6,
	IPV6_DESTINATION,
	IPV6_HEADER,
	IPV6_SOURCE,
	isUnspecified6,
	writeAllNodes,
} from '../../wire/ip.js';
import { ND_FLAGS, ND_OVERRIDE, ND_SOLICITED, ND_TARGET, NEIGHBOUR_ADVERTISEMENT } from '../../wire/ndp.js';
import type { PortState } from '../port-state.js';
import { finishAdvertisement } from './neighbour-frames.js';

/**
 * Writes the answer to the request at `at` of `request` to `to` of `frame`; the virtio header in front of it is the
 * caller's. @returns its length in bytes.
 */
export function writeAnswer(
	state: PortState,
	request: DataView,
	at: number,
	frame: DataView,
	to: number,
): number {
	return request.getUint16(at + ETH_TYPE) === ETHERTYPE_ARP
		? arpReply(state, request, at, frame, to)
		: advertisement(state, request, at, frame, to);
}

/** RFC 826: sender and target change places. */
function arpReply(state: PortState, request: DataView, at: number, frame: DataView, to: number): number {
	const asked = at + ETHERNET_HEADER;
	const arp = to + ETHERNET_HEADER;
	ethernet(state, request, at, frame, to);
	for (let offset = 0; offset < 8; offset += 4)
		frame.setInt32(arp + offset, request.getInt32(asked + offset));
	frame.setUint16(arp + ARP_OPERATION, ARP_REPLY);
	writeMac(frame, arp + ARP_SENDER_MAC, state.masterHigh, state.masterLow);
	frame.setInt32(arp + ARP_SENDER_IP, request.getInt32(asked + ARP_TARGET_IP));
	writeMac(
		frame,
		arp + ARP_TARGET_MAC,
		request.getUint16(at + ETH_SOURCE),
		request.getInt32(at + ETH_SOURCE + 2),
	);
	frame.setInt32(arp + ARP_TARGET_IP, request.getInt32(asked + ARP_SENDER_IP));
	return ETHERNET_HEADER + ARP_LENGTH;
}

/** RFC 4861, 4.4 and 7.2.4: solicited and overriding; to all nodes if the question came from nobody. */
function advertisement(state: PortState, request: DataView, at: number, frame: DataView, to: number): number {
	const asked = at + ETHERNET_HEADER;
	const ip = to + ETHERNET_HEADER;
	const icmp = ip + IPV6_HEADER;
	const fromNobody = isUnspecified6(request, asked + IPV6_SOURCE);
	ethernet(state, request, at, frame, to);
	if (fromNobody) writeMac(frame, to + ETH_DESTINATION, 0x3333, 1);
	copyAddress6(request, asked + IPV6_HEADER + ND_TARGET, frame, ip + IPV6_SOURCE);
	if (fromNobody) writeAllNodes(frame, ip + IPV6_DESTINATION);
	else copyAddress6(request, asked + IPV6_SOURCE, frame, ip + IPV6_DESTINATION);
	frame.setUint32(icmp, NEIGHBOUR_ADVERTISEMENT << 24);
	frame.setUint32(icmp + ND_FLAGS, fromNobody ? ND_OVERRIDE : ND_SOLICITED | ND_OVERRIDE);
	copyAddress6(request, asked + IPV6_HEADER + ND_TARGET, frame, icmp + ND_TARGET);
	return finishAdvertisement(state, frame, to);
}

function ethernet(state: PortState, request: DataView, at: number, frame: DataView, to: number): void {
	writeMac(
		frame,
		to + ETH_DESTINATION,
		request.getUint16(at + ETH_SOURCE),
		request.getInt32(at + ETH_SOURCE + 2),
	);
	writeMac(frame, to + ETH_SOURCE, state.masterHigh, state.masterLow);
	frame.setUint16(to + ETH_TYPE, request.getUint16(at + ETH_TYPE));
}
