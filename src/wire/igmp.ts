/**
 * IGMP (RFC 1112, RFC 2236, RFC 3376): reading hosts' reports, and writing the general query that asks for them.
 *
 *      version 1 and 2    | type | max response | checksum | group |
 *      version 3 report   | 0x22 | 0 | checksum | 0 | records n | n × record |
 */
import { sumOf } from './checksum.js';
import {
	ETH_DESTINATION,
	ETH_SOURCE,
	ETH_TYPE,
	ETHERNET_HEADER,
	ETHERTYPE_IPV4,
	writeMac,
} from './ethernet.js';
import { type GroupRecords, MALFORMED_REPORT, NOT_A_REPORT, readRecords } from './group-report.js';
import {
	IPV4_CHECKSUM,
	IPV4_DESTINATION,
	IPV4_FRAGMENT,
	IPV4_HEADER_MIN,
	IPV4_PROTOCOL,
	IPV4_TOTAL_LENGTH,
	IPV4_TTL,
	ipv4Payload,
	PROTOCOL_IGMP,
} from './ip.js';

/**
 * Reads the report in the IPv4 packet at `ip`, whose lengths have been checked.
 * @returns how many records it has, NOT_A_REPORT or MALFORMED_REPORT.
 */
export function readIgmpReport(frame: DataView, ip: number, into: GroupRecords): number {
	if (frame.getUint8(ip + IPV4_PROTOCOL) !== PROTOCOL_IGMP) return NOT_A_REPORT;
	const message = ipv4Payload(frame, ip);
	const end = ip + frame.getUint16(ip + IPV4_TOTAL_LENGTH);
	if (message + 8 > end || (frame.getUint16(ip + IPV4_FRAGMENT) & FRAGMENT) !== 0) return MALFORMED_REPORT;
	const type = frame.getUint8(message);
	if (type !== V1_REPORT && type !== V2_REPORT && type !== LEAVE && type !== V3_REPORT) return NOT_A_REPORT;
	// A TTL of 1 says that it comes from this link, the router alert that it is meant for who listens in.
	if (frame.getUint8(ip + IPV4_TTL) !== 1) return MALFORMED_REPORT;
	if (type !== V1_REPORT && !hasRouterAlert(frame, ip, message)) return MALFORMED_REPORT;
	if (sumOf(frame, message, end - message) !== 0xffff) return MALFORMED_REPORT;
	if (type === V3_REPORT) {
		return readRecords(frame, message + 8, end, frame.getUint16(message + 6), 4, into);
	}
	const group = message + 4;
	// RFC 2236, 9: a report goes to the group that it is about, a leave to the routers.
	const destination = frame.getInt32(ip + IPV4_DESTINATION);
	const said = frame.getInt32(group);
	if (destination !== said && !(type === LEAVE && destination === ALL_ROUTERS)) return MALFORMED_REPORT;
	into.count = 0;
	into.add(group, type !== LEAVE);
	return 1;
}

/**
 * Writes a general query of version 3, which older hosts take for one of theirs. Its source is 0.0.0.0: whoever
 * hears it answers, but no router gives way to it (RFC 4541, 2.1.1).
 * @param source the sender's MAC, as `writeMac` takes it. @returns bytes of the frame.
 */
export function writeIgmpQuery(frame: DataView, at: number, source: { high: number; low: number }): number {
	const ip = at + ETHERNET_HEADER;
	const message = ip + IPV4_HEADER_MIN + ROUTER_ALERT_LENGTH;
	writeMac(frame, at + ETH_DESTINATION, 0x0100, 0x5e000001);
	writeMac(frame, at + ETH_SOURCE, source.high, source.low);
	frame.setUint16(at + ETH_TYPE, ETHERTYPE_IPV4);
	// Version 4, six words, network control (RFC 3376, 4); no fragments.
	frame.setUint32(ip, 0x46c00000 + (IPV4_HEADER_MIN + ROUTER_ALERT_LENGTH + QUERY_LENGTH));
	frame.setUint32(ip + 4, 0x00004000);
	frame.setUint32(ip + IPV4_TTL, (1 << 24) | (PROTOCOL_IGMP << 16));
	frame.setUint32(ip + 12, 0);
	frame.setInt32(ip + IPV4_DESTINATION, ALL_SYSTEMS);
	frame.setUint32(ip + IPV4_HEADER_MIN, (ROUTER_ALERT << 24) | (ROUTER_ALERT_LENGTH << 16));
	frame.setUint16(ip + IPV4_CHECKSUM, ~sumOf(frame, ip, IPV4_HEADER_MIN + ROUTER_ALERT_LENGTH) & 0xffff);
	frame.setUint32(message, (QUERY << 24) | (RESPONSE_TENTHS << 16));
	frame.setUint32(message + 4, 0);
	frame.setUint32(message + 8, (ROBUSTNESS << 24) | (QUERY_INTERVAL_SECONDS << 16));
	frame.setUint16(message + 2, ~sumOf(frame, message, QUERY_LENGTH) & 0xffff);
	return message + QUERY_LENGTH - at;
}

/** The defaults of RFC 3376, 8, but for the time to answer: one host alone has nobody to let pass first. */
export const QUERY_INTERVAL_SECONDS = 125;
export const ROBUSTNESS = 2;
const RESPONSE_TENTHS = 10;

const QUERY = 0x11;
const V1_REPORT = 0x12;
const V2_REPORT = 0x16;
const LEAVE = 0x17;
const V3_REPORT = 0x22;
const QUERY_LENGTH = 12;
const FRAGMENT = 0x3fff;
const ALL_SYSTEMS = 0xe0000001 | 0;
const ALL_ROUTERS = 0xe0000002 | 0;
/** RFC 2113: copied, class 0, number 20; four bytes with a value of 0. */
const ROUTER_ALERT = 148;
const ROUTER_ALERT_LENGTH = 4;
const OPTION_END = 0;
const OPTION_NOP = 1;

function hasRouterAlert(frame: DataView, ip: number, end: number): boolean {
	let option = ip + IPV4_HEADER_MIN;
	while (option < end) {
		const type = frame.getUint8(option);
		if (type === OPTION_END) return false;
		if (type === OPTION_NOP) {
			option++;
			continue;
		}
		const length = option + 1 < end ? frame.getUint8(option + 1) : 0;
		if (length < 2 || option + length > end) return false;
		if (type === ROUTER_ALERT) return length === ROUTER_ALERT_LENGTH && frame.getUint16(option + 2) === 0;
		option += length;
	}
	return false;
}
