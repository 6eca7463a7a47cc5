/** A frame in words, one line, for test titles and failures; whatever can't be read is shown as bytes. */
import ipaddr from 'ipaddr.js';

/** For example `52:54:00:00:00:11 > 02:00:00:00:00:01 IPv4 192.0.2.11 > 192.0.2.1 UDP, 48 bytes`. */
export function describe(frame: Uint8Array): string {
	const length = `${frame.length} bytes`;
	if (frame.length < 14) return `runt ${hex(frame)}, ${length}`;
	const link = `${macText(frame, 6)} > ${macText(frame, 0)}`;
	return `${link} ${packet(u16(frame, 12), frame.slice(14))}, ${length}`;
}

/** Both frames as text, with the bytes of each: what an assertion compares, so that its difference can be read. */
export function readable(frame: Uint8Array): string {
	return `${describe(frame)}\n${hex(frame).replace(/.{1,32}/g, '  $&\n')}`;
}

export function hex(bytes: Uint8Array): string {
	return Array.from(bytes, byte => byte.toString(16).padStart(2, '0')).join('');
}

function packet(type: number, bytes: Uint8Array): string {
	if (type === 0x0800 && bytes.length >= 20) return ipv4(bytes);
	if (type === 0x86dd && bytes.length >= 40) return ipv6(bytes);
	if (type === 0x0806 && bytes.length >= 28) return arp(bytes);
	const name = new Map([
		[0x0800, 'short IPv4'],
		[0x86dd, 'short IPv6'],
		[0x0806, 'short ARP'],
		[0x8100, `802.1Q vlan ${u16(bytes, 0) & 0xfff}`],
		[0x88a8, '802.1ad'],
	]).get(type);
	return name ?? `ethertype 0x${type.toString(16).padStart(4, '0')}`;
}

function ipv4(bytes: Uint8Array): string {
	const fragment = u16(bytes, 6) & 0x3fff ? ' fragment' : '';
	return `IPv4 ${address(bytes, 12, 4)} > ${address(bytes, 16, 4)} ${protocolName(bytes[9] ?? 0)}${fragment}`;
}

function ipv6(bytes: Uint8Array): string {
	const next = bytes[6] ?? 0;
	const what = next === 58 ? icmpv6(bytes.slice(40)) : protocolName(next);
	return `IPv6 ${address(bytes, 8, 16)} > ${address(bytes, 24, 16)} ${what}`;
}

function icmpv6(bytes: Uint8Array): string {
	const names = new Map([
		[133, 'RS'],
		[134, 'RA'],
		[135, 'NS'],
		[136, 'NA'],
		[137, 'redirect'],
	]);
	const name = names.get(bytes[0] ?? 0);
	if (!name) return `ICMPv6 type ${bytes[0]}`;
	const hasTarget = (name === 'NS' || name === 'NA') && bytes.length >= 24;
	return hasTarget ? `${name} for ${address(bytes, 8, 16)}` : name;
}

function arp(bytes: Uint8Array): string {
	const sender = `${address(bytes, 14, 4)} at ${macText(bytes, 8)}`;
	return `ARP operation ${u16(bytes, 6)} from ${sender} for ${address(bytes, 24, 4)}`;
}

function protocolName(protocol: number): string {
	const names = new Map([
		[0, 'hop-by-hop'],
		[1, 'ICMP'],
		[2, 'IGMP'],
		[6, 'TCP'],
		[17, 'UDP'],
		[44, 'fragment'],
	]);
	return names.get(protocol) ?? `protocol ${protocol}`;
}

function address(bytes: Uint8Array, at: number, length: 4 | 16): string {
	return ipaddr.fromByteArray(Array.from(bytes.slice(at, at + length))).toString();
}

function macText(bytes: Uint8Array, at: number): string {
	return hex(bytes.slice(at, at + 6)).replace(/..(?!$)/g, '$&:');
}

function u16(bytes: Uint8Array, at: number): number {
	return ((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0);
}
