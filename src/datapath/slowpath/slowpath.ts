/**
 * Theory of operation. The slow path is handed the frames that need thought, one at a time:
 *
 *   claim    the source is nobody's: the frame waits until it is known whether the slave may have it (claims.ts)
 *   dhcp     requests are checked, replies go to whose they are and make leases (dhcp.ts)
 *   answer   ARP and ND for the host's addresses, in the host's place
 *   router   a router's advertisement to one guest is heard as those to all are, and delivered
 *   route    in mode l3, what can't be routed at once: refused, waiting for a neighbour, to be cut (routed.ts)
 *   fan out  a copy for each edge on this machine that gets one, then, rewritten, one for the wire
 *
 * It owns the address book; what changes there goes to the forwarder and to control. Copies point at the one
 * frame where it lies, so a broadcast to a hundred slaves is a hundred iovecs and no copying. The wire's copy
 * is rewritten in place, after the others have been sent. It has no thread, no socket and no clock of its own:
 * thread.ts gives it those, and tests give it others.
 */
import { type Mapping, mapShared, unmap } from '../../sys/memory.js';
import {
	ETH_TYPE,
	ETHERNET_HEADER,
	ETHERTYPE_ARP,
	isGroupDestination,
	macEquals,
} from '../../wire/ethernet.js';
import { ARP_SENDER_MAC, isLinkLocal6 } from '../../wire/ip.js';
import type { BookChange, BookEntry, Quota } from '../address-book.js';
import { addressText, keyOf, linkLocalText } from '../address-key.js';
import { type Counters, DROPS, IGNORED, IGNORED_BYTES, REPLICATED, STRIDE } from '../counters.js';
import { conflictReceiver } from '../forward/arp.js';
import { forward } from '../forward/forward.js';
import { ipv6ToOwner } from '../forward/owner.js';
import type { Command, Report, StateChange } from '../messages.js';
import { MODE_L2, type PortState } from '../port-state.js';
import { COPY, type Region, regionOf } from '../transmit.js';
import {
	EDGE_SLAVES,
	EDGE_WIRE,
	EDGES_MAX,
	IGNORE,
	SLOW_ANSWER,
	SLOW_CLAIM,
	SLOW_CONFLICT,
	SLOW_DHCP,
	SLOW_FANOUT,
	SLOW_REFRESH,
	SLOW_RESOLVE,
	SLOW_ROUTER,
} from '../verdict.js';
import { Addresses } from './addresses.js';
import { writeAnswer } from './answer.js';
import type { Heard } from './claimable.js';
import { Claims } from './claims.js';
import { Dhcp } from './dhcp.js';
import { fanout, leavesForWire } from './fanout.js';
import { GroupKeeper } from './group-keeper.js';
import { writeGroupMac } from './group-mac.js';
import { advertisedMac, advertisedTarget, macAt, provenAddress, senderOf } from './heard.js';
import { writeAnnouncement, writeProbe } from './neighbour-frames.js';
import { rewriteForWire } from './rewrite.js';
import { Routed } from './routed.js';
import { clearAutonomous, isRouterAdvertisement } from './router-advertisement.js';

/** Where frames leave: a TransmitBatch, or what stands in for one. */
export interface FrameSink {
	readonly full: boolean;
	/** The frame stays as it is until `flush`. @param ingress edge that it came from, or COPY. */
	add(region: Region, at: number, length: number, edge: number, ingress: number): void;
	flush(): void;
}

export interface SlowPathOptions {
	/** Its own copy of the port's state; nobody else may change it. */
	state: PortState;
	counters: Counters;
	sink: FrameSink;
	/** Milliseconds since 1970; must not go back. */
	now: () => number;
	/** Takes a change to whoever follows, this port's own `state` included. */
	change: (change: StateChange) => void;
	report: (report: Report) => void;
	quota?: Quota;
}

/** What control may ask of the slow path itself; threads end, and rings are replaced, elsewhere. */
export type SlowPathCommand = Exclude<Command, { kind: 'stop' | 'replace-ring' }>;

export class SlowPath {
	readonly #options: SlowPathOptions;
	readonly #state: PortState;
	readonly #addresses: Addresses;
	readonly #sink: FrameSink;
	readonly #counters: Counters;
	readonly #memory: Mapping = mapShared(4096);
	/** Where a frame that ipvtap itself says lies until the next one; the virtio header in front of it stays zero. */
	readonly #own: Region = regionOf(this.#memory);
	readonly #dhcp: Dhcp;
	readonly #keeper: GroupKeeper;
	readonly #routed: Routed;
	readonly #claims: Claims;
	readonly #receivers = new Uint16Array(EDGES_MAX);

	constructor(options: SlowPathOptions) {
		this.#options = options;
		this.#state = options.state;
		this.#counters = options.counters;
		this.#sink = options.sink;
		const { state, counters, sink, now, report, quota } = options;
		const again = (region: Region, at: number, length: number, ingress: number): void => {
			this.handle(region, at, length, ingress);
		};
		this.#routed = new Routed({
			...{ state, counters, sink, now, again },
			resolve: address => report({ kind: 'resolve', address }),
		});
		this.#addresses = new Addresses({
			now,
			changed: (entry, change) => this.#addressChanged(entry, change),
			claimed: (address, edge, open) => report({ kind: 'claim', edge, address, open }),
			gone: (address, reason) => this.#claims.gone(address, reason),
			duplicate: ({ edge, address }, mac) => report({ kind: 'duplicate', edge, address, mac }),
			foreign: (address, until) => report({ kind: 'foreign', address, until }),
			say: (address, what) => this.#say(address, what),
			ask: (address, edge) => this.#ask(address, edge),
			...(quota === undefined ? {} : { quota }),
		});
		this.#claims = new Claims({ ...{ state, counters, sink, now, again }, addresses: this.#addresses });
		this.#keeper = new GroupKeeper(options);
		this.#dhcp = new Dhcp({ ...options, leases: this.#addresses, groups: this.#keeper.groups });
	}

	/**
	 * Takes a frame all the way. @returns what came of it in the end: a verdict, SLOW_… for what was copied,
	 * answered or passed on rewritten.
	 */
	handle(region: Region, at: number, length: number, ingress: number): number {
		const { frame } = region;
		this.#state.limits.clock.expire();
		let verdict = forward(this.#state, frame, at, length, ingress);
		if (verdict === SLOW_CLAIM) verdict = this.#claims.handle(region, at, length, ingress);
		if (verdict === SLOW_DHCP) verdict = this.#dhcp.handle(frame, at, length, ingress);
		if (verdict === SLOW_ROUTER) verdict = this.#advertiseTo(frame, at, ingress);
		verdict = this.#routed.handle(verdict, region, at, length, ingress);
		if (verdict === SLOW_CLAIM || verdict === SLOW_RESOLVE) return verdict;
		const entry = ingress * STRIDE;
		// What none of the slaves wants is the business of whoever sent it, and of the host; so is what the host asked.
		if (verdict === SLOW_FANOUT && !this.#fanOut(region, at, length, ingress)) verdict = IGNORE;
		if (verdict === SLOW_CONFLICT && !this.#conflict(region, at, length)) verdict = IGNORE;
		// The master's MAC, or the last slave, may have gone since the forwarder decided.
		if (verdict === IGNORE) {
			(this.#counters[entry + IGNORED] as number)++;
			(this.#counters[entry + IGNORED_BYTES] as number) += length;
		} else if (verdict < 0) (this.#counters[entry + DROPS - verdict] as number)++;
		else if (verdict < EDGES_MAX) this.#sink.add(region, at, length, verdict, ingress);
		else {
			(this.#counters[entry + REPLICATED] as number)++;
			if (verdict === SLOW_ANSWER) this.#answer(frame, at, ingress);
			else if (verdict === SLOW_REFRESH) this.#addresses.proven(provenAddress(frame, at));
		}
		return verdict;
	}

	/** @returns why it can't be, or undefined. */
	obey(command: SlowPathCommand): string | undefined {
		switch (command.kind) {
			case 'change':
				this.#change(command.change);
				return undefined;
			case 'assign': {
				const { address, edge } = command;
				const holder = this.#addresses.assign(edge, address);
				return holder && `${address} belongs to ${holder.origin === 'host' ? 'the host' : 'another slave'}`;
			}
			case 'release':
				this.#addresses.release(command.edge, command.address);
				return undefined;
			case 'restore':
				this.#addresses.restore(command.edge, command.address, command.expires);
				return undefined;
			case 'claim':
				this.#addresses.claim(command.edge, command.address, 'use');
				return undefined;
			case 'ready':
				this.#claims.ready(command.address);
				return undefined;
			case 'host-addresses':
				this.#keeper.setHostAddresses(command.addresses);
				this.#addresses.setHost(command.addresses);
				return undefined;
			case 'gateways':
				this.#addresses.setGateways(command.addresses);
				return undefined;
			case 'foreign':
				this.#addresses.setForeign(command.address, command.until);
				return undefined;
			case 'routers-heard':
				this.#claims.claimable.setHeard(command.heard);
				return undefined;
			case 'prefixes':
				this.#claims.claimable.setPrefixes(command.prefixes);
				return undefined;
			case 'live':
				this.#addresses.setLive(command.edge, command.live);
				return undefined;
			case 'announce':
				this.#addresses.announceAll();
				return undefined;
			case 'age':
				this.#addresses.setAge(command.milliseconds);
				return undefined;
			case 'guest':
				this.#keeper.setGuest(command.edge, command.present);
				return undefined;
			case 'groups':
				this.#keeper.groups.restore(command.edge, 4, command.inet);
				this.#keeper.groups.restore(command.edge, 6, command.inet6);
				return undefined;
			case 'rx-filter':
				this.#keeper.setFilter(command.edge, command.filter);
				return undefined;
		}
	}

	/** Does what is due. @returns milliseconds until something is again, or Infinity. */
	tick(): number {
		const now = this.#options.now();
		// Beyond l2 there are no groups to ask for.
		const asks =
			this.#state.mode === MODE_L2 ? Math.max(0, this.#keeper.tick(now) - now) : Number.POSITIVE_INFINITY;
		return Math.min(this.#addresses.tick(), this.#claims.tick(), this.#routed.tick(), asks);
	}

	close(): void {
		this.#keeper.dispose();
		unmap(this.#memory);
		this.#dhcp.close();
		this.#claims.close();
		this.#routed.close();
	}

	/** Frames that wait for a neighbour go on when it is known; a new mode may have other plans for them. */
	#settle(change: StateChange): void {
		if (change.kind === 'mode') this.#routed.settleAll();
		if (change.kind !== 'neighbour') return;
		if (change.mac !== undefined || change.failed)
			this.#routed.settle(change.address, change.mac === undefined);
	}

	#change(change: StateChange): void {
		if (change.kind === 'slave-removed') {
			this.#addresses.releaseAll(change.edge);
			this.#dhcp.forget(change.edge);
			this.#keeper.close(change.edge);
			this.#routed.forget(change.edge);
		}
		if (change.kind === 'slave-added') {
			this.#keeper.open(change.edge);
			// Whoever was here before and has taken the address that the newcomer will make of its MAC gives it back.
			this.#addresses.takeBack(change.edge, linkLocalText(change.mac));
		}
		const { masterHigh, masterLow } = this.#state;
		this.#options.change(change);
		this.#settle(change);
		if (masterHigh !== this.#state.masterHigh || masterLow !== this.#state.masterLow)
			this.#addresses.announceAll();
	}

	/** A router speaks to one slave. @returns where that goes, without what this slave may not hear. */
	#advertiseTo(frame: DataView, at: number, ingress: number): number {
		if (ingress === EDGE_WIRE) this.#hearRouter(frame, at);
		const verdict = ipv6ToOwner(this.#state, frame, at, ingress);
		if (verdict >= EDGE_SLAVES && !this.#isInvited(verdict)) clearAutonomous(frame, at);
		return verdict;
	}

	#hearRouter(frame: DataView, at: number): void {
		const now = this.#options.now();
		const { claimable } = this.#claims;
		const before = JSON.stringify(roughly(claimable.heard));
		claimable.advertised(frame, at, now);
		const { heard } = claimable;
		// A router says the same every few seconds, and a hostile one as often as it can.
		if (JSON.stringify(roughly(heard)) !== before) this.#options.report({ kind: 'routers-heard', heard });
	}

	#answer(frame: DataView, at: number, ingress: number): void {
		const length = writeAnswer(this.#state, frame, at, this.#own.frame, OWN_AT);
		this.#send(length, ingress);
	}

	/**
	 * Somebody on the LAN uses an address that a slave has, or has claimed: it is noted, and the slave hears of it as
	 * from any other machine. @returns false if no slave has to do with the address.
	 */
	#conflict(region: Region, at: number, length: number): boolean {
		const { frame } = region;
		const address = senderOf(frame, at);
		const claimant = this.#addresses.holderOf(address)?.edge ?? EDGE_WIRE;
		if (claimant < EDGE_SLAVES) return false;
		const edge = conflictReceiver(this.#state, frame, at, claimant);
		if (this.#state.mode === MODE_L2) this.#sink.add(region, at, length, edge, COPY);
		this.#sink.flush();
		this.#addresses.contest(address, macAt(frame, at + ETHERNET_HEADER + ARP_SENDER_MAC));
		return true;
	}

	/** Somebody on the wire says that he has the address: is it a slave's? @param mac offset of the MAC that he gives. */
	#announced(address: string, frame: DataView, mac: number): void {
		if (macEquals(frame, mac, this.#state.masterHigh, this.#state.masterLow)) return;
		this.#addresses.contest(address, macAt(frame, mac));
	}

	#say(address: string, what: 'probe' | 'announce'): void {
		const key = keyOf(address);
		// In l3 and l3s, slaves' link-local addresses are those of another link than the wire.
		if (this.#state.mode !== MODE_L2 && key.family === 6 && isLinkLocal6(key.bytes, 0)) return;
		const write = what === 'probe' ? writeProbe : writeAnnouncement;
		this.#send(write(this.#state, key, this.#own.frame, OWN_AT), EDGE_WIRE);
	}

	#ask(address: string, edge: number): void {
		this.#send(writeProbe(this.#state, keyOf(address), this.#own.frame, OWN_AT), edge);
	}

	/** Sends the frame that has just been written, before the next one takes its place. */
	#send(length: number, edge: number): void {
		if (this.#sink.full) this.#sink.flush();
		this.#sink.add(this.#own, OWN_AT, length, edge, COPY);
		this.#sink.flush();
	}

	/** @returns false if nobody gets it. */
	#fanOut(region: Region, at: number, length: number, ingress: number): boolean {
		const { frame } = region;
		const target = advertisedTarget(frame, at);
		if (target !== 0) {
			const address = addressText(frame, target, 6);
			// It was asked by us, and answers everybody only because the question named nobody.
			if (ingress >= EDGE_SLAVES && this.#addresses.proven(address)) return true;
			if (ingress === EDGE_WIRE) this.#announced(address, frame, advertisedMac(frame, at));
		}
		if (ingress === EDGE_WIRE && frame.getUint16(at + ETH_TYPE) === ETHERTYPE_ARP)
			this.#announced(senderOf(frame, at), frame, at + ETHERNET_HEADER + ARP_SENDER_MAC);
		if (!isGroupDestination(frame, at)) writeGroupMac(frame, at);
		const report = ingress >= EDGE_SLAVES && this.#keeper.hear(frame, at, ingress);
		const count = fanout(this.#state, this.#keeper.groups, report, frame, at, ingress, this.#receivers);
		if (isRouterAdvertisement(frame, at)) {
			if (ingress === EDGE_WIRE) this.#hearRouter(frame, at);
			this.#advertiseToAll(region, count, at, length);
		} else this.#copyTo(region, count, at, length);
		if (!leavesForWire(ingress)) return count > 0;
		this.#sink.flush();
		rewriteForWire(this.#state, frame, at);
		this.#sink.add(region, at, length, EDGE_WIRE, COPY);
		return true;
	}

	/** Afterwards it is as it was, for the wire. */
	#advertiseToAll(region: Region, count: number, at: number, length: number): void {
		this.#copyTo(region, count, at, length, true);
		this.#sink.flush();
		const { buffer, byteOffset } = region.frame;
		const bytes = new Uint8Array(buffer, byteOffset + at, length);
		const said = bytes.slice();
		clearAutonomous(region.frame, at);
		this.#copyTo(region, count, at, length, false);
		this.#sink.flush();
		bytes.set(said);
	}

	/** @param invited only to those who may choose addresses as a router tells them, or to the others. */
	#copyTo(region: Region, count: number, at: number, length: number, invited?: boolean): void {
		for (let index = 0; index < count; index++) {
			const edge = this.#receivers[index] as number;
			if (invited !== undefined && this.#isInvited(edge) !== invited) continue;
			if (this.#sink.full) this.#sink.flush();
			this.#sink.add(region, at, length, edge, COPY);
		}
	}

	#isInvited(edge: number): boolean {
		return edge < EDGE_SLAVES || this.#state.learns[edge] === 1;
	}

	#addressChanged({ address, edge, origin, expires }: BookEntry, change: BookChange): void {
		if (change === 'added') this.#options.change({ kind: 'assigned', address, edge });
		if (change === 'removed') this.#options.change({ kind: 'released', address });
		this.#options.report({
			kind: 'address',
			edge,
			address,
			origin,
			change,
			...(expires === undefined ? {} : { expires }),
		});
	}
}

/** Where our own frames lie: behind room for a virtio header. */
const OWN_AT = 32;

/** To the second: what is shorter is nobody's business but the clock's. */
function roughly({ routers, prefixes }: Heard): unknown {
	return [...routers, ...prefixes].map(({ prefix, until }) => [prefix, Math.round(until / 1000)]);
}
