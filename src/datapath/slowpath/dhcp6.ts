/**
 * DHCPv6 through one MAC. Nothing has to be rewritten: a guest speaks from its link-local address, which is its
 * alone, and replies come to that. The MAC inside a DUID is part of a name and stays (RFC 8415, 11). What is left
 * is to keep guests apart, and to follow what they are given:
 *
 *   out   an identity association, named by DUID and IAID, is one guest's; nobody gives back another's address
 *   in    a Reply to a question that the guest has asked makes leases, and ends those with no time left. One that comes
 *         to another than its link-local address may be from anywhere on earth, and only renews
 */

import { UDP_HEADER, UDP_LENGTH } from '../../wire/dhcp.js';
import {
	DHCP6_DECLINE,
	DHCP6_RELEASE,
	DHCP6_REPLY,
	type Dhcp6Address,
	type Dhcp6Message,
	parseDhcp6,
} from '../../wire/dhcp6.js';
import { ETHERNET_HEADER } from '../../wire/ethernet.js';
import { IPV6_DESTINATION, IPV6_HEADER, IPV6_PAYLOAD_LENGTH, isLinkLocal6 } from '../../wire/ip.js';
import { isSegmented } from '../../wire/vnet-header.js';
import { addressText } from '../address-key.js';
import { canClaim6 } from '../forward/claim.js';
import type { PortState } from '../port-state.js';
import { drop } from '../verdict.js';
import type { Leases } from './dhcp.js';
import { Identities } from './identities.js';

const DROP_MALFORMED = drop('malformed');
const DROP_DHCP_SPOOF = drop('dhcp-spoof');
const DROP_DHCP_CONFLICT = drop('dhcp-conflict');

/** Not a verdict: the message may go where its addresses say. */
export const PASS = 0;

/** RFC 8415, 7.6: no client waits longer for its answer than the two minutes after it last asked. */
const TRANSACTION_MS = 120_000;
/** A client has one exchange at a time for each of its associations. */
const TRANSACTIONS_MAX = 8;

export class Dhcp6 {
	readonly #leases: Leases;
	readonly #identities = new Identities();
	/** When each slave last asked, by transaction id; the oldest first. */
	readonly #asked = new Map<number, Map<number, number>>();

	constructor(leases: Leases) {
		this.#leases = leases;
	}

	/** A guest asks a server. @returns PASS, or the verdict that drops its message. */
	request(frame: DataView, at: number, edge: number, now: number): number {
		const message = messageAt(frame, at);
		// Cut into segments it would be several messages, of which this is but one.
		if (!message || isSegmented(frame, at)) return DROP_MALFORMED;
		const { type, duid, associations, transaction } = message;
		const names = associations.map(({ kind, id }) => `${duid}/${kind}/${id}`);
		if (!names.every(name => this.#identities.claim(edge, name, now))) return DROP_DHCP_SPOOF;
		if (type === DHCP6_RELEASE || type === DHCP6_DECLINE) {
			const addresses = addressesOf(frame, message).map(({ address }) => address);
			if (addresses.some(address => this.#isAnothers(address, edge))) return DROP_DHCP_SPOOF;
			for (const address of addresses) this.#leases.endLease(edge, address);
		}
		this.#open(edge, transaction, now);
		return PASS;
	}

	/** A server answers a guest. @returns PASS, or the verdict that drops its message. */
	reply(state: PortState, frame: DataView, at: number, edge: number, now: number): number {
		const message = messageAt(frame, at);
		const asked = message && this.#asked.get(edge)?.get(message.transaction);
		if (asked === undefined || now - asked > TRANSACTION_MS) return PASS;
		const addresses = addressesOf(frame, message as Dhcp6Message);
		// Of two guests with one name, clones of one disk, the second would be given what the first one has.
		const granted = addresses.filter(({ valid }) => valid > 0);
		if (granted.some(({ address }) => this.#isAnothers(address, edge))) return DROP_DHCP_CONFLICT;
		if (message?.type !== DHCP6_REPLY) return PASS;
		const longest = Math.max(0, ...addresses.map(({ valid }) => valid));
		for (const { kind, id } of (message as Dhcp6Message).associations) {
			const identity = this.#identities.claim(edge, `${message.duid}/${kind}/${id}`, now);
			if (identity) identity.until = Math.max(identity.until, now + longest * 1000);
		}
		const fromLink = isLinkLocal6(frame, at + ETHERNET_HEADER + IPV6_DESTINATION);
		for (const { address, at: offset, valid } of addresses) {
			// A guest that isn't trusted with choosing its addresses gets none from a server either.
			const may = state.learns[edge] === 1 && canClaim6(state, frame, offset, edge);
			const given = fromLink || this.#leases.holderOf(address)?.origin === 'dhcp';
			if (valid === 0) this.#leases.endLease(edge, address);
			else if (may && given) this.#leases.lease(edge, address, now + valid * 1000);
		}
		return PASS;
	}

	/** Forgets a slave that has gone. */
	forget(edge: number): void {
		this.#identities.forget(edge);
		this.#asked.delete(edge);
	}

	#open(edge: number, transaction: number, now: number): void {
		const asked = this.#asked.get(edge) ?? new Map<number, number>();
		asked.delete(transaction);
		asked.set(transaction, now);
		if (asked.size > TRANSACTIONS_MAX) asked.delete(asked.keys().next().value as number);
		this.#asked.set(edge, asked);
	}

	#isAnothers(address: string, edge: number): boolean {
		const holder = this.#leases.holderOf(address)?.edge;
		return holder !== undefined && holder !== edge;
	}
}

function messageAt(frame: DataView, at: number): Dhcp6Message | undefined {
	const ip = at + ETHERNET_HEADER;
	const udp = ip + IPV6_HEADER;
	const length = frame.getUint16(udp + UDP_LENGTH);
	if (length < UDP_HEADER || length > frame.getUint16(ip + IPV6_PAYLOAD_LENGTH)) return undefined;
	return parseDhcp6(frame, udp + UDP_HEADER, udp + length);
}

function addressesOf(
	frame: DataView,
	{ associations }: Dhcp6Message,
): (Dhcp6Address & { address: string })[] {
	return associations.flatMap(({ addresses }) =>
		addresses.map(one => ({ ...one, address: addressText(frame, one.at, 6) })),
	);
}
