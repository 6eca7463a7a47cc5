/** The host's rules of policy routing (rtnetlink(7), linux/fib_rules.h, ip-rule(8)), to look at. */
import { unless } from './error.js';
import { attributes, type Message, readU32 } from './message.js';
import { dump } from './socket.js';
import { type Family, familyNumber, familyOf } from './text.js';

export interface Rule {
	family: Family;
	/** The lower is asked first. */
	priority: number;
	/** 0 where it leads to none. */
	table: number;
	/** FR_ACT_*: 1 asks the table. */
	action: number;
	/** The device by which a packet has to come; `lo` for those of the host's own programs. */
	iif: string | undefined;
	/** The device that a program has bound itself to. */
	oif: string | undefined;
	/** Holds for what doesn't match. */
	inverted: boolean;
	/** Whether it says anything of packets, or of routes, beside what stands above. */
	choosy: boolean;
}

/** Of both families, as they are asked. @throws NetlinkError. @syscalls netlink */
export function listRules(): Rule[] {
	return (['inet', 'inet6'] as const).flatMap(family => {
		let messages: Message[] = [];
		const body = Buffer.alloc(RULE_BYTES);
		body[0] = familyNumber(family);
		// A kernel without IPv6, or without policy routing.
		unless(['EOPNOTSUPP', 'EAFNOSUPPORT'], () => {
			messages = dump('list the rules', RTM_GETRULE, body);
		});
		return messages.map(parseRule).filter(rule => rule !== undefined);
	});
}

/** @returns undefined for other families. */
export function parseRule({ body }: Message): Rule | undefined {
	const family = familyOf(body[0] ?? 0);
	if (family === undefined) return undefined;
	const fields = attributes(body, RULE_BYTES);
	const number = (type: number) => {
		const bytes = fields.get(type);
		return bytes && readU32(bytes, 0);
	};
	const name = (type: number) => fields.get(type)?.toString().replace(/\0.*$/s, '');
	const [, dst = 0, src = 0, tos = 0, table = 0, , , action = 0] = body;
	const suppresses = (number(FRA_SUPPRESS_PREFIXLEN) ?? NONE) !== NONE;
	return {
		family,
		priority: number(FRA_PRIORITY) ?? 0,
		table: number(FRA_TABLE) ?? table,
		action,
		iif: name(FRA_IIFNAME),
		oif: name(FRA_OIFNAME),
		inverted: (readU32(body, 8) & FIB_RULE_INVERT) !== 0,
		choosy: dst + src + tos > 0 || suppresses || selectors.some(type => fields.has(type)),
	};
}

/** struct fib_rule_hdr {u8 family, dst_len, src_len, tos, table, res1, res2, action; u32 flags} */
const RULE_BYTES = 12;
const RTM_GETRULE = 34;
export const FR_ACT_TO_TBL = 1;
const FIB_RULE_INVERT = 2;
/** Of the suppressing attributes: -1. */
const NONE = 0xffffffff;
const FRA_IIFNAME = 3;
const FRA_PRIORITY = 6;
const FRA_SUPPRESS_PREFIXLEN = 14;
const FRA_TABLE = 15;
const FRA_OIFNAME = 17;
/** GOTO, FWMARK, FLOW, TUN_ID, SUPPRESS_IFGROUP, L3MDEV, UID_RANGE, IP_PROTO, SPORT_RANGE, DPORT_RANGE */
const selectors = [4, 10, 11, 12, 13, 19, 20, 22, 23, 24];
