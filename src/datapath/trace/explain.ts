/**
 * Theory of operation. The verdict of a trace is never worked out here: it is what the real `forward` and the real
 * slow path said in a dry run. This file says why, by putting the questions that they put, in their order, to the
 * same tables and predicates, and by ending where the verdict shows that they ended. So a step can be missing (a
 * rule that is newer than these words), but it can't say other than what was decided; tests hold it to that.
 *
 *   from a slave   whose MAC? → whose source? → whose destination? → what does the flag say? → path
 *   from the wire  is it for us? → is it our own? → whose destination? → path
 *   from the host  whose destination? → path
 */
import {
	ETH_DESTINATION,
	ETH_SOURCE,
	ETH_TYPE,
	ETHERNET_HEADER,
	ETHERTYPE_ARP,
	ETHERTYPE_IPV6,
	formatMac,
	isGroupDestination,
	macEquals,
} from '../../wire/ethernet.js';
import { ARP_SENDER_MAC, IPV6_HEADER, IPV6_PAYLOAD_LENGTH, isUnspecified6 } from '../../wire/ip.js';
import {
	linkLayerOption,
	NEIGHBOUR_ADVERTISEMENT,
	ndType,
	OPTION_SOURCE_LINK_LAYER,
	OPTION_TARGET_LINK_LAYER,
} from '../../wire/ndp.js';
import { isOwnFrame } from '../forward/owner.js';
import {
	type DropReason,
	dropReasons,
	EDGE_HOST,
	EDGE_SLAVES,
	EDGE_WIRE,
	EDGES_MAX,
	IGNORE,
	SLOW_CONFLICT,
	SLOW_DHCP,
	SLOW_FANOUT,
	SLOW_REFRESH,
	verdictName,
} from '../verdict.js';
import { ownerOf, ownerStep, speakerStep } from './owners.js';
import type { Place, Step } from './place.js';
import { type Subject, type Subjects, subjectsOf } from './subjects.js';
import { slowReason } from './verdict-text.js';

/**
 * The steps that lead to `first`, which `forward` has said of the frame.
 * @param place as it was before the frame.
 */
export function explain(place: Place, frame: DataView, from: number, first: number): Step[] {
	const steps =
		from >= EDGE_SLAVES ? fromSlave(place, frame, from, first) : fromElsewhere(place, frame, from, first);
	return [...steps, ...pathStep(first)];
}

function fromSlave(place: Place, frame: DataView, edge: number, first: number): Step[] {
	const reason = reasonOf(first);
	if (frame.byteLength < ETHERNET_HEADER) return [];
	const steps = [macStep(place, frame, edge)];
	const subjects = subjectsOf(frame, edge);
	if (subjects === undefined || isEarly(first)) return steps;
	const inner = innerMacStep(place, frame, edge);
	if (inner !== undefined) return [...steps, inner];
	const refused = reason !== undefined && atSource.has(reason);
	const { speaksFor } = subjects;
	for (const subject of speaksFor) {
		if (isNobody(frame, subject)) steps.push(nobodyStep(refused && speaksFor.length === 1));
		else steps.push(speakerStep(place, frame, subject, edge));
	}
	if (first === SLOW_DHCP || refused) return steps;
	return [...steps, ...destinationSteps(place, frame, subjects, edge, first)];
}

function fromElsewhere(place: Place, frame: DataView, from: number, first: number): Step[] {
	const subjects = subjectsOf(frame, from);
	if (subjects === undefined || isEarly(first)) return [];
	const steps: Step[] = [];
	if (from === EDGE_WIRE) {
		const receiver = receiverStep(place, frame);
		steps.push(receiver);
		if (receiver.result === 'another machine') return steps;
		if (isOwnFrame(place.state, frame, 0)) {
			const why = "its source MAC is the master's: a switch or access point sends it back";
			steps.push({ step: 'source MAC', result: "the master's", why });
		}
	}
	if (first === SLOW_DHCP) return steps;
	return [...steps, ...destinationSteps(place, frame, subjects, from, first)];
}

function isEarly(first: number): boolean {
	const reason = reasonOf(first);
	return reason !== undefined && beforeAddresses.has(reason);
}

/** Reasons for which `forward` drops before it asks who has an address. */
const beforeAddresses: ReadonlySet<DropReason> = new Set([
	'malformed',
	'mac-spoof',
	'vlan',
	'ethertype',
	'nd-hidden',
	'router-guard',
	'dhcp-guard',
]);
/** Reasons for which it drops, then, before it asks who has the destination. */
const atSource: ReadonlySet<DropReason> = new Set(['ip-spoof', 'arp-spoof', 'nd-spoof']);

function macStep({ state }: Place, frame: DataView, edge: number): Step {
	const own = formatMac({ high: state.macHigh[edge] as number, low: state.macLow[edge] as number });
	const isOwn = macEquals(frame, ETH_SOURCE, state.macHigh[edge] as number, state.macLow[edge] as number);
	return isOwn
		? { step: 'source MAC', result: 'its own', why: `the slave's MAC is ${own}` }
		: {
				step: 'source MAC',
				result: 'not its own',
				why: `the slave's MAC is ${own}, the frame's ${macAt(frame, ETH_SOURCE)}`,
			};
}

/** ARP and ND name a MAC inside too. @returns undefined where it is the slave's, or there is none. */
function innerMacStep({ state }: Place, frame: DataView, edge: number): Step | undefined {
	const inner = innerMac(frame);
	if (inner === 0 || macEquals(frame, inner, state.macHigh[edge] as number, state.macLow[edge] as number))
		return undefined;
	return { step: 'MAC inside', result: 'not its own', why: `ARP or ND names ${macAt(frame, inner)}` };
}

/** Offset of the MAC that ARP's sender, or neighbour discovery, says is its own; 0 if there is none. */
function innerMac(frame: DataView): number {
	const l3 = ETHERNET_HEADER;
	const type = frame.getUint16(ETH_TYPE);
	if (type === ETHERTYPE_ARP) return l3 + ARP_SENDER_MAC;
	const nd = type === ETHERTYPE_IPV6 ? ndType(frame, l3) : 0;
	if (nd <= 0) return 0;
	const end = l3 + IPV6_HEADER + frame.getUint16(l3 + IPV6_PAYLOAD_LENGTH);
	const option = nd === NEIGHBOUR_ADVERTISEMENT ? OPTION_TARGET_LINK_LAYER : OPTION_SOURCE_LINK_LAYER;
	return linkLayerOption(frame, l3 + IPV6_HEADER, end, option);
}

/** Is a frame on the wire for this port at all? */
function receiverStep({ state }: Place, frame: DataView): Step {
	const step = 'destination MAC';
	if (isGroupDestination(frame, ETH_DESTINATION))
		return { step, result: 'group', why: 'multicast and broadcast concern everybody' };
	return macEquals(frame, ETH_DESTINATION, state.masterHigh, state.masterLow)
		? { step, result: "the master's", why: 'host and slaves share the MAC: addresses decide' }
		: { step, result: 'another machine', why: `${macAt(frame, ETH_DESTINATION)} is not the master's MAC` };
}

function destinationSteps(
	place: Place,
	frame: DataView,
	subjects: Subjects,
	from: number,
	first: number,
): Step[] {
	// What it says is for ipvtap itself.
	if (first === SLOW_REFRESH || first === SLOW_CONFLICT) return [];
	const { destination } = subjects;
	// ARP announcements have a target, but are for everybody.
	if (destination === undefined || first === SLOW_FANOUT) {
		const why = 'multicast or broadcast, by its MAC or its address';
		return [{ step: 'destination', result: 'group', why }, ...flagStep(place, from, true)];
	}
	const owner = ownerOf(place, frame, destination);
	const steps = [ownerStep(place, frame, destination, from)];
	if (owner === EDGE_WIRE) return [...steps, ...routerStep(place, frame, subjects, from)];
	if (owner >= EDGE_SLAVES && owner !== from) steps.push(...flagStep(place, from, false));
	if (owner === EDGE_HOST && from >= EDGE_SLAVES && !place.state.host)
		steps.push({ step: 'host slave', result: 'none', why: 'the master is up with --no-host' });
	return steps;
}

/** To an address that nobody here has, but sent to the master's MAC: the guest takes the host for its router. */
function routerStep(
	{ state, mode }: Place,
	frame: DataView,
	{ destination, group }: Subjects,
	from: number,
): Step[] {
	const isOurs = macEquals(frame, ETH_DESTINATION, state.masterHigh, state.masterLow);
	if (from < EDGE_SLAVES || mode !== 'l2' || group || destination?.role !== 'destination' || !isOurs)
		return [];
	const result = state.host ? 'the host, as a router' : "the host's, but it has no slave";
	return [{ step: 'next hop', result, why: "the destination MAC is the master's own" }];
}

function flagStep({ flag, mode }: Place, from: number, group: boolean): Step[] {
	if (from < EDGE_SLAVES || mode !== 'l2') return [];
	const what = group ? 'copies' : 'frames';
	const why: Record<string, string> = {
		bridge: `${what} for other slaves go to them directly`,
		private: 'no slave reaches another',
		vepa: `${what} for other slaves go out to the wire, and a relay there sends them back`,
	};
	return [{ step: 'flag', result: flag, why: why[flag] ?? 'see docs/modes.md' }];
}

function pathStep(first: number): Step[] {
	if (first < 0 || first === IGNORE) return [];
	if (first < EDGES_MAX)
		return [{ step: 'path', result: 'fast path', why: 'exactly one receiver, and its place is known' }];
	return [
		{ step: 'path', result: verdictName(first).replace(/^slow:/, 'slow path:'), why: slowReason(first) },
	];
}

/** A client that has no address yet may ask for one, and a listener may say what it listens to. */
function nobodyStep(refused: boolean): Step {
	return refused
		? {
				step: 'source',
				result: 'not its own',
				why: 'only DHCP, IGMP, MLD and ND may come from no address at all',
			}
		: { step: 'source', result: 'nobody', why: 'it comes from no address at all, as its protocol allows' };
}

function isNobody(frame: DataView, { role, family, at }: Subject): boolean {
	if (role !== 'source') return false;
	return family === 4 ? frame.getInt32(at) === 0 : isUnspecified6(frame, at);
}

function reasonOf(verdict: number): DropReason | undefined {
	return verdict < 0 ? dropReasons[-verdict] : undefined;
}

function macAt(frame: DataView, at: number): string {
	return formatMac({ high: frame.getUint16(at), low: frame.getInt32(at + 2) });
}
