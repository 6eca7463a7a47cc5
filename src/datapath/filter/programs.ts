/**
 * The filters that keep frames where they belong. Two choose what the forwarder's rings receive; they may let
 * more through than is wanted, because the forwarder decides again. Two run in TC and keep the host's stack
 * off what is the guests'; the one on the master must be exact, or the host would lose frames of its own.
 */

import { DHCP_CLIENT_PORT, DHCP_SERVER_PORT } from '../../wire/dhcp.js';
import {
	ETH_TYPE,
	ETHERNET_HEADER,
	ETHERTYPE_ARP,
	ETHERTYPE_IPV4,
	ETHERTYPE_IPV6,
	type MacWords,
	VLAN_ID,
} from '../../wire/ethernet.js';
import {
	ARP_TARGET_IP,
	IPV4_DESTINATION,
	IPV4_PROTOCOL,
	IPV4_SOURCE,
	IPV6_DESTINATION,
	IPV6_HEADER,
	IPV6_NEXT_HEADER,
	PROTOCOL_HOP_BY_HOP,
	PROTOCOL_ICMPV6,
	PROTOCOL_IGMP,
	PROTOCOL_UDP,
} from '../../wire/ip.js';
import { NEIGHBOUR_SOLICITATION, ROUTER_SOLICITATION } from '../../wire/ndp.js';
import type { AddressKey } from '../address-key.js';
import { HIGH_4, HIGH_6 } from '../groups.js';
import {
	ANCILLARY_IFINDEX,
	ANCILLARY_MARK,
	ANCILLARY_VLAN_PRESENT,
	ANCILLARY_VLAN_TCI,
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

/**
 * The mark (SO_MARK) of what the slow path sends: it tells our own copies from the host's frames where both pass.
 * "ipvt"; nobody's `fwmark` rule is likely to ask for it.
 */
export const FRAME_MARK = 0x69707674;

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

/**
 * For the master's ring: takes broadcast, the groups that guests want, and what may be for one of their addresses;
 * what came from us (FRAME_MARK) it leaves.
 * @param groups MACs; undefined: all groups. Those that nobody has to ask for are taken in any case.
 */
export function masterRingFilter(
	addresses: readonly AddressKey[],
	most = 250,
	groups?: readonly string[],
): Uint8Array {
	const ipv4 = searchRanges(rangesOf(lastWords(addresses, 4), most), TAKE, LEAVE);
	const ipv6 = searchRanges(rangesOf(lastWords(addresses, 6), most), TAKE, LEAVE);
	return assemble([
		...ifOfVlan(LEAVE),
		loadWord(ANCILLARY_MARK),
		...ifEqual(FRAME_MARK, LEAVE),
		loadByte(0),
		...ifSet(1, groups === undefined ? TAKE : wantedGroups(groups, addresses)),
		loadHalf(ETH_TYPE),
		...ifEqual(ETHERTYPE_ARP, [
			loadWord(ARP_TARGET),
			// Answers to probes name nobody.
			...ifEqual(0, TAKE),
			...ipv4,
		]),
		...ifEqual(ETHERTYPE_IPV4, [
			// DHCP replies go to an address that nobody has yet.
			...ifUdpTo(DHCP_CLIENT_PORT, TAKE),
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

/** Takes or leaves a frame with a group MAC. Other group MACs than IP's are broadcast, or of no interest. */
function wantedGroups(groups: readonly string[], addresses: readonly AddressKey[]): Instruction[] {
	const lows = (prefix: string) =>
		groups
			.filter(mac => mac.startsWith(prefix))
			.map(mac => Number.parseInt(mac.replaceAll(':', '').slice(4), 16));
	const solicited = lastWords(addresses, 6).map(word => (0xff000000 | (word & 0xffffff)) >>> 0);
	const linkLocal = Array.from({ length: 256 }, (_, last) => 0x5e000000 + last);
	return [
		loadHalf(0),
		...ifEqual(HIGH_4, [
			loadWord(2),
			...searchRanges(rangesOf([...lows('01:00:5e:'), ...linkLocal]), TAKE, LEAVE),
		]),
		...ifEqual(HIGH_6, [
			loadWord(2),
			...searchRanges(rangesOf([...lows('33:33:'), 1, ...solicited], GROUP_RANGES_MAX), TAKE, LEAVE),
		]),
		...ifEqual(0xffff, TAKE),
		...LEAVE,
	];
}

/**
 * The same where the host's stack takes what is for the guests (mode l3s), and only the questions about their
 * addresses are ours, in unicast too: a neighbour that wants to know whether we still live asks nobody else.
 */
export function masterQuestionsFilter(addresses: readonly AddressKey[], most = 250): Uint8Array {
	const ipv4 = searchRanges(rangesOf(lastWords(addresses, 4), most), TAKE, LEAVE);
	const ipv6 = searchRanges(rangesOf(lastWords(addresses, 6), most), TAKE, LEAVE);
	return assemble([
		...ifOfVlan(LEAVE),
		loadWord(ANCILLARY_MARK),
		...ifEqual(FRAME_MARK, LEAVE),
		loadByte(0),
		...ifSet(1, TAKE),
		loadHalf(ETH_TYPE),
		// As above.
		...ifEqual(ETHERTYPE_ARP, [loadWord(ARP_TARGET), ...ifEqual(0, TAKE), ...ipv4]),
		...ifEqual(ETHERTYPE_IPV4, [loadWord(IPV4_TARGET), ...ifAtLeast(FIRST_IPV4_GROUP, TAKE), ...LEAVE]),
		...ifEqual(ETHERTYPE_IPV6, [
			loadByte(IPV6_TARGET),
			...ifEqual(0xff, TAKE),
			loadByte(ETHERNET_HEADER + IPV6_NEXT_HEADER),
			...ifEqual(PROTOCOL_ICMPV6, [
				loadByte(ETHERNET_HEADER + IPV6_HEADER),
				...ifEqual(NEIGHBOUR_SOLICITATION, [loadWord(IPV6_TARGET + 12), ...ipv6]),
			]),
		]),
		...LEAVE,
	]);
}

/** TC ingress of a slave's TAP: nothing that a guest sends reaches the host's stack by itself. */
export function slaveDropFilter(): Uint8Array {
	return assemble(SHOT);
}

/**
 * TC ingress of the master: drops unicast IP of no VLAN for exactly these addresses, and ARP about them.
 * @param addresses 256 at the most, so that the program stays within the kernel's limit.
 */
export function masterDropFilter(addresses: readonly AddressKey[]): Uint8Array {
	const ipv4 = searchRanges(rangesOf(lastWords(addresses, 4)), SHOT, UNSPEC);
	return assemble([
		...ifOfVlan(UNSPEC),
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

/** Beyond this, ranges with small gaps between them are joined: more is let through, nothing is missed. */
const GROUP_RANGES_MAX = 128;
/** What a program in front of a TC action returns for the frames that it means (net/sched/cls_bpf.c). */
const MATCH: Code = [ret(-1)];
const NO_MATCH: Code = [ret(0)];

/**
 * TC egress of the master, in front of a mirror to the host slave: the host's own group frames, which guests are to
 * get too, and its DHCP server's replies. Not ours; not what is about the host's own addresses, groups and lease;
 * not ARP: guests are reached by the host slave.
 * @param master MAC in whose name all guests ask for a lease.
 */
export function hostGroupsFilter(master: MacWords): Uint8Array {
	const group: Code = [loadByte(0), ...ifSet(1, MATCH)];
	const toMaster: Code = [
		loadHalf(0),
		...ifEqual(master.high, [loadWord(2), ...ifEqual(master.low, MATCH)]),
		...NO_MATCH,
	];
	return assemble([
		...ifTagged(NO_MATCH),
		loadWord(ANCILLARY_MARK),
		...ifEqual(FRAME_MARK, NO_MATCH),
		loadHalf(ETH_TYPE),
		...ifEqual(ETHERTYPE_IPV4, [
			...ifUdpTo(DHCP_CLIENT_PORT, [...group, ...toMaster]),
			loadByte(ETHERNET_HEADER + IPV4_PROTOCOL),
			...ifEqual(PROTOCOL_IGMP, NO_MATCH),
			loadWord(ETHERNET_HEADER + IPV4_SOURCE),
			...ifEqual(0, NO_MATCH),
			...group,
			...NO_MATCH,
		]),
		...ifEqual(ETHERTYPE_IPV6, [
			loadByte(ETHERNET_HEADER + IPV6_NEXT_HEADER),
			// MLD is behind a hop-by-hop header, and hardly anything else is.
			...ifEqual(PROTOCOL_HOP_BY_HOP, NO_MATCH),
			...ifEqual(PROTOCOL_ICMPV6, [
				loadByte(ETHERNET_HEADER + IPV6_HEADER),
				...ifEqual(ROUTER_SOLICITATION, NO_MATCH),
				...ifEqual(NEIGHBOUR_SOLICITATION, NO_MATCH),
			]),
			...group,
			...NO_MATCH,
		]),
		...NO_MATCH,
	]);
}

/**
 * TC ingress of the host slave, in front of a redirection to the master: guests' group frames, and their requests to
 * the host's DHCP server, which listens on the master.
 * @param ipv4 false leaves IPv4 where it is.
 */
export function guestGroupsFilter(ipv4: boolean): Uint8Array {
	const group: Code = [loadByte(0), ...ifSet(1, MATCH), ...NO_MATCH];
	return assemble([
		loadHalf(ETH_TYPE),
		...ifEqual(ETHERTYPE_IPV4, ipv4 ? [...ifUdpTo(DHCP_SERVER_PORT, MATCH), ...group] : NO_MATCH),
		...ifEqual(ETHERTYPE_IPV6, group),
		...NO_MATCH,
	]);
}

const ARP_TARGET = ETHERNET_HEADER + ARP_TARGET_IP;
const IPV4_TARGET = ETHERNET_HEADER + IPV4_DESTINATION;
const IPV6_TARGET = ETHERNET_HEADER + IPV6_DESTINATION;
/** Ethernet, IPv4 with all its options, UDP: a DHCP message is far longer. */
const LONGEST_HEADERS = ETHERNET_HEADER + 60 + 8;
const FIRST_IPV4_GROUP = 0xe0000000;

/** For an IPv4 packet long enough for DHCP: a load past a frame's end would end the program. */
function ifUdpTo(port: number, then: Code): Instruction[] {
	return [
		loadLength(),
		...ifAtLeast(LONGEST_HEADERS, [
			loadByte(ETHERNET_HEADER + IPV4_PROTOCOL),
			...ifEqual(PROTOCOL_UDP, [
				loadHeaderLength(ETHERNET_HEADER),
				loadHalfBehind(ETHERNET_HEADER + 2),
				...ifEqual(port, then),
			]),
		]),
	];
}

/** A priority tag, of VLAN 0, is no VLAN's: to the kernel's stack such a frame is as good as untagged (802.1Q, 6.9). */
function ifOfVlan(then: Code): Instruction[] {
	// What was a tag's, on its way to here, may be there still.
	return ifTagged([loadWord(ANCILLARY_VLAN_TCI), ...ifSet(VLAN_ID, then)]);
}

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
