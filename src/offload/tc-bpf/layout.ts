/**
 * How what the programs look up lies in memory: the TypeScript side of bpf/port.h. Integers are in the machine's
 * order, MACs and addresses as on the wire.
 */
import { type AddressKey, keyOf } from '../../datapath/address-key.js';
import { LIMITS_BYTES } from '../../datapath/kernel-buckets.js';
import type { EdgeLimits } from '../../datapath/limits.js';
import { type FlagName, flagNumbers } from '../../datapath/port-state.js';
import { parseMac, writeMac } from '../../wire/ethernet.js';

/** Keys and values, bytes. */
export const mapShapes = {
	port: { key: 4, value: 36 },
	senders: { key: 4, value: 12 },
	owners4: { key: 4, value: 12 },
	owners6: { key: 16, value: 12 },
	limits: { key: 4, value: LIMITS_BYTES },
	dropped: { key: 4, value: 512, perCpu: true },
	entered: { key: 4, value: 16, perCpu: true },
	sent: { key: 4, value: 16, perCpu: true },
	routes4: { key: 8, value: 28 },
	routes6: { key: 20, value: 28 },
	neighbours: { key: 16, value: 8 },
	seats: { key: 4, value: 8 },
	held: { key: 4, value: 32, perCpu: true },
	listeners: { key: 8, value: 1 },
	decided: { key: 4, value: 8 },
	copied: { key: 4, value: 4 },
} as const;

export type MapName = keyof typeof mapShapes;

export interface PortValues {
	/** ifindex of the master, of the host slave's device that the forwarder has, and of the one to punt to; 0: none. */
	master: number;
	host: number;
	punt: number;
	mtu: number;
	flag: FlagName;
	slaves: number;
	mac: string;
	/** Whether there is a slave that gets groups in l3 and l3s. */
	nominated: boolean;
	/** See `Seats`. */
	seats: number;
}

export function portBytes(values: PortValues): Uint8Array {
	const { master, host, punt, mtu, flag, slaves, mac, nominated, seats } = values;
	const view = new DataView(new ArrayBuffer(mapShapes.port.value));
	const words = [master, host, punt, mtu, flagNumbers[flag], slaves];
	for (const [index, word] of words.entries()) view.setUint32(index * 4, word, LITTLE_ENDIAN);
	putMac(view, 24, mac);
	view.setUint8(30, nominated ? 1 : 0);
	view.setUint32(32, seats, LITTLE_ENDIAN);
	return new Uint8Array(view.buffer);
}

export interface SenderValues {
	edge: number;
	mac: string;
	learns: boolean;
	limits?: EdgeLimits;
}

export function senderBytes({ edge, mac, learns, limits }: SenderValues): Uint8Array {
	const view = new DataView(new ArrayBuffer(mapShapes.senders.value));
	putMac(view, 0, mac);
	view.setUint16(6, flagged(edge, limits), LITTLE_ENDIAN);
	view.setUint8(8, learns ? 1 : 0);
	return new Uint8Array(view.buffer);
}

export interface OwnerValues {
	edge: number;
	ifindex: number;
	mac: string;
	limits?: EdgeLimits;
}

export function ownerBytes({ edge, ifindex, mac, limits }: OwnerValues): Uint8Array {
	const view = new DataView(new ArrayBuffer(mapShapes.owners4.value));
	view.setUint32(0, ifindex, LITTLE_ENDIAN);
	putMac(view, 4, mac);
	view.setUint16(10, flagged(edge, limits), LITTLE_ENDIAN);
	return new Uint8Array(view.buffer);
}

/** Slaves of a port that the programs copy frames to. */
export const SEATS_MAX = 1024;

export interface SeatValues {
	ifindex: number;
	edge: number;
	/** Whether what it gets is limited. */
	limited: boolean;
	/** How many IPv4 addresses it has. */
	ipv4: number;
	/** Every group of the family, whatever it has asked for. */
	allIpv4: boolean;
	allIpv6: boolean;
	/** Whether it has asked for all that it wants, link-local groups included. */
	exact: boolean;
}

export function seatBytes(seat: SeatValues): Uint8Array {
	const { ifindex, edge, limited, ipv4, allIpv4, allIpv6, exact } = seat;
	const view = new DataView(new ArrayBuffer(mapShapes.seats.value));
	view.setUint32(0, ifindex, LITTLE_ENDIAN);
	view.setUint16(4, edge | (limited ? LIMITED_RX : 0), LITTLE_ENDIAN);
	const flags = [true, ipv4 > 0, allIpv4, allIpv6, !exact];
	view.setUint8(
		6,
		flags.reduce((bits, flag, index) => bits | (Number(flag) << index), 0),
	);
	return new Uint8Array(view.buffer);
}

/** @param high the first two bytes of the group's MAC. @param low the other four. */
export function listenerBytes(high: number, low: number, edge: number): Uint8Array {
	const view = new DataView(new ArrayBuffer(mapShapes.listeners.key));
	writeMac(view, 0, high, low);
	view.setUint16(6, edge, LITTLE_ENDIAN);
	return new Uint8Array(view.buffer);
}

/** The programs look into the limits of those alone whose edges say that there are some. */
function flagged(edge: number, { tx, rx }: EdgeLimits = {}): number {
	return edge | (tx ? LIMITED_TX : 0) | (rx ? LIMITED_RX : 0);
}

const LIMITED_TX = 0x8000;
const LIMITED_RX = 0x4000;

export function addressBytes(address: string): { map: 'owners4' | 'owners6'; key: Uint8Array } {
	const { family, bytes }: AddressKey = keyOf(address);
	return {
		map: family === 4 ? 'owners4' : 'owners6',
		key: new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength),
	};
}

export function indexBytes(index: number): Uint8Array {
	return new Uint8Array(Uint32Array.of(index).buffer);
}

export function indexOf(key: Uint8Array): number {
	return new DataView(key.buffer, key.byteOffset).getUint32(0, LITTLE_ENDIAN);
}

/** Sums a per-CPU value of 64-bit counters over all CPUs. */
export function sumCounters(value: Uint8Array, bytes: number): number[] {
	const counters = new BigUint64Array(value.buffer, value.byteOffset, value.byteLength / 8);
	const sums = new Array<number>(bytes / 8).fill(0);
	counters.forEach((count, index) => {
		sums[index % sums.length] = (sums[index % sums.length] as number) + Number(count);
	});
	return sums;
}

export function putMac(view: DataView, at: number, mac: string): void {
	const { high, low } = parseMac(mac);
	writeMac(view, at, high, low);
}

export const LITTLE_ENDIAN = new Uint8Array(Uint16Array.of(1).buffer)[0] === 1;
