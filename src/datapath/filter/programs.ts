/**
 * The filters that keep frames where they belong. Two choose what the forwarder's rings receive; they may let
 * more through than is wanted, because the forwarder decides again. Two run in TC and keep the host's stack
 * off what is the guests'; the one on the master must be exact, or the host would lose frames of its own.
 */

import { DHCP_CLIENT_PORT } from '../../wire/dhcp.js';
import {
	ETH_TYPE,
	ETHERNET_HEADER,
	ETHERTYPE_ARP,
	ETHERTYPE_IPV4,
	ETHERTYPE_IPV6,
} from '../../wire/ethernet.js';
import {
	ARP_TARGET_IP,
	IPV4_DESTINATION,
	IPV4_PROTOCOL,
	IPV6_DESTINATION,
	PROTOCOL_UDP,
} from '../../wire/ip.js';
import type { AddressKey } from '../address-key.js';
import {
	ANCILLARY_IFINDEX,
	ANCILLARY_VLAN_PRESENT,
	assemble,
	type Code,
	type Instruction,
	ifAtLeast,
	ifEqual,
	ifSet,
	loadByte,
	loadHalf,
	loadHalfBehind,
	loadHeaderLength,
	loadLength,
	loadWord,
	ret,
} from './classic-bpf.js';
import { rangesOf, searchRanges } from './search.js';

/** What a socket filter returns to take the whole frame: more than any frame is long. */
const TAKE: Code = [ret(0x40000)];
const LEAVE: Code = [ret(0)];
/** linux/pkt_cls.h: TC_ACT_SHOT ends the frame, TC_ACT_UNSPEC leaves it to the next filter. */
const SHOT: Code = [ret(2)];
const UNSPEC: Code = [ret(-1)];

/**
 * For the slaves' ring, bound to all interfaces: takes what comes from one of `ifindexes`.
 * @param most ranges at the most; fewer make a shorter, less exact program.
 */
export function slaveRingFilter(ifindexes: Iterable<number>, most = 600): Uint8Array {
	return assemble([loadWord(ANCILLARY_IFINDEX), ...searchRanges(rangesOf(ifindexes, most), TAKE, LEAVE)]);
}

/** For the master's ring: takes multicast, broadcast, and what may be for one of the guests' addresses. */
export function masterRingFilter(addresses: readonly AddressKey[], most = 250): Uint8Array {
	const ipv4 = searchRanges(rangesOf(lastWords(addresses, 4), most), TAKE, LEAVE);
	const ipv6 = searchRanges(rangesOf(lastWords(addresses, 6), most), TAKE, LEAVE);
	return assemble([
		...ifTagged(LEAVE),
		loadByte(0),
		...ifSet(1, TAKE),
		loadHalf(ETH_TYPE),
		...ifEqual(ETHERTYPE_ARP, [
			loadWord(ARP_TARGET),
			// Answers to probes name nobody.
			...ifEqual(0, TAKE),
			...ipv4,
		]),
		...ifEqual(ETHERTYPE_IPV4, [
			// DHCP replies go to an address that nobody has yet. A load past a frame's end would end the program.
			loadLength(),
			...ifAtLeast(LONGEST_HEADERS, [
				loadByte(ETHERNET_HEADER + IPV4_PROTOCOL),
				...ifEqual(PROTOCOL_UDP, [
					loadHeaderLength(ETHERNET_HEADER),
					loadHalfBehind(ETHERNET_HEADER + 2),
					...ifEqual(DHCP_CLIENT_PORT, TAKE),
				]),
			]),
			loadWord(IPV4_TARGET),
			...ifAtLeast(FIRST_IPV4_GROUP, TAKE),
			...ipv4,
		]),
		...ifEqual(ETHERTYPE_IPV6, [
			loadByte(IPV6_TARGET),
			...ifEqual(0xff, TAKE),
			loadWord(IPV6_TARGET + 12),
			...ipv6,
		]),
		...LEAVE,
	]);
}

/** TC ingress of a slave's TAP: nothing that a guest sends reaches the host's stack by itself. */
export function slaveDropFilter(): Uint8Array {
	return assemble(SHOT);
}

/**
 * TC ingress of the master: drops untagged unicast IP for exactly these addresses, and ARP about them.
 * @param addresses 256 at the most, so that the program stays within the kernel's limit.
 */
export function masterDropFilter(addresses: readonly AddressKey[]): Uint8Array {
	const ipv4 = searchRanges(rangesOf(lastWords(addresses, 4)), SHOT, UNSPEC);
	return assemble([
		...ifTagged(UNSPEC),
		loadHalf(ETH_TYPE),
		...ifEqual(ETHERTYPE_ARP, [loadWord(ARP_TARGET), ...ipv4]),
		loadByte(0),
		...ifSet(1, UNSPEC),
		loadHalf(ETH_TYPE),
		...ifEqual(ETHERTYPE_IPV4, [loadWord(IPV4_TARGET), ...ipv4]),
		...ifEqual(ETHERTYPE_IPV6, exact6(addresses.filter(({ family }) => family === 6))),
		...UNSPEC,
	]);
}

const ARP_TARGET = ETHERNET_HEADER + ARP_TARGET_IP;
const IPV4_TARGET = ETHERNET_HEADER + IPV4_DESTINATION;
const IPV6_TARGET = ETHERNET_HEADER + IPV6_DESTINATION;
/** Ethernet, IPv4 with all its options, UDP: a DHCP message is far longer. */
const LONGEST_HEADERS = ETHERNET_HEADER + 60 + 8;
const FIRST_IPV4_GROUP = 0xe0000000;

function ifTagged(then: Code): Instruction[] {
	return [loadWord(ANCILLARY_VLAN_PRESENT), ...ifAtLeast(1, then)];
}

function lastWords(addresses: readonly AddressKey[], family: 4 | 6): number[] {
	return addresses.filter(key => key.family === family).map(({ words }) => (words.at(-1) as number) >>> 0);
}

/** A tree over the last word, and behind each of its leaves the other three words of who ends in it. */
function exact6(addresses: readonly AddressKey[]): Instruction[] {
	const byLastWord = new Map<number, AddressKey[]>();
	for (const key of addresses) {
		const last = (key.words[3] as number) >>> 0;
		byLastWord.set(last, [...(byLastWord.get(last) ?? []), key]);
	}
	const leaves = [...byLastWord].sort(([a], [b]) => a - b);
	return [loadWord(IPV6_TARGET + 12), ...chooseLeaf(leaves)];
}

function chooseLeaf(leaves: readonly [number, readonly AddressKey[]][]): Instruction[] {
	if (leaves.length === 0) return [...UNSPEC];
	if (leaves.length === 1) {
		const [last, keys] = leaves[0] as [number, readonly AddressKey[]];
		return [...ifEqual(last, [...keys.flatMap(matchFirstWords), ...UNSPEC]), ...UNSPEC];
	}
	const middle = leaves.length >> 1;
	const [from] = leaves[middle] as [number, readonly AddressKey[]];
	return [...ifAtLeast(from, chooseLeaf(leaves.slice(middle))), ...chooseLeaf(leaves.slice(0, middle))];
}

/** Drops if the other words match too, and falls through to the next address of the same leaf if not. */
function matchFirstWords({ words: [a = 0, b = 0, c = 0] }: AddressKey): Instruction[] {
	return [
		loadWord(IPV6_TARGET),
		...ifEqual(a, [
			loadWord(IPV6_TARGET + 4),
			...ifEqual(b, [loadWord(IPV6_TARGET + 8), ...ifEqual(c, SHOT)]),
		]),
	];
}
