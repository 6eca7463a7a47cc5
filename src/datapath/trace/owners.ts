/** Who has an address, whether a slave might claim it, and why not: asked of the same tables and rules that decide. */
import { isIpv4Group, isLinkLocal6 } from '../../wire/ip.js';
import { addressText } from '../address-key.js';
import { canClaim4, canClaim6 } from '../forward/claim.js';
import { EDGE_HOST, EDGE_SLAVES, EDGE_WIRE } from '../verdict.js';
import type { Place, Step } from './place.js';
import { PROBED, type Subject } from './subjects.js';

export function textOf(frame: DataView, { at, family }: Subject): string {
	return addressText(frame, at, family);
}

/** Edge of the owner; EDGE_WIRE if nobody here has it. */
export function ownerOf({ state }: Place, frame: DataView, { at, family }: Subject): number {
	return family === 4 ? state.ipv4.find(frame.getInt32(at)) : state.ipv6.find6(frame, at);
}

/** An edge as one of several that could be meant. */
export function edgeWords(edge: number, names: ReadonlyMap<number, string>): string {
	if (edge === EDGE_WIRE) return 'wire';
	return edge === EDGE_HOST ? 'host' : `slave ${names.get(edge) ?? edge}`;
}

/** "May this slave speak for the address?" */
export function speakerStep(place: Place, frame: DataView, subject: Subject, edge: number): Step {
	const address = textOf(frame, subject);
	const step = subject.role;
	const owner = ownerOf(place, frame, subject);
	if (owner === edge) return { step, result: 'its own', why: `${address} is ${right(place, address)}` };
	if (owner !== EDGE_WIRE) {
		// To ask is no claim where somebody has it: the owner will say so.
		if (step === PROBED)
			return { step, result: 'taken', why: `${address} belongs to ${edgeWords(owner, place.names)}` };
		return { step, result: 'not its own', why: `${address} belongs to ${edgeWords(owner, place.names)}` };
	}
	const refusal = unclaimable(place, frame, subject, edge);
	if (refusal !== undefined)
		return { step, result: 'not its own', why: `nobody has ${address}, but ${refusal}` };
	const claimant = place.claims.get(address);
	if (claimant === undefined)
		return { step, result: 'claimable', why: `nobody has ${address}, and ${claimRight(frame, subject)}` };
	const why = claimWords(place, address, claimant);
	if (claimant === edge) return { step, result: 'claimed', why };
	return { step, result: step === PROBED ? 'taken' : 'not its own', why };
}

/** "Whose is the address that the frame is for?" */
export function ownerStep(place: Place, frame: DataView, subject: Subject, from: number): Step {
	const address = textOf(frame, subject);
	const owner = ownerOf(place, frame, subject);
	const { role: step } = subject;
	if (owner === EDGE_WIRE) return { step, result: 'nobody here', why: nobodyWords(place, address) };
	if (owner === from) return { step, result: 'its own', why: `${address} is its own` };
	const how = owner >= EDGE_SLAVES ? ` (${right(place, address)})` : '';
	return { step, result: edgeWords(owner, place.names), why: `${address} is its address${how}` };
}

function nobodyWords(place: Place, address: string): string {
	const claimant = place.claims.get(address);
	const claimed = claimant === undefined ? '' : `; ${claimWords(place, address, claimant)}`;
	return `no slave has ${address}, nor has the host${claimed}`;
}

function claimWords({ names }: Place, address: string, claimant: number): string {
	return `${edgeWords(claimant, names)} claims ${address}, and the LAN is being asked whether somebody has it`;
}

function right({ origins }: Place, address: string): string {
	return origins.get(address) ?? 'known';
}

function claimRight(frame: DataView, { at, family }: Subject): string {
	return family === 6 && isLinkLocal6(frame, at)
		? 'link-local addresses may always be claimed'
		: 'the slave may learn addresses';
}

/** @returns why the slave can't come to own it, or undefined. */
function unclaimable(
	{ state }: Place,
	frame: DataView,
	{ at, family }: Subject,
	edge: number,
): string | undefined {
	const can = family === 4 ? canClaim4(state, edge, frame.getInt32(at)) : canClaim6(state, frame, at, edge);
	if (can) return undefined;
	if (family === 4 && isIpv4Group(frame.getInt32(at))) return 'it is no address of one host';
	if (state.learns[edge] === 1) return 'it is no address that a host may have';
	return 'learning is off for this slave (--ip was given, or --learn off)';
}
