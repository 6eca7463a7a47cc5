/**
 * Multicast listener discovery (RFC 2710, RFC 3810): reading hosts' reports, and writing the general query that
 * asks for them. It is ICMPv6 behind a hop-by-hop header with a router alert.
 *
 *      version 1          | type | 0 | checksum | 0 | 0 | group |
 *      version 2 report   | 143  | 0 | checksum | 0 | records n | n × record |
 */
import { pseudoHeader6, sumOf, writeIcmpv6Checksum } from './checksum.js';
import {
	ETH_DESTINATION,
	ETH_SOURCE,
	ETH_TYPE,
	ETHERNET_HEADER,
	ETHERTYPE_IPV6,
	writeMac,
} from './ethernet.js';
import { type GroupRecords, MALFORMED_REPORT, NOT_A_REPORT, readRecords } from './group-report.js';
import { QUERY_INTERVAL_SECONDS, ROBUSTNESS } from './igmp.js';
import {
	copyAddress6,
	IPV6_DESTINATION,
	IPV6_HEADER,
	IPV6_HOP_LIMIT,
	IPV6_NEXT_HEADER,
	IPV6_PAYLOAD_LENGTH,
	IPV6_SOURCE,
	isLinkLocal6,
	isUnspecified6,
	PROTOCOL_HOP_BY_HOP,
	PROTOCOL_ICMPV6,
	writeAllNodes,
} from './ip.js';

/**
 * Reads the report in the IPv6 packet at `ip`, whose lengths have been checked.
 * @returns how many records it has, NOT_A_REPORT or MALFORMED_REPORT.
 */
export function readMldReport(frame: DataView, ip: number, into: GroupRecords): number {
	// Without the hop-by-hop header nobody who listens in would look, so no host sends it otherwise (RFC 3810, 5).
	if (frame.getUint8(ip + IPV6_NEXT_HEADER) !== PROTOCOL_HOP_BY_HOP) return NOT_A_REPORT;
	const options = ip + IPV6_HEADER;
	const end = options + frame.getUint16(ip + IPV6_PAYLOAD_LENGTH);
	if (options + 8 > end || frame.getUint8(options) !== PROTOCOL_ICMPV6) return NOT_A_REPORT;
	const message = options + ((frame.getUint8(options + 1) + 1) << 3);
	if (message + 8 > end) return NOT_A_REPORT;
	const type = frame.getUint8(message);
	if (type !== V1_REPORT && type !== V1_DONE && type !== V2_REPORT) return NOT_A_REPORT;
	if (frame.getUint8(ip + IPV6_HOP_LIMIT) !== 1 || !isFromLink(frame, ip)) return MALFORMED_REPORT;
	if (!hasRouterAlert(frame, options + 2, message)) return MALFORMED_REPORT;
	const length = end - message;
	if (
		sumOf(frame, message, length, pseudoHeader6(frame, ip + IPV6_SOURCE, length, PROTOCOL_ICMPV6)) !== 0xffff
	)
		return MALFORMED_REPORT;
	if (type === V2_REPORT) {
		return readRecords(frame, message + 8, end, frame.getUint16(message + 6), 16, into);
	}
	if (length < V1_LENGTH) return MALFORMED_REPORT;
	into.count = 0;
	into.add(message + 8, type === V1_REPORT);
	return 1;
}

/**
 * Writes a general query of version 2, which older hosts take for one of theirs.
 * @param source the sender's MAC, and the sixteen bytes of its link-local address: hosts heed no other (RFC 3810, 5.1.14).
 * @returns bytes of the frame.
 */
export function writeMldQuery(
	frame: DataView,
	at: number,
	source: { high: number; low: number; address: DataView },
): number {
	const ip = at + ETHERNET_HEADER;
	const options = ip + IPV6_HEADER;
	const message = options + HOP_BY_HOP_LENGTH;
	writeMac(frame, at + ETH_DESTINATION, 0x3333, 1);
	writeMac(frame, at + ETH_SOURCE, source.high, source.low);
	frame.setUint16(at + ETH_TYPE, ETHERTYPE_IPV6);
	frame.setUint32(ip, 0x60000000);
	frame.setUint16(ip + IPV6_PAYLOAD_LENGTH, HOP_BY_HOP_LENGTH + QUERY_LENGTH);
	frame.setUint16(ip + IPV6_NEXT_HEADER, (PROTOCOL_HOP_BY_HOP << 8) | 1);
	copyAddress6(source.address, 0, frame, ip + IPV6_SOURCE);
	writeAllNodes(frame, ip + IPV6_DESTINATION);
	// Next header, 8 bytes long, router alert for MLD, two bytes of padding.
	frame.setUint32(options, (PROTOCOL_ICMPV6 << 24) | (ROUTER_ALERT << 8) | 2);
	frame.setUint32(options + 4, OPTION_PADN << 8);
	for (let offset = 0; offset < QUERY_LENGTH; offset += 4) frame.setUint32(message + offset, 0);
	frame.setUint8(message, QUERY);
	frame.setUint16(message + 4, RESPONSE_MS);
	frame.setUint8(message + 24, ROBUSTNESS);
	frame.setUint8(message + 25, QUERY_INTERVAL_SECONDS);
	writeIcmpv6Checksum(frame, ip, message, QUERY_LENGTH);
	return message + QUERY_LENGTH - at;
}

const QUERY = 130;
const V1_REPORT = 131;
const V1_DONE = 132;
const V2_REPORT = 143;
const V1_LENGTH = 24;
const QUERY_LENGTH = 28;
const HOP_BY_HOP_LENGTH = 8;
const RESPONSE_MS = 1000;
/** RFC 2711: two bytes of value, 0 for MLD. */
const ROUTER_ALERT = 5;
const OPTION_PAD1 = 0;
const OPTION_PADN = 1;

/** RFC 3810, 5.2.13: link-local, or `::` from a host that is still about to have an address. */
function isFromLink(frame: DataView, ip: number): boolean {
	return isLinkLocal6(frame, ip + IPV6_SOURCE) || isUnspecified6(frame, ip + IPV6_SOURCE);
}

function hasRouterAlert(frame: DataView, at: number, end: number): boolean {
	let option = at;
	while (option < end) {
		const type = frame.getUint8(option);
		if (type === OPTION_PAD1) {
			option++;
			continue;
		}
		if (option + 2 > end) return false;
		const length = frame.getUint8(option + 1);
		if (option + 2 + length > end) return false;
		if (type === ROUTER_ALERT) return length === 2 && frame.getUint16(option + 2) === 0;
		option += 2 + length;
	}
	return false;
}
