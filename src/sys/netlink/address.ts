/** IP addresses of the host's devices (rtnetlink(7), linux/if_addr.h). */
import { unless } from './error.js';
import {
	attribute,
	attributes,
	type Message,
	NLM_F_CREATE,
	NLM_F_EXCL,
	readU32,
	u8,
	u32,
} from './message.js';
import { dump, request } from './socket.js';
import { type Family, familyNumber, familyOf, ipText, parsePrefix } from './text.js';

export interface Address {
	family: Family;
	address: string;
	/** Bits. */
	prefix: number;
	ifindex: number;
	/** RT_SCOPE_*: 0 universe, 253 link, 254 host. */
	scope: number;
	/** IFA_F_* bits. */
	flags: number;
	/** Seconds left; Infinity for ever. */
	preferred: number;
	valid: number;
}

/** All addresses of the namespace, or of one device. @throws NetlinkError. @syscalls netlink */
export function listAddresses(ifindex?: number): Address[] {
	return dump('list the addresses', RTM_GETADDR, ifaddrmsg(0, 0, 0, 0, ifindex ?? 0))
		.map(parseAddress)
		.filter(address => address !== undefined)
		.filter(address => ifindex === undefined || address.ifindex === ifindex);
}

export interface AddressOptions {
	ifindex: number;
	address: string;
	/** Bits; by default the whole address, so that no neighbours are implied. */
	prefix?: number;
	/** Don't add the route to the prefix. */
	noprefixroute?: boolean;
	/** IPv6: usable at once, without duplicate address detection. */
	nodad?: boolean;
	/** RT_SCOPE_*; by default what the kernel derives from the address (IPv6) or universe. */
	scope?: number;
}

/** Adds an address for ever. @throws NetlinkError: `conflict` if the device has it, `not-found`, `permission`. IpvtapError `usage`. @syscalls netlink */
export function addAddress(options: AddressOptions): void {
	const { address, noprefixroute, nodad } = options;
	const flags = (noprefixroute ? IFA_F_NOPREFIXROUTE : 0) | (nodad ? IFA_F_NODAD : 0);
	const body = Buffer.concat([addressBody(options), attribute(IFA_FLAGS, u32(flags))]);
	request(`add address ${address}`, RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, body);
}

/** @returns false if the device, or its address, was not there. @throws NetlinkError. @syscalls netlink */
export function deleteAddress(options: AddressOptions): boolean {
	return unless(['EADDRNOTAVAIL', 'ENODEV'], () =>
		request(`delete address ${options.address}`, RTM_DELADDR, 0, addressBody(options)),
	);
}

/** @returns undefined for other families' messages. */
export function parseAddress({ body }: Message): Address | undefined {
	const family = familyOf(body[0] ?? 0);
	const fields = attributes(body, IFADDRMSG_BYTES);
	// On point-to-point links IFA_ADDRESS is the far end's; where IFA_LOCAL exists it is always ours.
	const bytes = fields.get(IFA_LOCAL) ?? fields.get(IFA_ADDRESS);
	if (family === undefined || bytes === undefined) return undefined;
	const flags = fields.get(IFA_FLAGS);
	const times = fields.get(IFA_CACHEINFO);
	return {
		family,
		address: ipText(bytes),
		prefix: body[1] ?? 0,
		ifindex: readU32(body, 4),
		scope: body[3] ?? 0,
		flags: flags === undefined ? (body[2] ?? 0) : readU32(flags, 0),
		preferred: seconds(times, 0),
		valid: seconds(times, 4),
	};
}

function addressBody({ ifindex, address, prefix, scope }: AddressOptions): Buffer {
	const { family, bytes, length } = parsePrefix(prefix === undefined ? address : `${address}/${prefix}`);
	return Buffer.concat([
		ifaddrmsg(familyNumber(family), length, 0, scope ?? 0, ifindex),
		attribute(IFA_LOCAL, bytes),
		attribute(IFA_ADDRESS, bytes),
	]);
}

/** struct ifaddrmsg {u8 family, u8 prefixlen, u8 flags, u8 scope, u32 index} */
function ifaddrmsg(family: number, prefix: number, flags: number, scope: number, ifindex: number): Buffer {
	return Buffer.concat([u8(family), u8(prefix), u8(flags), u8(scope), u32(ifindex)]);
}

/** struct ifa_cacheinfo {u32 preferred, u32 valid, u32 created, u32 updated} */
function seconds(times: Buffer | undefined, at: number): number {
	const value = times === undefined ? 0xffffffff : readU32(times, at);
	return value === 0xffffffff ? Number.POSITIVE_INFINITY : value;
}

const RTM_NEWADDR = 20;
const RTM_DELADDR = 21;
const RTM_GETADDR = 22;
const IFADDRMSG_BYTES = 8;

// linux/if_addr.h
const IFA_ADDRESS = 1;
const IFA_LOCAL = 2;
const IFA_CACHEINFO = 6;
const IFA_FLAGS = 8;
/** The address was made by the kernel or a router; its lifetime runs. */
export const IFA_F_TEMPORARY = 0x01;
export const IFA_F_NODAD = 0x02;
export const IFA_F_DADFAILED = 0x08;
export const IFA_F_DEPRECATED = 0x20;
/** Not checked for duplicates yet: not to be used as a source. */
export const IFA_F_TENTATIVE = 0x40;
export const IFA_F_PERMANENT = 0x80;
export const IFA_F_NOPREFIXROUTE = 0x200;
// linux/rtnetlink.h
export const RT_SCOPE_UNIVERSE = 0;
export const RT_SCOPE_LINK = 253;
export const RT_SCOPE_HOST = 254;
