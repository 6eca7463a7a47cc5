/**
 * What a filter does with the frames that it matches: a list of actions, taken one after the other (net/sched/act_*.c).
 * The cookie is whatever who makes them wants to know them by again; `tc` shows it in hex. Pure.
 */
import { attribute, attributes, nested, readU32, readU64, text, u8, u16, u32 } from './message.js';
import { macBytes } from './text.js';

export interface Action {
	/** Its module: act_KIND. */
	kind: string;
	options: Uint8Array[];
}

/** Into a device as if received there, out by one, or a copy of it out by one. */
export type Way = 'redirect-ingress' | 'redirect-egress' | 'mirror-egress';

/** `action mirred …`; after a copy the next filter is asked. */
export function mirred(way: Way, ifindex: number): Action {
	const verdict = way === 'mirror-egress' ? TC_ACT_UNSPEC : TC_ACT_STOLEN;
	// struct tc_mirred {tc_gen; i32 eaction; u32 ifindex}
	const parameters = Buffer.concat([generic(verdict), u32(ways[way]), u32(ifindex)]);
	return { kind: 'mirred', options: [attribute(TCA_MIRRED_PARMS, parameters)] };
}

/** `action pedit ex munge eth dst set MAC`, and the next action follows. */
export function setDestinationMac(mac: string): Action {
	const bytes = Buffer.from([...macBytes(mac), 0, 0]);
	const keep = [0, 0, 0, 0, 0, 0, 0xff, 0xff];
	// struct tc_pedit_key {u32 mask, val, off, at, offmask, shift}: the word at `off` becomes (word & mask) ^ val.
	const key = (at: number) => [
		Buffer.from(keep.slice(at, at + 4)),
		bytes.subarray(at, at + 4),
		u32(at),
		zeros(12),
	];
	// struct tc_pedit_sel {tc_gen; u8 nkeys, flags; tc_pedit_key keys[]}, the keys on a multiple of four
	const selection = Buffer.concat([generic(TC_ACT_PIPE), u8(2), zeros(3), ...key(0), ...key(4)]);
	const extended = nested(
		TCA_PEDIT_KEY_EX,
		attribute(TCA_PEDIT_KEY_EX_HTYPE, u16(TCA_PEDIT_KEY_EX_HDR_TYPE_ETH)),
		attribute(TCA_PEDIT_KEY_EX_CMD, u16(TCA_PEDIT_KEY_EX_CMD_SET)),
	);
	return {
		kind: 'pedit',
		options: [attribute(TCA_PEDIT_PARMS_EX, selection), nested(TCA_PEDIT_KEYS_EX, extended, extended)],
	};
}

/** `action drop` */
export function dropAction(): Action {
	return { kind: 'gact', options: [attribute(TCA_GACT_PARMS, generic(TC_ACT_SHOT))] };
}

/** @param cookie up to 16 bytes. */
export function encodeActions(actions: readonly Action[], cookie?: string): Buffer {
	return Buffer.concat(
		actions.map(({ kind, options }, index) =>
			nested(
				index + 1,
				attribute(TCA_ACT_KIND, text(kind)),
				nested(TCA_ACT_OPTIONS, ...options),
				...(cookie === undefined ? [] : [attribute(TCA_ACT_COOKIE, Buffer.from(cookie))]),
			),
		),
	);
}

/** Of the first of a filter's actions, by which all frames go. */
export interface ActionState {
	cookie: string | undefined;
	packets: number;
	bytes: number;
}

export function readActions(encoded: Buffer): ActionState | undefined {
	const first = attributes(encoded).get(1);
	const fields = first && attributes(first);
	const stats = fields?.get(TCA_ACT_STATS);
	const counters = stats && attributes(stats);
	// struct gnet_stats_basic {u64 bytes; u32 packets}; more packets than fit there are told apart.
	const basic = counters?.get(TCA_STATS_BASIC);
	const packets = counters?.get(TCA_STATS_PKT64);
	return (
		fields && {
			cookie: fields.get(TCA_ACT_COOKIE)?.toString('latin1'),
			packets: packets ? readU64(packets, 0) : basic ? readU32(basic, 8) : 0,
			bytes: basic ? readU64(basic, 0) : 0,
		}
	);
}

/** tc_gen {u32 index, capab; i32 action, refcnt, bindcnt}: with index 0 the kernel makes an action of its own for us. */
function generic(verdict: number): Buffer {
	return Buffer.concat([u32(0), u32(0), u32(verdict), zeros(8)]);
}

function zeros(count: number): Buffer {
	return Buffer.alloc(count);
}

// linux/pkt_cls.h
export const TC_ACT_UNSPEC = 0xffffffff;
const TC_ACT_SHOT = 2;
const TC_ACT_PIPE = 3;
const TC_ACT_STOLEN = 4;
const TCA_ACT_KIND = 1;
const TCA_ACT_OPTIONS = 2;
const TCA_ACT_STATS = 4;
const TCA_ACT_COOKIE = 6;
// linux/gen_stats.h
const TCA_STATS_BASIC = 1;
const TCA_STATS_PKT64 = 8;
// linux/tc_act/tc_mirred.h
const TCA_MIRRED_PARMS = 2;
const ways: Record<Way, number> = { 'redirect-egress': 1, 'mirror-egress': 2, 'redirect-ingress': 3 };
// linux/tc_act/tc_gact.h
const TCA_GACT_PARMS = 2;
// linux/tc_act/tc_pedit.h
const TCA_PEDIT_PARMS_EX = 4;
const TCA_PEDIT_KEYS_EX = 5;
const TCA_PEDIT_KEY_EX = 6;
const TCA_PEDIT_KEY_EX_HTYPE = 1;
const TCA_PEDIT_KEY_EX_CMD = 2;
const TCA_PEDIT_KEY_EX_HDR_TYPE_ETH = 1;
const TCA_PEDIT_KEY_EX_CMD_SET = 0;
