/**
 * Traffic control, just enough to keep the host's stack off frames: the clsact qdisc and classic BPF filters in
 * direct-action mode, which need neither bpf(2) nor an action module (net/sched/cls_bpf.c).
 * `replaceClassicFilter(i, 'ingress', { priority: 1, handle: 1, program })` is
 * `tc filter replace dev D ingress prio 1 handle 1 protocol all bpf da bytecode …`.
 */
import { IpvtapError } from '../../errors.js';
import { NetlinkError, unless } from './error.js';
import {
	attribute,
	attributes,
	NLM_F_CREATE,
	NLM_F_EXCL,
	NLM_F_REPLACE,
	nested,
	readI32,
	readText,
	readU16,
	readU32,
	text,
	u16,
	u32,
} from './message.js';
import { dump, request } from './socket.js';
import { encodeActions, mirred, TC_ACT_UNSPEC, type Way } from './tc-action.js';

export type Hook = 'ingress' | 'egress';

/**
 * Makes the place that filters hang on. A plain `ingress` qdisc of somebody else's serves as well, for ingress.
 * @returns true if we made it: only then is it ours to delete. @throws NetlinkError. @syscalls netlink
 */
export function ensureClsact(ifindex: number): boolean {
	const body = Buffer.concat([
		tcmsg(ifindex, CLSACT_HANDLE, TC_H_CLSACT, 0),
		attribute(TCA_KIND, text('clsact')),
	]);
	const flags = NLM_F_CREATE | NLM_F_EXCL;
	return unless(['EEXIST'], () => request(`make clsact on device ${ifindex}`, RTM_NEWQDISC, flags, body));
}

/** Deletes clsact and every filter on it. @returns false if it, or the device, was not there. @throws NetlinkError. @syscalls netlink */
export function deleteClsact(ifindex: number): boolean {
	const body = Buffer.concat([
		tcmsg(ifindex, CLSACT_HANDLE, TC_H_CLSACT, 0),
		attribute(TCA_KIND, text('clsact')),
	]);
	// EINVAL: the qdisc there is not clsact but ingress, so not ours.
	return unless(['ENOENT', 'ENODEV', 'EINVAL'], () =>
		request(`delete clsact of device ${ifindex}`, RTM_DELQDISC, 0, body),
	);
}

/**
 * Leaves a device without a queue in front of its own, so that whoever sends learns that it is full. Somebody else's
 * queue takes this one's place like any other. @throws NetlinkError. @syscalls netlink
 */
export function withoutQueue(ifindex: number): void {
	const body = Buffer.concat([tcmsg(ifindex, 0, TC_H_ROOT, 0), attribute(TCA_KIND, text('noqueue'))]);
	request(`take the queue of device ${ifindex} away`, RTM_NEWQDISC, NLM_F_CREATE | NLM_F_REPLACE, body);
}

/** Which filter: priority 1 … 65535, the lowest is asked first; handle from 1 tells filters of one priority apart. */
export interface FilterKey {
	priority: number;
	handle: number;
}

/**
 * Adds a filter, or swaps the program of the one with this key: each frame meets the old or the new one, never none.
 * @param filter.program sock_filter[]: {u16 code, u8 jt, u8 jf, u32 k}, 8 bytes each in native order, 1 to 4096 of
 * them. What it returns is a TC_ACT_*: 2 drops the frame before the host's stack, 0xffffffff lets it go on.
 * @throws NetlinkError: `failed` (EINVAL: the kernel rejects the program, or another kind of filter has the priority),
 * `not-found` (no device, no clsact). @syscalls netlink
 */
export function replaceClassicFilter(
	ifindex: number,
	hook: Hook,
	filter: FilterKey & { program: Uint8Array },
): void {
	const instructions = filter.program.length / 8;
	if (!Number.isInteger(instructions) || instructions < 1 || instructions > BPF_MAXINSNS) {
		throw new IpvtapError(
			'failed',
			`filter of device ${ifindex}: ${filter.program.length} bytes are no classic BPF program`,
		);
	}
	sendProgram(`set filter of device ${ifindex}`, NLM_F_CREATE | NLM_F_REPLACE, ifindex, hook, filter);
}

/** Where a frame that a filter matches goes on: into a device as if received there, or a copy of it out by one. */
export interface Diversion {
	kind: Way;
	/** ifindex of that device. */
	to: number;
}

/**
 * The same with an action in the place of a verdict (`bpf bytecode … action mirred …`): the program returns
 * 0xffffffff for the frames that it means, 0 for all others. What is mirrored goes on to the next filter.
 * @throws NetlinkError; with ENOENT where the kernel has no act_mirred. @syscalls netlink
 */
export function replaceDivertingFilter(
	ifindex: number,
	hook: Hook,
	filter: FilterKey & { program: Uint8Array },
	{ kind, to }: Diversion,
): void {
	const options = [nested(TCA_BPF_ACT, encodeActions([mirred(kind, to)]))];
	sendProgram(`divert from device ${ifindex}`, NLM_F_CREATE | NLM_F_REPLACE, ifindex, hook, filter, options);
}

/**
 * The same with an eBPF program, by its descriptor, which the filter doesn't need any more afterwards.
 * @param filter.name shown by `tc filter show`. @throws NetlinkError. @syscalls netlink
 */
export function replaceBpfFilter(
	ifindex: number,
	hook: Hook,
	{ priority, handle, program, name }: FilterKey & { program: number; name: string },
): void {
	const body = Buffer.concat([
		filterMessage(ifindex, hook, priority, handle),
		attribute(TCA_KIND, text('bpf')),
		nested(
			TCA_OPTIONS,
			attribute(TCA_BPF_FD, u32(program)),
			attribute(TCA_BPF_NAME, text(name)),
			attribute(TCA_BPF_FLAGS, u32(TCA_BPF_FLAG_ACT_DIRECT)),
		),
	]);
	request(`set filter of device ${ifindex}`, RTM_NEWTFILTER, NLM_F_CREATE | NLM_F_REPLACE, body);
}

/** @returns false if the filter, clsact or the device was not there. @throws NetlinkError. @syscalls netlink */
export function deleteFilter(ifindex: number, hook: Hook, key: FilterKey): boolean {
	const what = `delete filter of device ${ifindex}`;
	const body = Buffer.concat([
		filterMessage(ifindex, hook, key.priority, key.handle),
		attribute(TCA_KIND, text('bpf')),
	]);
	const remove = () => request(what, RTM_DELTFILTER, 0, body);
	try {
		return unless(['ENOENT', 'ENODEV'], remove);
	} catch (error) {
		// There is no clsact, or the priority is another kind's; or the program is so long that the kernel can't
		// announce its end and so keeps it: some 450 instructions, before commit 369609fc6272 (April 2025, and in the
		// stable kernels since). A short program in its place can go.
		if (!(error instanceof NetlinkError) || error.errnoName !== 'EINVAL') throw error;
		const shorten = () => sendProgram(what, 0, ifindex, hook, { ...key, program: passAll() });
		return unless(['ENOENT', 'ENODEV', 'EINVAL'], shorten) && unless(['ENOENT', 'ENODEV'], remove);
	}
}

export interface Filter extends FilterKey {
	/** `bpf`, `u32`, `flower` … */
	kind: string;
	/** The program of a classic `bpf` filter, as the kernel gives it back; undefined for eBPF and other kinds. */
	program: Uint8Array | undefined;
	/** What an eBPF filter was named by whoever made it. */
	name: string | undefined;
}

/**
 * Filters of one hook in order of priority; none where there is no clsact.
 * @throws NetlinkError, with EMSGSIZE if one has a program beyond some 4000 instructions: the kernel can't tell them
 * in one datagram (nor can `tc`). @syscalls netlink
 */
export function listFilters(ifindex: number, hook: Hook): Filter[] {
	const filters: Filter[] = [];
	for (const { body } of dump(
		`list the filters of device ${ifindex}`,
		RTM_GETTFILTER,
		filterQuery(ifindex, hook),
	)) {
		const fields = attributes(body, TCMSG_BYTES);
		const kind = fields.get(TCA_KIND);
		const handle = readU32(body, 8);
		// Handle 0 stands for the priority as a whole, not for a filter in it.
		if (readI32(body, 4) !== ifindex || kind === undefined || handle === 0) continue;
		const options = fields.get(TCA_OPTIONS);
		const bpf = options && readText(kind) === 'bpf' ? attributes(options) : undefined;
		const program = bpf?.get(TCA_BPF_OPS);
		const name = bpf?.get(TCA_BPF_NAME);
		filters.push({
			priority: readU32(body, 16) >>> 16,
			handle,
			kind: readText(kind),
			program: program && Uint8Array.from(program),
			name: name && readText(name),
		});
	}
	return filters;
}

function sendProgram(
	what: string,
	flags: number,
	ifindex: number,
	hook: Hook,
	{ priority, handle, program }: FilterKey & { program: Uint8Array },
	end: Uint8Array[] = [attribute(TCA_BPF_FLAGS, u32(TCA_BPF_FLAG_ACT_DIRECT))],
): void {
	const body = Buffer.concat([
		filterMessage(ifindex, hook, priority, handle),
		attribute(TCA_KIND, text('bpf')),
		nested(
			TCA_OPTIONS,
			attribute(TCA_BPF_OPS_LEN, u16(program.length / 8)),
			attribute(TCA_BPF_OPS, program),
			...end,
		),
	]);
	request(what, RTM_NEWTFILTER, flags, body);
}

/** `ret TC_ACT_UNSPEC`: struct sock_filter {u16 code, u8 jt, u8 jf, u32 k} */
function passAll(): Uint8Array {
	return Buffer.concat([u16(BPF_RET_K), u16(0), u32(TC_ACT_UNSPEC)]);
}

/** @param protocol ethertype of the frames that it is for; 0 where a filter is looked for by its key. */
export function filterMessage(
	ifindex: number,
	hook: Hook,
	priority: number,
	handle: number,
	protocol = ETH_P_ALL,
): Buffer {
	// tcm_info is priority << 16 | protocol, the protocol as it lies on the wire.
	const onWire = readU16(Buffer.from([protocol >> 8, protocol & 0xff]), 0);
	return tcmsg(ifindex, handle, parents[hook], (priority << 16) | onWire);
}

/** For a dump of all filters of a hook. */
export function filterQuery(ifindex: number, hook: Hook): Buffer {
	return tcmsg(ifindex, 0, parents[hook], 0);
}

/** struct tcmsg {u8 family, u8 pad, u16 pad, i32 ifindex, u32 handle, u32 parent, u32 info} */
function tcmsg(ifindex: number, handle: number, parent: number, info: number): Buffer {
	return Buffer.concat([u32(0), u32(ifindex), u32(handle), u32(parent), u32(info)]);
}

// linux/rtnetlink.h, linux/pkt_sched.h, linux/pkt_cls.h, linux/bpf_common.h, linux/if_ether.h
const RTM_NEWQDISC = 36;
const RTM_DELQDISC = 37;
export const RTM_NEWTFILTER = 44;
export const RTM_DELTFILTER = 45;
export const RTM_GETTFILTER = 46;
export const TCMSG_BYTES = 20;
const TC_H_ROOT = 0xffffffff;
const TC_H_CLSACT = 0xfffffff1;
const CLSACT_HANDLE = 0xffff0000;
/** TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_INGRESS or TC_H_MIN_EGRESS) */
const parents: Record<Hook, number> = { ingress: 0xfffffff2, egress: 0xfffffff3 };
export const TCA_KIND = 1;
export const TCA_OPTIONS = 2;
const TCA_BPF_ACT = 1;
const TCA_BPF_OPS_LEN = 4;
const TCA_BPF_OPS = 5;
const TCA_BPF_FD = 6;
const TCA_BPF_NAME = 7;
const TCA_BPF_FLAGS = 8;
const TCA_BPF_FLAG_ACT_DIRECT = 1;
const BPF_MAXINSNS = 4096;
const BPF_RET_K = 0x06;
const ETH_P_ALL = 0x0003;
