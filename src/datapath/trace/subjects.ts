/**
 * Which addresses a frame speaks for, and which one it is for: what the decision looks up. Reads frames that
 * `forward` has found whole; what it refuses earlier has no addresses to speak of.
 */
import {
	ETH_TYPE,
	ETHERNET_HEADER,
	ETHERTYPE_ARP,
	ETHERTYPE_IPV4,
	ETHERTYPE_IPV6,
	isGroupDestination,
} from '../../wire/ethernet.js';
import {
	ARP_OPERATION,
	ARP_REQUEST,
	ARP_SENDER_IP,
	ARP_TARGET_IP,
	IPV4_DESTINATION,
	IPV4_SOURCE,
	IPV6_DESTINATION,
	IPV6_HEADER,
	IPV6_SOURCE,
	ipv4HeaderLength,
	ipv6Fits,
	isEthernetArp,
	isIpv4Group,
	isUnspecified6,
} from '../../wire/ip.js';
import { ND_TARGET, NEIGHBOUR_ADVERTISEMENT, NEIGHBOUR_SOLICITATION, ndType } from '../../wire/ndp.js';
import { isIpv6Group } from '../forward/claim.js';
import { EDGE_HOST } from '../verdict.js';

/** The role of an address that is asked for in order to be taken, if nobody answers. */
export const PROBED = 'probed address';

/** An address in a frame. */
export interface Subject {
	/** What it is there, as people say it. */
	role: string;
	family: 4 | 6;
	/** Its offset. */
	at: number;
}

export interface Subjects {
	/** For these the sender speaks: each must be its own. */
	speaksFor: Subject[];
	/** Whose owner the frame is for; undefined where it goes to a group. */
	destination: Subject | undefined;
	/** Goes to a group by its MAC, or by its address. */
	group: boolean;
}

/** @returns undefined for what is neither IPv4, IPv6 nor ARP, or not whole. */
export function subjectsOf(frame: DataView, from: number): Subjects | undefined {
	const length = frame.byteLength;
	if (length < ETHERNET_HEADER) return undefined;
	const rest = length - ETHERNET_HEADER;
	switch (frame.getUint16(ETH_TYPE)) {
		case ETHERTYPE_IPV4:
			return ipv4HeaderLength(frame, L3, rest) === 0 ? undefined : ipv4(frame);
		case ETHERTYPE_IPV6:
			return ipv6Fits(frame, L3, rest) ? ipv6(frame, from) : undefined;
		case ETHERTYPE_ARP:
			return isEthernetArp(frame, L3, rest) ? arp(frame) : undefined;
		default:
			return undefined;
	}
}

const L3 = ETHERNET_HEADER;

function ipv4(frame: DataView): Subjects {
	const group = isGroupDestination(frame, 0) || isIpv4Group(frame.getInt32(L3 + IPV4_DESTINATION));
	const destination: Subject = { role: 'destination', family: 4, at: L3 + IPV4_DESTINATION };
	return {
		speaksFor: [{ role: 'source', family: 4, at: L3 + IPV4_SOURCE }],
		destination: group ? undefined : destination,
		group,
	};
}

/** A request goes by its target wherever it is sent; so does a reply. */
function arp(frame: DataView): Subjects {
	const sender = frame.getInt32(L3 + ARP_SENDER_IP);
	const probes = sender === 0 && frame.getUint16(L3 + ARP_OPERATION) === ARP_REQUEST;
	const target: Subject = { role: 'target', family: 4, at: L3 + ARP_TARGET_IP };
	// RFC 5227: a probe is about the target, which it may not deny to others.
	const spoken: Subject = probes
		? { ...target, role: PROBED }
		: { role: 'sender', family: 4, at: L3 + ARP_SENDER_IP };
	return { speaksFor: [spoken], destination: target, group: isGroupDestination(frame, 0) };
}

/** Solicitations go by their target, the host's own excepted: what it asks for, it asks of whom it sends it to. */
function ipv6(frame: DataView, from: number): Subjects {
	const nd = ndType(frame, L3);
	const source: Subject = { role: 'source', family: 6, at: L3 + IPV6_SOURCE };
	const target: Subject = { role: 'target', family: 6, at: L3 + IPV6_HEADER + ND_TARGET };
	const group = isGroupDestination(frame, 0) || isIpv6Group(frame, L3 + IPV6_DESTINATION);
	if (nd === NEIGHBOUR_SOLICITATION && from !== EDGE_HOST) {
		const detects = isUnspecified6(frame, source.at);
		return {
			speaksFor: [detects ? { ...target, role: PROBED } : source],
			destination: target,
			group,
		};
	}
	const destination: Subject = { role: 'destination', family: 6, at: L3 + IPV6_DESTINATION };
	return {
		speaksFor:
			nd === NEIGHBOUR_ADVERTISEMENT ? [source, { ...target, role: 'advertised address' }] : [source],
		destination: group ? undefined : destination,
		group,
	};
}
