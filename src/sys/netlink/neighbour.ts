/** The host's neighbour table, ARP and ND alike (rtnetlink(7), linux/neighbour.h). */
import {
	attribute,
	attributes,
	type Message,
	NLM_F_CREATE,
	readI32,
	readU16,
	u8,
	u16,
	u32,
} from './message.js';
import { dump, request } from './socket.js';
import { type Family, familyNumber, familyOf, ipBytes, ipText, macText } from './text.js';

export interface Neighbour {
	family: Family;
	ifindex: number;
	address: string;
	/** undefined while it is not resolved. */
	mac: string | undefined;
	/** NUD_* bits. */
	state: number;
}

/** All neighbours of one device, as the host knows them. @throws NetlinkError. @syscalls netlink */
export function listNeighbours(ifindex: number): Neighbour[] {
	return dump(`list the neighbours of device ${ifindex}`, RTM_GETNEIGH, query(ifindex))
		.map(parseNeighbour)
		.filter(neighbour => neighbour !== undefined)
		.filter(neighbour => neighbour.ifindex === ifindex);
}

/**
 * Does as if something had been sent to the neighbour: the kernel finds out its MAC, or whether a stale one is still
 * right, and its events tell what came of it. @throws NetlinkError; IpvtapError `usage`. @syscalls netlink
 */
export function confirmNeighbour(ifindex: number, address: string): void {
	const bytes = ipBytes(address);
	const family = familyNumber(bytes.length === 4 ? 'inet' : 'inet6');
	const body = Buffer.concat([
		...[u8(family), u8(0), u16(0), u32(ifindex), u16(NUD_NONE), u8(NTF_USE), u8(0)],
		attribute(NDA_DST, bytes),
	]);
	request(`resolve ${address}`, RTM_NEWNEIGH, NLM_F_CREATE, body);
}

/** @returns undefined for a bridge's forwarding entries and other families. */
export function parseNeighbour({ body }: Message): Neighbour | undefined {
	const family = familyOf(body[0] ?? 0);
	const fields = attributes(body, NDMSG_BYTES);
	const address = fields.get(NDA_DST);
	if (family === undefined || address === undefined) return undefined;
	const mac = fields.get(NDA_LLADDR);
	return {
		family,
		ifindex: readI32(body, 4),
		address: ipText(address),
		mac: mac?.length === 6 ? macText(mac) : undefined,
		state: readU16(body, 8),
	};
}

/** struct ndmsg {u8 family, u8 pad, u16 pad, i32 ifindex, u16 state, u8 flags, u8 type}; a dump names its device in NDA_IFINDEX. */
function query(ifindex: number): Buffer {
	return Buffer.concat([Buffer.alloc(NDMSG_BYTES), attribute(NDA_IFINDEX, u32(ifindex))]);
}

const RTM_NEWNEIGH = 28;
const RTM_GETNEIGH = 30;
const NTF_USE = 0x01;
const NUD_NONE = 0;
const NDMSG_BYTES = 12;
const NDA_DST = 1;
const NDA_LLADDR = 2;
const NDA_IFINDEX = 8;
export const NUD_INCOMPLETE = 0x01;
export const NUD_REACHABLE = 0x02;
export const NUD_STALE = 0x04;
export const NUD_DELAY = 0x08;
export const NUD_PROBE = 0x10;
export const NUD_FAILED = 0x20;
export const NUD_NOARP = 0x40;
export const NUD_PERMANENT = 0x80;
