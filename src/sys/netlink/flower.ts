/**
 * Filters of kind `flower` (net/sched/cls_flower.c), which match fields of a frame and which NICs can take over:
 * `tc filter add dev D ingress prio P handle H protocol ip flower … skip_sw action …`.
 */
import { unless } from './error.js';
import {
	attribute,
	attributes,
	NLM_F_CREATE,
	NLM_F_EXCL,
	nested,
	readI32,
	readText,
	readU32,
	text,
	u8,
	u32,
} from './message.js';
import { dump, request } from './socket.js';
import {
	type FilterKey,
	filterMessage,
	filterQuery,
	type Hook,
	RTM_DELTFILTER,
	RTM_GETTFILTER,
	RTM_NEWTFILTER,
	TCA_KIND,
	TCA_OPTIONS,
	TCMSG_BYTES,
} from './tc.js';
import { type Action, encodeActions, readActions } from './tc-action.js';
import { ipBytes, macBytes } from './text.js';

/** What a frame must have; all of it. */
export interface FlowerMatch {
	destinationMac: string;
	sourceMac?: string;
	/** Of either family, which decides about the ethertype. */
	destination: string;
	source?: string;
	/** IPPROTO_* */
	protocol: number;
}

/** In the hardware alone (`skip_sw`), or in the kernel alone (`skip_hw`). */
export type FlowerPlace = 'hardware' | 'software';

export interface FlowerFilter extends FilterKey {
	match: FlowerMatch;
	actions: readonly Action[];
	cookie: string;
	place: FlowerPlace;
}

/** @throws NetlinkError, with the driver's words where it has any; also if there is one with this key. @syscalls netlink */
export function addFlower(ifindex: number, hook: Hook, filter: FlowerFilter): void {
	const { priority, handle, match, actions, cookie, place } = filter;
	const type = isIpv4(match) ? ETH_P_IP : ETH_P_IPV6;
	const body = Buffer.concat([
		filterMessage(ifindex, hook, priority, handle, type),
		attribute(TCA_KIND, text('flower')),
		nested(
			TCA_OPTIONS,
			...matchAttributes(match),
			attribute(TCA_FLOWER_KEY_ETH_TYPE, Uint8Array.of(type >> 8, type & 0xff)),
			attribute(TCA_FLOWER_FLAGS, u32(place === 'hardware' ? TCA_CLS_FLAGS_SKIP_SW : TCA_CLS_FLAGS_SKIP_HW)),
			nested(TCA_FLOWER_ACT, encodeActions(actions, cookie)),
		),
	]);
	request(`add a flower rule to device ${ifindex}`, RTM_NEWTFILTER, NLM_F_CREATE | NLM_F_EXCL, body);
}

export interface FlowerState extends FilterKey {
	/** Whether the hardware has it. */
	inHardware: boolean;
	/** Of its first action; undefined where it has none. */
	cookie: string | undefined;
	/** What it has matched, wherever it is. */
	packets: number;
	bytes: number;
}

/** The flower filters of a hook, others' among them. @throws NetlinkError. @syscalls netlink */
export function listFlower(ifindex: number, hook: Hook): FlowerState[] {
	return dump(`list the filters of device ${ifindex}`, RTM_GETTFILTER, filterQuery(ifindex, hook)).flatMap(
		({ body }) => parseFlower(ifindex, body) ?? [],
	);
}

/** @returns undefined if there is none. @throws NetlinkError. @syscalls netlink */
export function getFlower(ifindex: number, hook: Hook, key: FilterKey): FlowerState | undefined {
	let found: FlowerState | undefined;
	unless(absent, () => {
		const [message] = request(
			`look at a flower rule of device ${ifindex}`,
			RTM_GETTFILTER,
			0,
			named(ifindex, hook, key),
		);
		found = message && parseFlower(ifindex, message.body);
	});
	return found;
}

/** @returns false if there was none. @throws NetlinkError. @syscalls netlink */
export function deleteFlower(ifindex: number, hook: Hook, key: FilterKey): boolean {
	return unless(absent, () =>
		request(`delete a flower rule of device ${ifindex}`, RTM_DELTFILTER, 0, named(ifindex, hook, key)),
	);
}

function matchAttributes(match: FlowerMatch): Buffer[] {
	const { destinationMac, sourceMac, destination, source, protocol } = match;
	const keys = isIpv4(match) ? ipv4Keys : ipv6Keys;
	return [
		...exactly(TCA_FLOWER_KEY_ETH_DST, macBytes(destinationMac)),
		...(sourceMac === undefined ? [] : exactly(TCA_FLOWER_KEY_ETH_SRC, macBytes(sourceMac))),
		attribute(TCA_FLOWER_KEY_IP_PROTO, u8(protocol)),
		...exactly(keys.destination, ipBytes(destination)),
		...(source === undefined ? [] : exactly(keys.source, ipBytes(source))),
	];
}

/** A key and, as the next type, its mask. */
function exactly(type: number, value: Uint8Array): Buffer[] {
	return [attribute(type, value), attribute(type + 1, new Uint8Array(value.length).fill(0xff))];
}

function isIpv4({ destination }: FlowerMatch): boolean {
	return ipBytes(destination).length === 4;
}

function named(ifindex: number, hook: Hook, { priority, handle }: FilterKey): Buffer {
	return Buffer.concat([
		filterMessage(ifindex, hook, priority, handle, 0),
		attribute(TCA_KIND, text('flower')),
	]);
}

function parseFlower(ifindex: number, body: Buffer): FlowerState | undefined {
	const fields = attributes(body, TCMSG_BYTES);
	const [kind, options] = [fields.get(TCA_KIND), fields.get(TCA_OPTIONS)];
	const handle = readU32(body, 8);
	// Handle 0 stands for the priority as a whole.
	if (readI32(body, 4) !== ifindex || !kind || readText(kind) !== 'flower' || !options || handle === 0)
		return undefined;
	const flower = attributes(options);
	const [flags, actions] = [flower.get(TCA_FLOWER_FLAGS), flower.get(TCA_FLOWER_ACT)];
	return {
		priority: readU32(body, 16) >>> 16,
		handle,
		inHardware: flags !== undefined && (readU32(flags, 0) & TCA_CLS_FLAGS_IN_HW) !== 0,
		cookie: undefined,
		packets: 0,
		bytes: 0,
		...(actions && readActions(actions)),
	};
}

/** There is no such filter, device or clsact, or the priority is another kind's. */
const absent = ['ENOENT', 'ENODEV', 'EINVAL'];

// linux/if_ether.h
const ETH_P_IP = 0x0800;
const ETH_P_IPV6 = 0x86dd;
// linux/pkt_cls.h
const TCA_FLOWER_ACT = 3;
const TCA_FLOWER_KEY_ETH_DST = 4;
const TCA_FLOWER_KEY_ETH_SRC = 6;
const TCA_FLOWER_KEY_ETH_TYPE = 8;
const TCA_FLOWER_KEY_IP_PROTO = 9;
const ipv4Keys = { source: 10, destination: 12 } as const;
const ipv6Keys = { source: 14, destination: 16 } as const;
const TCA_FLOWER_FLAGS = 22;
const TCA_CLS_FLAGS_SKIP_HW = 1;
const TCA_CLS_FLAGS_SKIP_SW = 2;
const TCA_CLS_FLAGS_IN_HW = 4;
