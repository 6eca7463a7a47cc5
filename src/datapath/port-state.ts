/**
 * All that a decision about a frame depends on, for one port: mode, flag, who the master and the host are,
 * which slave has which MAC, who owns which address. Plain fields and typed arrays, because `forward` reads
 * them for each frame. Every thread has its own, changed only between two batches.
 */
import { parseMac } from '../wire/ethernet.js';
import { type AddressKey, keyOf } from './address-key.js';
import { AddressTable } from './address-table.js';
import { Limits } from './limits.js';
import { NEIGHBOURS_MAX } from './routing/neighbours.js';
import { Routing } from './routing/routing.js';
import type { ReadClock } from './token-buckets.js';
import { EDGE_HOST, EDGES_MAX } from './verdict.js';

export const MODE_L2 = 0;
export const MODE_L3 = 1;
export const MODE_L3S = 2;
export const modeNumbers = { l2: MODE_L2, l3: MODE_L3, l3s: MODE_L3S } as const;
export type ModeName = keyof typeof modeNumbers;

export const FLAG_BRIDGE = 0;
export const FLAG_PRIVATE = 1;
export const FLAG_VEPA = 2;
export const flagNumbers = { bridge: FLAG_BRIDGE, private: FLAG_PRIVATE, vepa: FLAG_VEPA } as const;
export type FlagName = keyof typeof flagNumbers;

/** What only some guests may say: bits of `allows`. */
export const ALLOW_DHCP_SERVER = 1;
export const ALLOW_ROUTER = 2;
export const permissionBits = { 'dhcp-server': ALLOW_DHCP_SERVER, router: ALLOW_ROUTER } as const;
export type PermissionName = keyof typeof permissionBits;

export class PortState {
	flag: number = FLAG_BRIDGE;
	mode: number = MODE_L2;
	/** What the wire takes, bytes of layer 3. */
	mtu = 1500;
	/** The one slave that gets multicast and broadcast in `l3` and `l3s`, or 0. */
	multicastSlave = 0;
	/** How the host would send: what `l3` goes by. */
	readonly routing: Routing;
	masterHigh = 0;
	masterLow = 0;
	/** Device by which an offload hands over what it leaves to the forwarder; 0: there is none. */
	punt = 0;
	/** Whether there is a host slave to deliver to. */
	host = false;
	/** Whether what the host sends to groups by the master comes by the host slave too. */
	hostGroups = false;
	readonly ipv4: AddressTable;
	readonly ipv6: AddressTable;
	/** MAC of each edge's guest; the first two bytes, and the last four. */
	readonly macHigh = new Uint16Array(EDGES_MAX);
	readonly macLow = new Int32Array(EDGES_MAX);
	/** 1 where a guest may claim addresses by using them. */
	readonly learns = new Uint8Array(EDGES_MAX);
	/** 1 for each guest's edge in use. */
	readonly present = new Uint8Array(EDGES_MAX);
	/** What a guest may say that others may not: ALLOW_… bits. */
	readonly allows = new Uint8Array(EDGES_MAX);
	/** How many addresses of each family an edge owns. */
	readonly owned4 = new Uint16Array(EDGES_MAX);
	readonly owned6 = new Uint16Array(EDGES_MAX);
	/** Guests' edges in use, dense: `slaves[0 … slaveCount-1]`. */
	readonly slaves = new Uint16Array(EDGES_MAX);
	slaveCount = 0;
	/** What slaves may use; nobody is limited until told so. */
	readonly limits: Limits;

	/**
	 * @param read the clock, for limits.
	 * @param used NEIGHBOURS_MAX bytes: set to 1 by who sends to that neighbour (see routing/neighbours.ts).
	 */
	constructor(
		seed: number,
		read: ReadClock = into => {
			into[0] = performance.now();
		},
		used: Uint8Array = new Uint8Array(NEIGHBOURS_MAX),
	) {
		this.limits = new Limits(read);
		this.routing = new Routing(seed, used);
		this.ipv4 = new AddressTable(1, seed);
		this.ipv6 = new AddressTable(4, seed);
	}

	setMaster(mac: string): void {
		const { high, low } = parseMac(mac);
		this.masterHigh = high;
		this.masterLow = low;
		this.macHigh[EDGE_HOST] = high;
		this.macLow[EDGE_HOST] = low;
	}

	addSlave(edge: number, mac: string, learn: boolean, allow: readonly PermissionName[] = []): void {
		const { high, low } = parseMac(mac);
		this.macHigh[edge] = high;
		this.macLow[edge] = low;
		this.learns[edge] = learn ? 1 : 0;
		this.allow(edge, allow);
		this.slaves[this.slaveCount++] = edge;
		this.present[edge] = 1;
	}

	/** What the slave may say that others may not: this, and no more what it might before. */
	allow(edge: number, allow: readonly PermissionName[]): void {
		this.allows[edge] = allow.reduce((bits, name) => bits | permissionBits[name], 0);
	}

	/** The caller has taken the slave's addresses away before. */
	removeSlave(edge: number): void {
		const index = this.slaves.subarray(0, this.slaveCount).indexOf(edge);
		if (index < 0) return;
		this.slaves[index] = this.slaves[--this.slaveCount] as number;
		this.learns[edge] = 0;
		this.present[edge] = 0;
		// What it has sent may still be on its way through the backlog, and is nobody's now.
		this.macHigh[edge] = 0;
		this.macLow[edge] = 0;
		this.limits.set(edge, {});
		this.allows[edge] = 0;
		if (this.multicastSlave === edge) this.multicastSlave = 0;
	}

	/** Gives an address to an edge, taking it from whoever had it. */
	assign(address: string, edge: number): void {
		const key = keyOf(address);
		this.#release(key);
		this.#table(key).set(key.words, edge);
		this.#count(key, edge, 1);
	}

	release(address: string): void {
		this.#release(keyOf(address));
	}

	/** Edge that owns the address, or 0. */
	ownerOf(address: string): number {
		const key = keyOf(address);
		return key.family === 4 ? this.ipv4.find(key.words[0] as number) : this.ipv6.find6(key.bytes, 0);
	}

	#release(key: AddressKey): void {
		const owner = key.family === 4 ? this.ipv4.find(key.words[0] as number) : this.ipv6.find6(key.bytes, 0);
		if (this.#table(key).delete(key.words)) this.#count(key, owner, -1);
	}

	#table(key: AddressKey): AddressTable {
		return key.family === 4 ? this.ipv4 : this.ipv6;
	}

	#count(key: AddressKey, edge: number, by: number): void {
		const owned = key.family === 4 ? this.owned4 : this.owned6;
		owned[edge] = (owned[edge] as number) + by;
	}
}
