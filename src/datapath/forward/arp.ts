/**
 * ARP: who owns the sender's address, then by the target's address. A request is never flooded to slaves,
 * because ipvtap knows who owns what.
 */
import { ETH_SOURCE, ETHERNET_HEADER, isGroupDestination, macEquals, writeMac } from '../../wire/ethernet.js';
import {
	ARP_OPERATION,
	ARP_REPLY,
	ARP_REQUEST,
	ARP_SENDER_IP,
	ARP_SENDER_MAC,
	ARP_TARGET_IP,
	ARP_TARGET_MAC,
	isEthernetArp,
	isIpv4Group,
} from '../../wire/ip.js';
import { MODE_L2, type PortState } from '../port-state.js';
import {
	drop,
	EDGE_HOST,
	EDGE_SLAVES,
	EDGE_WIRE,
	IGNORE,
	SLOW_ANSWER,
	SLOW_CLAIM,
	SLOW_CONFLICT,
	SLOW_REFRESH,
} from '../verdict.js';
import { canClaim4 } from './claim.js';
import { answerToWire, isToMaster, slaveReach, wireToGroup, wireToOwner, writeReceiver } from './owner.js';

const DROP_MALFORMED = drop('malformed');
const DROP_ARP_SPOOF = drop('arp-spoof');
const DROP_NOT_ROUTED = drop('not-routed');

export function arpFromSlave(
	state: PortState,
	frame: DataView,
	at: number,
	length: number,
	edge: number,
): number {
	const arp = at + ETHERNET_HEADER;
	if (!isEthernetArp(frame, arp, length - ETHERNET_HEADER)) return DROP_MALFORMED;
	const operation = frame.getUint16(arp + ARP_OPERATION);
	if (operation !== ARP_REQUEST && operation !== ARP_REPLY) return DROP_MALFORMED;
	const high = state.macHigh[edge] as number;
	const low = state.macLow[edge] as number;
	if (!macEquals(frame, arp + ARP_SENDER_MAC, high, low)) return DROP_ARP_SPOOF;

	const sender = frame.getInt32(arp + ARP_SENDER_IP);
	const target = frame.getInt32(arp + ARP_TARGET_IP);
	const targetOwner = state.ipv4.find(target);
	// A probe (RFC 5227, 2.1.1) has no sender address: it is about the target, which it may not deny to others.
	const probe = sender === 0 && operation === ARP_REQUEST;
	const claimed = probe ? target : sender;
	const owner = probe ? targetOwner : state.ipv4.find(sender);
	if (owner === EDGE_WIRE) return canClaim4(state, edge, claimed) ? SLOW_CLAIM : DROP_ARP_SPOOF;
	if (owner !== edge && !probe) return DROP_ARP_SPOOF;
	if (operation === ARP_REPLY && target === 0 && isToMaster(state, frame, at)) return SLOW_REFRESH;

	if (state.mode !== MODE_L2) {
		return operation === ARP_REQUEST && targetOwner !== edge && !isIpv4Group(target)
			? SLOW_ANSWER
			: DROP_NOT_ROUTED;
	}
	if (targetOwner === EDGE_WIRE || targetOwner === edge) return toWire(state, frame, at);
	const reach = slaveReach(state, edge, targetOwner);
	// The owner's own answer to a probe would have nobody as its target, and so reach nobody here.
	if (operation === ARP_REQUEST && (reach === EDGE_HOST || (probe && reach >= EDGE_SLAVES)))
		return SLOW_ANSWER;
	if (reach === EDGE_WIRE) return toWire(state, frame, at);
	if (reach >= EDGE_HOST) writeReceiver(state, frame, at, reach);
	return reach;
}

export function arpFromWire(state: PortState, frame: DataView, at: number, length: number): number {
	const arp = at + ETHERNET_HEADER;
	if (!isEthernetArp(frame, arp, length - ETHERNET_HEADER)) return IGNORE;
	const group = isGroupDestination(frame, at);
	if (!group && !isToMaster(state, frame, at)) return IGNORE;
	const target = frame.getInt32(arp + ARP_TARGET_IP);
	const owner = state.ipv4.find(target);
	const sender = frame.getInt32(arp + ARP_SENDER_IP);
	if (isConflict(state, frame, arp, group, owner)) return SLOW_CONFLICT;
	const asks = frame.getUint16(arp + ARP_OPERATION) === ARP_REQUEST;
	if (owner >= EDGE_SLAVES && state.mode !== MODE_L2) {
		return asks ? answerToWire(state, frame, at) : DROP_NOT_ROUTED;
	}
	if (owner >= EDGE_SLAVES) {
		// A reflected probe comes from 0.0.0.0; whose it was, only its target can tell.
		const verdict = wireToOwner(state, frame, at, owner, sender === 0 ? owner : state.ipv4.find(sender));
		if (verdict >= 0) receiverInTarget(state, frame, arp, owner);
		return verdict;
	}
	// Announcements and broadcast replies correct everybody's neighbour table (RFC 5227, 3): failover needs them.
	const announces = sender === target || frame.getUint16(arp + ARP_OPERATION) === ARP_REPLY;
	return group && announces && sender !== 0 ? wireToGroup(state, frame, at, state.ipv4.find(sender)) : IGNORE;
}

/**
 * The slave that ARP from somebody with a slave's address goes to, rewritten for it: whose target it is, or else
 * whose address. @param claimant edge of the slave that has the address, or has claimed it.
 */
export function conflictReceiver(state: PortState, frame: DataView, at: number, claimant: number): number {
	const arp = at + ETHERNET_HEADER;
	const owner = state.ipv4.find(frame.getInt32(arp + ARP_TARGET_IP));
	const edge = owner >= EDGE_SLAVES ? owner : claimant;
	writeReceiver(state, frame, at, edge);
	receiverInTarget(state, frame, arp, edge);
	return edge;
}

/**
 * Whether somebody else says that he has an address of a slave's; or answers a question that named nobody, and so may
 * have been about one that a slave has only claimed, as the slow path knows.
 */
function isConflict(state: PortState, frame: DataView, arp: number, group: boolean, owner: number): boolean {
	if (macEquals(frame, arp + ARP_SENDER_MAC, state.masterHigh, state.masterLow)) return false;
	const isAnswer =
		frame.getInt32(arp + ARP_TARGET_IP) === 0 && frame.getUint16(arp + ARP_OPERATION) === ARP_REPLY;
	if (isAnswer && !group) return state.slaveCount > 0;
	return (
		(group || owner >= EDGE_SLAVES) && state.ipv4.find(frame.getInt32(arp + ARP_SENDER_IP)) >= EDGE_SLAVES
	);
}

/** MAC-NAT outwards: the sender, in both places, becomes the master. */
function toWire(state: PortState, frame: DataView, at: number): number {
	writeMac(frame, at + ETH_SOURCE, state.masterHigh, state.masterLow);
	writeMac(frame, at + ETHERNET_HEADER + ARP_SENDER_MAC, state.masterHigh, state.masterLow);
	return EDGE_WIRE;
}

/** MAC-NAT inwards: where the master is named as the target, the guest is meant. */
function receiverInTarget(state: PortState, frame: DataView, arp: number, edge: number): void {
	if (!macEquals(frame, arp + ARP_TARGET_MAC, state.masterHigh, state.masterLow)) return;
	writeMac(frame, arp + ARP_TARGET_MAC, state.macHigh[edge] as number, state.macLow[edge] as number);
}
