/** Addresses between the text that people write and the bytes that the kernel wants. Pure. */
import { isIPv4, isIPv6 } from 'node:net';
import ipaddr from 'ipaddr.js';
import { IpvtapError } from '../../errors.js';

export type Family = 'inet' | 'inet6';

export interface IpPrefix {
	family: Family;
	/** 4 or 16 bytes. */
	bytes: Uint8Array;
	/** Bits. */
	length: number;
}

/** `10.0.0.1` or `fe80::1`, without zone and without the leading zeroes that some read as octal. @throws IpvtapError `usage` */
export function ipBytes(address: string): Uint8Array {
	if (!isIPv4(address) && (!isIPv6(address) || address.includes('%'))) {
		throw new IpvtapError('usage', `'${address}' is not an IP address`);
	}
	return Uint8Array.from(ipaddr.parse(address).toByteArray());
}

/** 4 bytes as a dotted quad, 16 as RFC 5952 has it. */
export function ipText(bytes: Uint8Array): string {
	const address = ipaddr.fromByteArray([...bytes]);
	return address instanceof ipaddr.IPv6 ? address.toRFC5952String() : address.toString();
}

/** `10.0.0.0/8`, `fd00::/64`, or an address alone, which stands for itself. @throws IpvtapError `usage` */
export function parsePrefix(prefix: string): IpPrefix {
	const [address = '', bits, ...rest] = prefix.split('/');
	const bytes = ipBytes(address);
	const lengthMax = bytes.length * 8;
	const length = bits === undefined ? lengthMax : /^\d{1,3}$/.test(bits) ? Number(bits) : lengthMax + 1;
	if (rest.length > 0 || length > lengthMax) {
		throw new IpvtapError('usage', `'${prefix}' is not an address prefix`);
	}
	return { family: bytes.length === 4 ? 'inet' : 'inet6', bytes, length };
}

/** 6 bytes from `02:00:00:00:00:01`. @throws IpvtapError `usage` */
export function macBytes(mac: string): Uint8Array {
	if (!/^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/i.test(mac))
		throw new IpvtapError('usage', `'${mac}' is not a MAC address`);
	return Uint8Array.from(mac.split(':'), byte => Number.parseInt(byte, 16));
}

export function macText(bytes: Uint8Array): string {
	return Array.from(bytes, byte => byte.toString(16).padStart(2, '0')).join(':');
}

export function familyNumber(family: Family): number {
	return family === 'inet' ? AF_INET : AF_INET6;
}

/** undefined for families that are not ours to read (MPLS, bridge). */
export function familyOf(number: number): Family | undefined {
	return number === AF_INET ? 'inet' : number === AF_INET6 ? 'inet6' : undefined;
}

// linux/socket.h
const AF_INET = 2;
const AF_INET6 = 10;
