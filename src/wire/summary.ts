/** A frame in words, one line, for people. Whatever can't be read is named as far as it can. */
import ipaddr from 'ipaddr.js';
import { BOOT_REPLY, DHCP_OPTIONS, dhcpType, isDhcp, UDP_HEADER } from './dhcp.js';
import {
	ETH_TYPE,
	ETHERNET_HEADER,
	ETHERTYPE_ARP,
	ETHERTYPE_IPV4,
	ETHERTYPE_IPV6,
	ETHERTYPE_QINQ,
	ETHERTYPE_VLAN,
	formatMac,
} from './ethernet.js';
import {
	ARP_OPERATION,
	ARP_REQUEST,
	ARP_SENDER_IP,
	ARP_SENDER_MAC,
	ARP_TARGET_IP,
	IPV4_DESTINATION,
	IPV4_FRAGMENT,
	IPV4_PROTOCOL,
	IPV4_SOURCE,
	IPV6_DESTINATION,
	IPV6_HEADER,
	IPV6_NEXT_HEADER,
	IPV6_SOURCE,
	ipv4HeaderLength,
	ipv6Fits,
	isEthernetArp,
	PROTOCOL_FRAGMENT,
	PROTOCOL_HOP_BY_HOP,
	PROTOCOL_ICMPV6,
	PROTOCOL_IGMP,
	PROTOCOL_TCP,
	PROTOCOL_UDP,
} from './ip.js';
import { ND_TARGET, NEIGHBOUR_ADVERTISEMENT, NEIGHBOUR_SOLICITATION } from './ndp.js';

/** For example `52:54:00:00:00:11 > 02:00:00:00:00:01, IPv4 192.0.2.11 > 192.0.2.1 UDP 40000 > 53, 54 bytes`. */
export function summarise(frame: Uint8Array): string {
	const length = `${frame.length} bytes`;
	if (frame.length < ETHERNET_HEADER) return `shorter than an Ethernet header, ${length}`;
	const view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength);
	const link = `${macAt(view, 6)} > ${macAt(view, 0)}`;
	return `${link}, ${packet(view, frame.length - ETHERNET_HEADER)}, ${length}`;
}

function packet(frame: DataView, length: number): string {
	const type = frame.getUint16(ETH_TYPE);
	if (type === ETHERTYPE_IPV4) return ipv4(frame, length);
	if (type === ETHERTYPE_IPV6) return ipv6(frame, length);
	if (type === ETHERTYPE_ARP) return arp(frame, length);
	if ((type === ETHERTYPE_VLAN || type === ETHERTYPE_QINQ) && length >= 2)
		return `VLAN ${frame.getUint16(ETHERNET_HEADER) & 0xfff}`;
	return `ethertype 0x${type.toString(16).padStart(4, '0')}`;
}

function ipv4(frame: DataView, length: number): string {
	const ip = ETHERNET_HEADER;
	const header = ipv4HeaderLength(frame, ip, length);
	if (header === 0) return 'IPv4 with a broken header';
	const ends = `${addressAt(frame, ip + IPV4_SOURCE, 4)} > ${addressAt(frame, ip + IPV4_DESTINATION, 4)}`;
	const protocol = frame.getUint8(ip + IPV4_PROTOCOL);
	const fragment = (frame.getUint16(ip + IPV4_FRAGMENT) & 0x3fff) !== 0;
	const what = fragment
		? `${protocolName(protocol)} fragment`
		: upper(frame, protocol, ip + header, ip + frame.getUint16(ip + 2));
	return `IPv4 ${ends} ${what}`;
}

function ipv6(frame: DataView, length: number): string {
	const ip = ETHERNET_HEADER;
	if (!ipv6Fits(frame, ip, length)) return 'IPv6 with a broken header';
	const ends = `${addressAt(frame, ip + IPV6_SOURCE, 16)} > ${addressAt(frame, ip + IPV6_DESTINATION, 16)}`;
	const end = ip + IPV6_HEADER + frame.getUint16(ip + 4);
	return `IPv6 ${ends} ${upper(frame, frame.getUint8(ip + IPV6_NEXT_HEADER), ip + IPV6_HEADER, end)}`;
}

function upper(frame: DataView, protocol: number, at: number, end: number): string {
	const name = protocolName(protocol);
	if (protocol === PROTOCOL_HOP_BY_HOP && at + 8 <= end) {
		const next = at + ((frame.getUint8(at + 1) + 1) << 3);
		return next <= end ? upper(frame, frame.getUint8(at), next, end) : name;
	}
	if (protocol === PROTOCOL_ICMPV6) return icmpv6(frame, at, end);
	if (protocol === 1 && at < end) return icmp(frame.getUint8(at));
	const hasPorts = protocol === PROTOCOL_UDP || protocol === PROTOCOL_TCP;
	if (!hasPorts || at + 8 > end) return name;
	const dhcp = protocol === PROTOCOL_UDP ? dhcpName(frame, at + UDP_HEADER, end) : '';
	return `${name} ${frame.getUint16(at)} > ${frame.getUint16(at + 2)}${dhcp}`;
}

function icmp(type: number): string {
	const names = new Map([
		[0, ' echo reply'],
		[3, ' unreachable'],
		[5, ' redirect'],
		[8, ' echo request'],
		[11, ' time exceeded'],
	]);
	return `ICMP${names.get(type) ?? ` type ${type}`}`;
}

function icmpv6(frame: DataView, at: number, end: number): string {
	if (at >= end) return 'ICMPv6 without a type';
	const type = frame.getUint8(at);
	const name = icmpv6Names.get(type) ?? `type ${type}`;
	const hasTarget = type === NEIGHBOUR_SOLICITATION || type === NEIGHBOUR_ADVERTISEMENT;
	if (!hasTarget || at + ND_TARGET + 16 > end) return `ICMPv6 ${name}`;
	return `ICMPv6 ${name} for ${addressAt(frame, at + ND_TARGET, 16)}`;
}

const icmpv6Names = new Map([
	[1, 'unreachable'],
	[2, 'packet too big'],
	[3, 'time exceeded'],
	[128, 'echo request'],
	[129, 'echo reply'],
	[130, 'MLD query'],
	[131, 'MLDv1 report'],
	[132, 'MLDv1 done'],
	[133, 'router solicitation'],
	[134, 'router advertisement'],
	[135, 'neighbour solicitation'],
	[136, 'neighbour advertisement'],
	[137, 'redirect'],
	[143, 'MLDv2 report'],
]);

function arp(frame: DataView, length: number): string {
	const at = ETHERNET_HEADER;
	if (!isEthernetArp(frame, at, length)) return 'ARP that is not for IPv4 over Ethernet';
	const target = addressAt(frame, at + ARP_TARGET_IP, 4);
	const sender = addressAt(frame, at + ARP_SENDER_IP, 4);
	const asks = frame.getUint16(at + ARP_OPERATION) === ARP_REQUEST;
	if (asks) return `ARP who has ${target}, asked by ${sender}`;
	return `ARP ${sender} is at ${macAt(frame, at + ARP_SENDER_MAC)}, told to ${target}`;
}

function dhcpName(frame: DataView, bootp: number, end: number): string {
	if (bootp + DHCP_OPTIONS > end || !isDhcp(frame, bootp, end - bootp)) return '';
	const names = ['', 'DISCOVER', 'OFFER', 'REQUEST', 'DECLINE', 'ACK', 'NAK', 'RELEASE', 'INFORM'];
	const plain = frame.getUint8(bootp) === BOOT_REPLY ? 'reply' : 'request';
	return ` DHCP ${names[dhcpType(frame, bootp, end)] || plain}`;
}

function protocolName(protocol: number): string {
	const names = new Map([
		[PROTOCOL_HOP_BY_HOP, 'hop-by-hop options'],
		[1, 'ICMP'],
		[PROTOCOL_IGMP, 'IGMP'],
		[PROTOCOL_TCP, 'TCP'],
		[PROTOCOL_UDP, 'UDP'],
		[PROTOCOL_FRAGMENT, 'fragment'],
		[PROTOCOL_ICMPV6, 'ICMPv6'],
	]);
	return names.get(protocol) ?? `protocol ${protocol}`;
}

function addressAt(frame: DataView, at: number, length: 4 | 16): string {
	const octets = Array.from({ length }, (_, index) => frame.getUint8(at + index));
	const address = ipaddr.fromByteArray(octets);
	return address instanceof ipaddr.IPv6 ? address.toRFC5952String() : address.toString();
}

function macAt(frame: DataView, at: number): string {
	return formatMac({ high: frame.getUint16(at), low: frame.getInt32(at + 2) });
}
