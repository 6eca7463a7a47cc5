/**
 * A port's rules in the NIC, at the master's ingress. Each address has two, with one handle:
 *
 *     prio            to the master's MAC and the address, TCP, and           then
 *     18801, 18802    from the master's MAC too: our own, come back           drop
 *     18803, 18804    from anybody                                            the guest's MAC, out by its TAP
 *
 * They are narrower than what `forward` would deliver and never say otherwise: no port is looked at, so no UDP, among
 * which are DHCP's answers, and no ICMP, among which is ND; tagged frames, group MACs and ARP don't match. With `vepa` our
 * own frames come back in earnest, unless they are for whom they are from.
 *
 * A rule is a short cut past tc-bpf, which knows the address before and after: to take one away is always safe.
 */
import { familyOf } from '../../datapath/address-key.js';
import { IpvtapError } from '../../errors.js';
import {
	addFlower,
	deleteFlower,
	type FlowerMatch,
	type FlowerPlace,
	getFlower,
	listFlower,
} from '../../sys/netlink/flower.js';
import { type Action, dropAction, mirred, setDestinationMac } from '../../sys/netlink/tc-action.js';
import { PROTOCOL_TCP } from '../../wire/ip.js';
import { nameOf } from '../state-name.js';

export interface RulesOptions {
	/** ifindex. */
	master: number;
	/** Tells one daemon's rules from another's. */
	stateDir: string;
	place: FlowerPlace;
}

export interface Delivery {
	masterMac: string;
	vepa: boolean;
	/** The guest's, and ifindex of its TAP. */
	mac: string;
	ifindex: number;
}

export class Rules {
	readonly #options: RulesOptions;
	readonly #handles = new Map<string, number>();
	#lastHandle = 0;
	readonly #past: Counted = { packets: 0, bytes: 0, reflected: 0 };

	constructor(options: RulesOptions) {
		this.#options = options;
	}

	/** Addresses that have their rules. */
	get size(): number {
		return this.#handles.size;
	}

	/** @throws NetlinkError, IpvtapError if there can't be both; then there is neither. */
	add(address: string, { masterMac, vepa, mac, ifindex }: Delivery): void {
		this.remove(address);
		const match = { destinationMac: masterMac, destination: address, protocol: PROTOCOL_TCP };
		const own = { ...match, sourceMac: masterMac, ...(vepa ? { source: address } : {}) };
		this.#handles.set(address, ++this.#lastHandle);
		try {
			this.#put(guardKey, address, own, [dropAction()]);
			this.#put(deliveryKey, address, match, [setDestinationMac(mac), mirred('redirect-egress', ifindex)]);
		} catch (error) {
			this.remove(address);
			throw error;
		}
	}

	remove(address: string): void {
		const { master } = this.#options;
		const handle = this.#handles.get(address);
		if (handle === undefined) return;
		for (const priority of [deliveryKey(address), guardKey(address)]) {
			const state = getFlower(master, 'ingress', { priority, handle });
			// One in our place that is another's stays.
			if (!state || !this.#isOurs(state.cookie)) continue;
			count(this.#past, state);
			deleteFlower(master, 'ingress', state);
		}
		this.#handles.delete(address);
	}

	clear(): void {
		for (const address of [...this.#handles.keys()]) this.remove(address);
	}

	/** Whether somebody has taken any away. */
	get isIncomplete(): boolean {
		return this.#handles.size > 0 && this.#list().length < 2 * this.#handles.size;
	}

	/** Frames that all rules that there ever were have dealt with. */
	counted(): Counted {
		const sum = { ...this.#past };
		if (this.#handles.size > 0) for (const state of this.#list()) count(sum, state);
		return sum;
	}

	#put(priorityOf: typeof guardKey, address: string, match: FlowerMatch, actions: Action[]): void {
		const { master, stateDir, place } = this.#options;
		const key = { priority: priorityOf(address), handle: this.#handles.get(address) as number };
		addFlower(master, 'ingress', { ...key, match, actions, cookie: nameOf(stateDir), place });
		const inHardware = getFlower(master, 'ingress', key)?.inHardware ?? false;
		if (inHardware !== (place === 'hardware'))
			throw new IpvtapError('failed', `a rule was taken, but is ${inHardware ? '' : 'not_'}in_hw`);
	}

	#list() {
		return listFlower(this.#options.master, 'ingress').filter(({ cookie }) => this.#isOurs(cookie));
	}

	#isOurs(cookie: string | undefined): boolean {
		return cookie === nameOf(this.#options.stateDir);
	}
}

/** Takes away what daemons of this state folder have left on a device. */
export function sweepRules(stateDir: string, ifindex: number): void {
	for (const rule of listFlower(ifindex, 'ingress')) {
		if (rule.cookie === nameOf(stateDir)) deleteFlower(ifindex, 'ingress', rule);
	}
}

interface Counted {
	packets: number;
	bytes: number;
	/** Of them. */
	reflected: number;
}

function count(
	sum: Counted,
	{ priority, packets, bytes }: { priority: number; packets: number; bytes: number },
): void {
	sum.packets += packets;
	sum.bytes += bytes;
	if (priority < DELIVERY) sum.reflected += packets;
}

/** Just before tc-bpf's own filter (tc-bpf/attachments.ts). A priority is one ethertype's, so each kind of rule has two. */
const GUARD = 0x4971;
const DELIVERY = 0x4973;

function guardKey(address: string): number {
	return GUARD + Number(familyOf(address) === 6);
}

function deliveryKey(address: string): number {
	return DELIVERY + Number(familyOf(address) === 6);
}
