/**
 * How the host would send, for frames that have to be routed: prefixes lead to hops, hops lead to a verdict or to a
 * neighbour, or are several of which the flow chooses one. A hop that many routes share is there once, however many
 * prefixes a router has; its fields lie in typed arrays, because each routed frame reads them.
 */
import { IPV4_DESTINATION, IPV4_SOURCE, IPV6_DESTINATION, IPV6_SOURCE } from '../../wire/ip.js';
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

/**
 * Several next hops of one route (ECMP). A flow, that is two addresses, keeps to one of them, as with the kernel's
 * `fib_multipath_hash_policy` 0; of many flows each hop gets a share by its weight, a whole number from 1.
 */
export interface Several {
	to: 'several';
	of: readonly { hop: Hop; weight: number }[];
}

/** What a prefix leads to. */
export type Way = Hop | Several;

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
	readonly #hops = new Map<string, { index: number; uses: number; way: Way }>();
	readonly #seed: number;
	/** By hop: of which ones it consists, if it is several. */
	readonly #several: (Members | undefined)[] = [undefined];
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
		this.#seed = seed | 1;
		this.#fib4 = new Fib(1, seed);
		this.#fib6 = new Fib(4, seed);
		this.neighbours = new Neighbours(seed, used);
		this.setSources(undefined, undefined);
	}

	/** Hop of the IPv4 packet at `ip`; 0 if there is no route. */
	find(frame: DataView, ip: number): number {
		const hop = this.#fib4.find(frame.getInt32(ip + IPV4_DESTINATION));
		const several = this.#several[hop];
		return several === undefined ? hop : choose(several, this.#hash(frame, ip + IPV4_SOURCE, 8));
	}

	/** Hop of the IPv6 packet at `ip`; 0 if there is no route. */
	find6(frame: DataView, ip: number): number {
		const hop = this.#fib6.find6(frame, ip + IPV6_DESTINATION);
		const several = this.#several[hop];
		return several === undefined ? hop : choose(several, this.#hash(frame, ip + IPV6_SOURCE, 32));
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
	set(prefix: string, way: Way): void {
		const { key, length } = parse(prefix);
		const before = this.#prefixes.get(prefix);
		const name = nameOf(way);
		const index = this.#take(name, way);
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
	#take(name: string, way: Way): number {
		const known = this.#hops.get(name);
		if (known) {
			known.uses++;
			return known.index;
		}
		const members = way.to === 'several' ? this.#takeAll(way) : undefined;
		if (members === null || (this.#free.length === 0 && this.#count === HOPS_MAX)) return 0;
		const index = this.#free.pop() ?? this.#count++;
		if (index >= this.#verdicts.length) this.#grow();
		this.#several[index] = members;
		if (way.to !== 'several') this.#write(index, way);
		this.#hops.set(name, { index, uses: 1, way });
		return index;
	}

	#write(index: number, { to, gateway, mtu }: Hop): void {
		this.#verdicts[index] = hopVerdicts[to];
		this.#mtus[index] = mtu ?? 0;
		const key = gateway === undefined ? undefined : keyOf(gateway);
		this.#gatewayFamilies[index] = key?.family ?? 0;
		if (key) copy(key.bytes, this.#gateways, index << 4);
	}

	/** @returns null if there are too many hops that differ. */
	#takeAll({ of }: Several): Members | null {
		const hops = Int32Array.from(of, ({ hop }) => this.#take(nameOf(hop), hop));
		if (hops.includes(0)) {
			for (const [index, { hop }] of of.entries()) if (hops[index] !== 0) this.#give(nameOf(hop));
			return null;
		}
		let sum = 0;
		const total = of.reduce((sum, { weight }) => sum + weight, 0);
		const bounds = Float64Array.from(of, ({ weight }) => {
			sum += weight;
			return (sum / total) * 2 ** 32;
		});
		return { hops, bounds };
	}

	#give(name: string): void {
		const hop = this.#hops.get(name);
		if (!hop || --hop.uses > 0) return;
		this.#hops.delete(name);
		this.#several[hop.index] = undefined;
		this.#free.push(hop.index);
		if (hop.way.to === 'several') for (const { hop: member } of hop.way.of) this.#give(nameOf(member));
	}

	/** Of the addresses at `at`, 32 bits: mixed, so that neighbouring ones part (MurmurHash3's finalizer). */
	#hash(frame: DataView, at: number, bytes: number): number {
		let hash = this.#seed;
		for (let offset = at; offset < at + bytes; offset += 4) {
			hash = Math.imul(hash ^ frame.getInt32(offset), 0x85ebca6b);
			hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
			hash ^= hash >>> 16;
		}
		return hash >>> 0;
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

interface Members {
	hops: Int32Array;
	/** Which hashes are whose: those below its bound, and not below that before. The last is 2³². */
	bounds: Float64Array;
}

function choose({ hops, bounds }: Members, hash: number): number {
	let index = 0;
	while (hash >= (bounds[index] as number)) index++;
	return hops[index] as number;
}

function nameOf(way: Way): string {
	return way.to === 'several'
		? JSON.stringify(way.of.map(({ hop, weight }) => [nameOf(hop), weight]))
		: JSON.stringify([way.to, way.gateway, way.mtu]);
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
