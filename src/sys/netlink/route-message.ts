/** A route as RTM_NEWROUTE and RTM_DELROUTE describe it (rtnetlink(7), linux/rtnetlink.h). Pure. */
import { attributes, type Message, readI32, readU16, readU32 } from './message.js';
import { type Family, familyOf, ipText } from './text.js';

export interface Route {
	family: Family;
	/** A prefix; the default route is `0.0.0.0/0` or `::/0`. In the answer of a lookup, the address alone with its full length. */
	dst: string;
	/** Of several next hops, the first; undefined for routes that lead nowhere (blackhole). */
	ifindex: number | undefined;
	gateway: string | undefined;
	/** All next hops; none for routes that lead nowhere. */
	nextHops: NextHop[];
	/** The source address that the host prefers on this route. */
	src: string | undefined;
	table: number;
	/** RTPROT_*: who made it. */
	protocol: number;
	/** RT_SCOPE_* */
	scope: number;
	/** RTN_*: 1 unicast, 2 local, 3 broadcast … */
	type: number;
	/** The lower wins. */
	metric: number;
	/** Bytes of layer 3, where the route says it (RTAX_MTU). */
	mtu: number | undefined;
}

export interface NextHop {
	ifindex: number;
	gateway: string | undefined;
	/** The kernel doesn't send by it. */
	dead: boolean;
	/** Its device has no carrier. */
	linkDown: boolean;
	/** From 1 to 256; the only one's is 1. */
	weight: number;
}

/** RTPROT_*, without parsing the rest. */
export function protocolOf({ body }: Message): number {
	return body[5] ?? 0;
}

/** @returns undefined for other families, and for the kernel's own per-destination clones. */
export function parseRoute(message: Message): Route | undefined {
	const { body } = message;
	const family = familyOf(body[0] ?? 0);
	if (family === undefined) return undefined;
	const fields = attributes(body, RTMSG_BYTES);
	const address = (type: number) => {
		const bytes = fields.get(type);
		return bytes && ipText(bytes);
	};
	const number = (type: number) => {
		const bytes = fields.get(type);
		return bytes && readU32(bytes, 0);
	};
	const nextHops = nextHopsIn(fields, readU32(body, 8));
	return {
		family,
		dst: `${address(RTA_DST) ?? (family === 'inet' ? '0.0.0.0' : '::')}/${body[1] ?? 0}`,
		ifindex: nextHops[0]?.ifindex,
		gateway: nextHops[0]?.gateway,
		nextHops,
		src: address(RTA_PREFSRC),
		table: number(RTA_TABLE) ?? body[4] ?? 0,
		protocol: protocolOf(message),
		scope: body[6] ?? 0,
		type: body[7] ?? 0,
		metric: number(RTA_PRIORITY) ?? 0,
		mtu: mtuIn(fields.get(RTA_METRICS)),
	};
}

/** @param flags those of the route, which are its only hop's. */
function nextHopsIn(fields: Map<number, Buffer>, flags: number): NextHop[] {
	const oif = fields.get(RTA_OIF);
	const several = fields.get(RTA_MULTIPATH);
	if (several === undefined) return oif === undefined ? [] : [nextHop(readU32(oif, 0), fields, flags, 1)];
	const hops: NextHop[] = [];
	for (let at = 0; at + RTNEXTHOP_BYTES <= several.length; ) {
		const length = Math.max(readU16(several, at), RTNEXTHOP_BYTES);
		const own = attributes(several.subarray(at, at + length), RTNEXTHOP_BYTES);
		const [hopFlags = 0, weightLessOne = 0] = several.subarray(at + 2, at + 4);
		hops.push(nextHop(readI32(several, at + 4), own, hopFlags, weightLessOne + 1));
		at += (length + 3) & ~3;
	}
	return hops;
}

function nextHop(ifindex: number, fields: Map<number, Buffer>, flags: number, weight: number): NextHop {
	const dead = (flags & RTNH_F_DEAD) !== 0;
	return { ifindex, gateway: gatewayIn(fields), dead, linkDown: (flags & RTNH_F_LINKDOWN) !== 0, weight };
}

/** RTA_METRICS is a list of attributes; IPv6 says 0 where it has none. */
function mtuIn(metrics: Buffer | undefined): number | undefined {
	const bytes = metrics && attributes(metrics).get(RTAX_MTU);
	return (bytes && readU32(bytes, 0)) || undefined;
}

/** RTA_VIA, {u16 family, address}, is a next hop of another family: IPv4 over an IPv6 router (RFC 5549). */
function gatewayIn(fields: Map<number, Buffer>): string | undefined {
	const bytes = fields.get(RTA_GATEWAY) ?? fields.get(RTA_VIA)?.subarray(2);
	return bytes && ipText(bytes);
}

/** struct rtmsg {u8 family, dst_len, src_len, tos, table, protocol, scope, type; u32 flags} */
export const RTMSG_BYTES = 12;
/** struct rtnexthop {u16 length, u8 flags, u8 weight less one, i32 ifindex}, then attributes; padded to 4 bytes. */
const RTNEXTHOP_BYTES = 8;
export const RTA_DST = 1;
export const RTA_OIF = 4;
export const RTA_GATEWAY = 5;
export const RTA_PRIORITY = 6;
export const RTA_PREFSRC = 7;
export const RTA_TABLE = 15;
export const RTA_VIA = 18;
const RTA_METRICS = 8;
const RTA_MULTIPATH = 9;
const RTAX_MTU = 2;
const RTNH_F_DEAD = 1;
const RTNH_F_LINKDOWN = 16;
