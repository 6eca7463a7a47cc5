/** A verdict in the words of traces, with the reason. A verdict that came after these words were written has its name. */
import {
	type DropReason,
	dropReasons,
	EDGE_HOST,
	EDGE_SLAVES,
	EDGE_WIRE,
	EDGES_MAX,
	IGNORE,
	isRefusal,
	SLOW_ANSWER,
	SLOW_CLAIM,
	SLOW_CONFLICT,
	SLOW_DHCP,
	SLOW_FANOUT,
	SLOW_FRAGMENT,
	SLOW_REFRESH,
	SLOW_REFUSE,
	SLOW_RESOLVE,
	SLOW_ROUTER,
	verdictName,
} from '../verdict.js';
import { type DropText, dropTexts } from './drop-text.js';

/** `wire`, `host`, `slave vm1`, or what `verdictName` says: `slow: fan out`, `drop: ip-spoof`, `ignore`. */
export function verdictWords(verdict: number, names: ReadonlyMap<number, string>): string {
	return verdict >= EDGE_SLAVES && verdict < EDGES_MAX
		? `slave ${names.get(verdict) ?? verdict}`
		: verdictName(verdict);
}

/** Why that. */
export function verdictReason(verdict: number): string {
	if (verdict < 0 || isRefusal(verdict)) return textOf(verdict)?.means ?? 'dropped';
	if (verdict >= EDGE_SLAVES && verdict < EDGES_MAX) return 'delivered to that slave alone';
	return reasons.get(verdict) ?? 'decided by the forwarder';
}

/** What a slow path's verdict is for; empty for one that isn't known here. */
export function slowReason(verdict: number): string {
	if (isRefusal(verdict)) return 'it can go no further, and its sender is told by ICMP';
	return slowReasons.get(verdict) ?? 'it needs thought';
}

/** What to do about a drop, or undefined. */
export function verdictRemedy(verdict: number): string | undefined {
	return textOf(verdict)?.remedy;
}

function textOf(verdict: number): DropText | undefined {
	const at = verdict < 0 ? -verdict : isRefusal(verdict) ? verdict - SLOW_REFUSE : -1;
	const reason: DropReason | undefined = dropReasons[at];
	return reason === undefined ? undefined : dropTexts[reason];
}

const reasons = new Map([
	[EDGE_WIRE, 'sent out by the master'],
	[EDGE_HOST, "delivered to the host's stack by the host slave"],
	[IGNORE, "the host's own business: its stack has it, as if there were no ipvtap"],
	[SLOW_FANOUT, 'copied to everybody who gets one'],
	[SLOW_ANSWER, "answered by ipvtap in the host's name"],
	[SLOW_CLAIM, 'kept until it is known whether somebody on the LAN has the address'],
	[SLOW_DHCP, 'passed on to the servers, with the MAC inside rewritten'],
	[SLOW_REFRESH, 'taken note of: the guest still has the address'],
	[SLOW_RESOLVE, "kept until the next hop's MAC is known"],
	[SLOW_FRAGMENT, 'cut, and sent on in pieces'],
	[SLOW_CONFLICT, 'taken note of: another machine says that it has the address of a slave'],
]);

const slowReasons = new Map([
	[SLOW_FANOUT, 'multicast or broadcast: copies for whoever gets one'],
	[SLOW_ANSWER, "a question for the host's MAC, which ipvtap answers"],
	[SLOW_CLAIM, 'a claim to an address: the address book decides, and the LAN is asked'],
	[SLOW_DHCP, 'DHCP: the MAC inside is rewritten, and replies go by transaction'],
	[SLOW_REFRESH, "an answer to ipvtap's own question whether the address is in use"],
	[SLOW_RESOLVE, "the next hop's MAC isn't known"],
	[SLOW_FRAGMENT, 'it is longer than fits, and may be cut'],
	[SLOW_CONFLICT, 'somebody else speaks for an address that a slave has, or may have claimed'],
	[SLOW_ROUTER, 'a router speaks to one slave: what it says is heard, and delivered'],
]);
