/**
 * DHCP between guests and servers: what goes out is checked and, for IPv4, rewritten; what comes in is routed to
 * whose it is, and followed: who has leased what until when. Servers are on the wire, the host itself, or a guest
 * that may be one; other guests neither see a client's messages nor learn what it calls itself.
 */
import { DHCP_CLIENT_PORT, UDP_DESTINATION_PORT } from '../../wire/dhcp.js';
import { DHCP6_SERVER_PORT } from '../../wire/dhcp6.js';
import {
	ETH_SOURCE,
	ETH_TYPE,
	ETHERNET_HEADER,
	ETHERTYPE_IPV6,
	isGroupDestination,
	writeMac,
} from '../../wire/ethernet.js';
import { IPV4_DESTINATION, IPV6_DESTINATION, IPV6_HEADER, ipv4Payload } from '../../wire/ip.js';
import type { BookEntry } from '../address-book.js';
import { addressText, keyOf } from '../address-key.js';
import { canClaim4, isIpv6Group } from '../forward/claim.js';
import { ipv6ToOwner, slaveReach, slaveToOwner, writeReceiver } from '../forward/owner.js';
import type { Groups } from '../groups.js';
import type { PortState } from '../port-state.js';
import { COPY } from '../transmit.js';
import {
	drop,
	EDGE_HOST,
	EDGE_SLAVES,
	EDGE_WIRE,
	EDGES_MAX,
	IGNORE,
	SLOW_DHCP,
	SLOW_FANOUT,
} from '../verdict.js';
import { isNak, leaseOf, releasedAddress } from './dhcp-lease.js';
import { DhcpNat } from './dhcp-nat.js';
import { Dhcp6, PASS } from './dhcp6.js';
import { fanout } from './fanout.js';
import type { FrameSink } from './slowpath.js';

const DROP_UNKNOWN_DESTINATION = drop('unknown-destination');
const DROP_DHCP_SPOOF = drop('dhcp-spoof');

/** What DHCP does to the address book. */
export interface Leases {
	/** Whoever has the address, by any right. */
	holderOf(address: string): Pick<BookEntry, 'edge' | 'origin' | 'tentative'> | undefined;
	/** @param expires milliseconds since 1970. */
	lease(edge: number, address: string, expires: number): void;
	/** It was given back, or taken away. */
	endLease(edge: number, address: string): void;
}

export interface DhcpOptions {
	state: PortState;
	sink: FrameSink;
	now: () => number;
	leases: Leases;
	/** Who hears what. */
	groups: Groups;
}

export class Dhcp {
	readonly #options: DhcpOptions;
	readonly #state: PortState;
	readonly #leases: Leases;
	readonly #nat = new DhcpNat();
	readonly #dhcp6: Dhcp6;
	readonly #servers = new Uint16Array(EDGES_MAX);

	constructor(options: DhcpOptions) {
		this.#options = options;
		this.#state = options.state;
		this.#leases = options.leases;
		this.#dhcp6 = new Dhcp6(options.leases);
	}

	/**
	 * Takes a frame for which the decision was SLOW_DHCP.
	 * @returns SLOW_DHCP once it has gone out rewritten, or the verdict with which it is to go on.
	 */
	handle(frame: DataView, at: number, length: number, ingress: number): number {
		if (frame.getUint16(at + ETH_TYPE) === ETHERTYPE_IPV6) return this.#handle6(frame, at, ingress);
		const udp = ipv4Payload(frame, at + ETHERNET_HEADER);
		return frame.getUint16(udp + UDP_DESTINATION_PORT) === DHCP_CLIENT_PORT
			? this.#reply(frame, at, length, ingress)
			: this.#request(frame, at, length, ingress);
	}

	/** Forgets a slave that has gone. */
	forget(edge: number): void {
		this.#nat.forget(edge);
		this.#dhcp6.forget(edge);
	}

	close(): void {
		this.#nat.close();
	}

	#request(frame: DataView, at: number, length: number, ingress: number): number {
		const rewritten = this.#nat.request(this.#state, frame, at, length, ingress, this.#options.now());
		if (rewritten < 0) return rewritten;
		const released = releasedAddress(frame, at);
		const holder = released === undefined ? undefined : this.#leases.holderOf(released)?.edge;
		if (holder !== undefined && holder !== ingress) return DROP_DHCP_SPOOF;
		if (released !== undefined) this.#leases.endLease(ingress, released);
		return isGroupDestination(frame, at)
			? this.#askAll(frame, at, rewritten, ingress)
			: this.#askOne(frame, at, rewritten, ingress);
	}

	#askAll(frame: DataView, at: number, length: number, ingress: number): number {
		const { groups } = this.#options;
		const count = fanout(this.#state, groups, false, frame, at, ingress, this.#servers);
		for (let index = 0; index < count; index++) this.#send(length, this.#servers[index] as number);
		this.#send(length, EDGE_WIRE);
		return SLOW_DHCP;
	}

	#askOne(frame: DataView, at: number, length: number, ingress: number): number {
		const server = this.#state.ipv4.find(frame.getInt32(at + ETHERNET_HEADER + IPV4_DESTINATION));
		const reach = server === EDGE_WIRE ? EDGE_WIRE : slaveReach(this.#state, ingress, server);
		if (reach < 0) return reach;
		if (reach !== EDGE_WIRE) writeReceiver(this.#state, this.#nat.region.frame, this.#nat.at, reach);
		this.#send(length, reach);
		return SLOW_DHCP;
	}

	#send(length: number, edge: number): void {
		const { sink } = this.#options;
		if (sink.full) sink.flush();
		sink.add(this.#nat.region, this.#nat.at, length, edge, COPY);
	}

	#reply(frame: DataView, at: number, length: number, ingress: number): number {
		const state = this.#state;
		const served = this.#nat.transactionOf(state, frame, at, length);
		if (!served) return this.#pass(frame, at, ingress);
		const { edge, identity } = served;
		const reach = ingress >= EDGE_SLAVES ? slaveReach(state, ingress, edge) : edge;
		// With `vepa` it goes out and comes back from the relay, also from one MAC to the same, and is the guest's then.
		if (reach === EDGE_WIRE) {
			if (isGroupDestination(frame, at)) return SLOW_FANOUT;
			writeMac(frame, at + ETH_SOURCE, state.masterHigh, state.masterLow);
			return EDGE_WIRE;
		}
		if (reach !== edge) return reach;
		const verdict = this.#nat.reply(state, frame, at, served);
		if (verdict < 0) return verdict;
		const lease = leaseOf(frame, at);
		if (lease && this.#isFromLink(frame, at, edge, lease.address)) {
			const expires = this.#options.now() + lease.seconds * 1000;
			if (identity.address !== undefined && identity.address !== lease.address)
				this.#leases.endLease(edge, identity.address);
			identity.address = lease.address;
			identity.until = Math.max(identity.until, expires);
			// A guest that isn't trusted with choosing its addresses gets none from a server either.
			if (canClaim4(state, edge, keyOf(lease.address).words[0] as number))
				this.#leases.lease(edge, lease.address, expires);
		} else if (identity.address !== undefined && isNak(frame, at)) {
			this.#leases.endLease(edge, identity.address);
			delete identity.address;
		}
		return edge;
	}

	/**
	 * Whether the answer that gives the guest an address is from a server on the LAN. From afar a packet reaches the guest
	 * at an address that it has, so a guest could have an accomplice anywhere lease it whatever it likes; a server there
	 * may renew what it was given, and no more.
	 */
	#isFromLink(frame: DataView, at: number, edge: number, address: string): boolean {
		const destination = addressText(frame, at + ETHERNET_HEADER + IPV4_DESTINATION, 4);
		if (destination === '255.255.255.255') return true;
		const holder = this.#leases.holderOf(address);
		const learned = holder?.edge === edge && holder.origin === 'learned' && holder.tentative !== true;
		return destination === address && !learned;
	}

	/** A server's answer that is for no guest here. */
	#pass(frame: DataView, at: number, ingress: number): number {
		// The host may serve the LAN too, and all that its server says to the LAN comes by here.
		if (ingress === EDGE_WIRE || (ingress === EDGE_HOST && this.#state.hostGroups)) return IGNORE;
		if (ingress === EDGE_HOST) return DROP_UNKNOWN_DESTINATION;
		if (isGroupDestination(frame, at)) return SLOW_FANOUT;
		const destination = frame.getInt32(at + ETHERNET_HEADER + IPV4_DESTINATION);
		return slaveToOwner(this.#state, frame, at, ingress, this.#state.ipv4.find(destination));
	}

	#handle6(frame: DataView, at: number, ingress: number): number {
		const state = this.#state;
		const ip = at + ETHERNET_HEADER;
		const to = frame.getUint16(ip + IPV6_HEADER + UDP_DESTINATION_PORT);
		const now = this.#options.now();
		if (to === DHCP6_SERVER_PORT) {
			const refusal = this.#dhcp6.request(frame, at, ingress, now);
			if (refusal !== PASS) return refusal;
			if (isGroupDestination(frame, at) || isIpv6Group(frame, ip + IPV6_DESTINATION)) return SLOW_FANOUT;
		}
		const owner = state.ipv6.find6(frame, ip + IPV6_DESTINATION);
		const verdict = ipv6ToOwner(state, frame, at, ingress);
		if (to === DHCP6_SERVER_PORT || verdict !== owner || owner < EDGE_SLAVES) return verdict;
		const refusal = this.#dhcp6.reply(state, frame, at, owner, now);
		return refusal === PASS ? verdict : refusal;
	}
}
