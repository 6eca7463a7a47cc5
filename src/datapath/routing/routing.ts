/**
 * How the host would send, for frames that have to be routed: prefixes lead to hops, hops lead to a verdict or to a
 * neighbour. A hop that many routes share is there once, however many prefixes a router has; its fields lie in typed
 * arrays, because each routed frame reads them.
 */
import { type AddressKey, keyOf } from '../address-key.js';
import { drop, EDGE_HOST, EDGE_WIRE, refuse } from '../verdict.js';
import { Fib } from './fib.js';
import { Neighbours } from './neighbours.js';

/** Where a route leads: out by the master, to the host (which has the device that it leads to), or nowhere. */
export const hopVerdicts = {
	wire: EDGE_WIRE,
	host: EDGE_HOST,
	'no-route': refuse('no-route'),
	unreachable: refuse('unreachable'),
	prohibited: refuse('prohibited'),
	blackhole: drop('blackhole'),
	/** A subnet's broadcast address. */
	'not-routed': drop('not-routed'),
} as const;

export interface Hop {
	to: keyof typeof hopVerdicts;
	/** The router on the master; without one, the destination is on the link itself. May be IPv6 for IPv4 (RFC 5549). */
	gateway?: string;
	/** Of the route, if it is smaller than the master's: bytes of layer 3. */
	mtu?: number;
}

/** Hops that differ: as many as a table of the FIB can tell apart. */
const HOPS_MAX = 65_535;
/** RFC 7600, 4.8, for routers without an IPv4 address of their own; Linux does so too (commit 321827477360). */
const DUMMY_SOURCE = '192.0.0.8';

export class Routing {
	readonly neighbours: Neighbours;
	/** Whether there is an IPv6 address that errors can come from. */
	hasSource6 = false;
	source4 = 0;
	readonly source6 = new DataView(new ArrayBuffer(16));
	readonly #fib4: Fib;
	readonly #fib6: Fib;
	readonly #hops = new Map<string, { index: number; uses: number }>();
	readonly #prefixes = new Map<string, string>();
	readonly #free: number[] = [];
	/** Hop 0 is what no prefix leads to. */
	#count = 1;
	#verdicts = Int32Array.of(hopVerdicts['no-route']);
	#mtus = Int32Array.of(0);
	/** 0: the destination itself. */
	#gatewayFamilies = Uint8Array.of(0);
	#gateways = new DataView(new ArrayBuffer(16));

	constructor(seed: number, used: Uint8Array) {
		this.#fib4 = new Fib(1, seed);
		this.#fib6 = new Fib(4, seed);
		this.neighbours = new Neighbours(seed, used);
		this.setSources(undefined, undefined);
	}

	/** Hop towards the IPv4 address; 0 if there is no route. */
	find(address: number): number {
		return this.#fib4.find(address);
	}

	/** Hop towards the IPv6 address at `at`; 0 if there is no route. */
	find6(frame: DataView, at: number): number {
		return this.#fib6.find6(frame, at);
	}

	/** EDGE_WIRE, EDGE_HOST, or what becomes of frames that can't go on. */
	verdict(hop: number): number {
		return this.#verdicts[hop] as number;
	}

	/** 0: the master's. */
	mtu(hop: number): number {
		return this.#mtus[hop] as number;
	}

	/** Slot of the neighbour to whom a frame for the IPv4 address goes, or 0 if its MAC isn't known. */
	neighbour(hop: number, address: number): number {
		return this.isOnLink(hop) ? this.neighbours.find(address) : this.#router(hop);
	}

	neighbour6(hop: number, frame: DataView, at: number): number {
		return this.isOnLink(hop) ? this.neighbours.find6(frame, at) : this.#router(hop);
	}

	/** True if frames go to the destination itself, not to a router. */
	isOnLink(hop: number): boolean {
		return this.#gatewayFamilies[hop] === 0;
	}

	/** Family of the router's address (0: there is none), and where it lies. For the slow path. */
	gateway(hop: number): { family: number; bytes: DataView; at: number } {
		return { family: this.#gatewayFamilies[hop] as number, bytes: this.#gateways, at: hop << 4 };
	}

	/** Adds or changes a route. @param prefix `10.0.0.0/8`, canonical: it is also the route's name. */
	set(prefix: string, hop: Hop): void {
		const { key, length } = parse(prefix);
		const before = this.#prefixes.get(prefix);
		const name = JSON.stringify([hop.to, hop.gateway, hop.mtu]);
		const index = this.#take(name, hop);
		if (index === 0) return;
		this.#fib(key).set(key.words, length, index);
		this.#prefixes.set(prefix, name);
		if (before !== undefined) this.#give(before);
	}

	remove(prefix: string): void {
		const name = this.#prefixes.get(prefix);
		if (name === undefined) return;
		const { key, length } = parse(prefix);
		this.#prefixes.delete(prefix);
		this.#fib(key).delete(key.words, length);
		this.#give(name);
	}

	setSources(ipv4: string | undefined, ipv6: string | undefined): void {
		this.source4 = keyOf(ipv4 ?? DUMMY_SOURCE).words[0] as number;
		this.hasSource6 = ipv6 !== undefined;
		if (ipv6 !== undefined) copy(keyOf(ipv6).bytes, this.source6, 0);
	}

	#router(hop: number): number {
		return this.#gatewayFamilies[hop] === 4
			? this.neighbours.find(this.#gateways.getInt32(hop << 4))
			: this.neighbours.find6(this.#gateways, hop << 4);
	}

	/** @returns the hop's index, or 0 if there are too many that differ. */
	#take(name: string, { to, gateway, mtu }: Hop): number {
		const known = this.#hops.get(name);
		if (known) {
			known.uses++;
			return known.index;
		}
		if (this.#free.length === 0 && this.#count === HOPS_MAX) return 0;
		const index = this.#free.pop() ?? this.#count++;
		if (index >= this.#verdicts.length) this.#grow();
		this.#verdicts[index] = hopVerdicts[to];
		this.#mtus[index] = mtu ?? 0;
		const key = gateway === undefined ? undefined : keyOf(gateway);
		this.#gatewayFamilies[index] = key?.family ?? 0;
		if (key) copy(key.bytes, this.#gateways, index << 4);
		this.#hops.set(name, { index, uses: 1 });
		return index;
	}

	#give(name: string): void {
		const hop = this.#hops.get(name);
		if (!hop || --hop.uses > 0) return;
		this.#hops.delete(name);
		this.#free.push(hop.index);
	}

	#grow(): void {
		const capacity = Math.max(16, this.#verdicts.length * 2);
		const grown = <T extends Int32Array | Uint8Array>(fresh: T, old: T): T => {
			fresh.set(old);
			return fresh;
		};
		this.#verdicts = grown(new Int32Array(capacity), this.#verdicts);
		this.#mtus = grown(new Int32Array(capacity), this.#mtus);
		this.#gatewayFamilies = grown(new Uint8Array(capacity), this.#gatewayFamilies);
		const gateways = new DataView(new ArrayBuffer(capacity * 16));
		copy(this.#gateways, gateways, 0);
		this.#gateways = gateways;
	}

	#fib(key: AddressKey): Fib {
		return key.family === 4 ? this.#fib4 : this.#fib6;
	}
}

function parse(prefix: string): { key: AddressKey; length: number } {
	const [address = '', length = ''] = prefix.split('/');
	return { key: keyOf(address), length: Number(length) };
}

function copy(from: DataView, to: DataView, at: number): void {
	new Uint8Array(to.buffer, to.byteOffset).set(
		new Uint8Array(from.buffer, from.byteOffset, from.byteLength),
		at,
	);
}
