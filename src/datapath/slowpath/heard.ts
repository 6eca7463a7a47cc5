/** What ARP and neighbour discovery say about who has which address. Headers have been checked. */
import {
	ETH_SOURCE,
	ETH_TYPE,
	ETHERNET_HEADER,
	ETHERTYPE_ARP,
	ETHERTYPE_IPV6,
	formatMac,
} from '../../wire/ethernet.js';
import { ARP_SENDER_IP, IPV4_SOURCE, IPV6_HEADER, IPV6_PAYLOAD_LENGTH, IPV6_SOURCE } from '../../wire/ip.js';
import {
	linkLayerOption,
	ND_TARGET,
	NEIGHBOUR_ADVERTISEMENT,
	ndType,
	OPTION_TARGET_LINK_LAYER,
} from '../../wire/ndp.js';
import { addressText } from '../address-key.js';

/** The ARP sender's address. */
export function senderOf(frame: DataView, at: number): string {
	return addressText(frame, at + ETHERNET_HEADER + ARP_SENDER_IP, 4);
}

/** What a guest says that it has: as ARP's sender, or as the target of its advertisement. */
export function provenAddress(frame: DataView, at: number): string {
	const target = advertisedTarget(frame, at);
	return target === 0 ? senderOf(frame, at) : addressText(frame, target, 6);
}

/** Offset of the address that the frame is from: ARP's sender, IP's source. */
export function sourceAddress(frame: DataView, at: number): number {
	const type = frame.getUint16(at + ETH_TYPE);
	const offset = type === ETHERTYPE_ARP ? ARP_SENDER_IP : type === ETHERTYPE_IPV6 ? IPV6_SOURCE : IPV4_SOURCE;
	return at + ETHERNET_HEADER + offset;
}

/** Offset of the target of a neighbour advertisement, or 0. */
export function advertisedTarget(frame: DataView, at: number): number {
	if (frame.getUint16(at + ETH_TYPE) !== ETHERTYPE_IPV6) return 0;
	const ip = at + ETHERNET_HEADER;
	return ndType(frame, ip) === NEIGHBOUR_ADVERTISEMENT ? ip + IPV6_HEADER + ND_TARGET : 0;
}

/** Offset of the MAC that a neighbour advertisement names: its option's, or else the one that it came from. */
export function advertisedMac(frame: DataView, at: number): number {
	const ip = at + ETHERNET_HEADER;
	const icmp = ip + IPV6_HEADER;
	const end = icmp + frame.getUint16(ip + IPV6_PAYLOAD_LENGTH);
	return linkLayerOption(frame, icmp, end, OPTION_TARGET_LINK_LAYER) || at + ETH_SOURCE;
}

export function macAt(frame: DataView, at: number): string {
	return formatMac({ high: frame.getUint16(at), low: frame.getInt32(at + 2) });
}
