/** The forwarder's routes and neighbours as the programs look them up (bpf/route.h). */
import { keyOf } from '../../datapath/address-key.js';
import { hopVerdicts, type Way } from '../../datapath/routing/routing.js';
import { EDGE_HOST } from '../../datapath/verdict.js';
import type { KernelObject } from './kernel-object.js';
import { LITTLE_ENDIAN, mapShapes, putMac } from './layout.js';

type Maps = KernelObject['maps'];

/** @param prefix `10.0.0.0/8`. @throws SysError. */
export function setRoute(maps: Maps, prefix: string, hop: Way): void {
	const { map, key } = prefixBytes(prefix);
	maps[map].set(key, hopBytes(hop));
}

/** @throws SysError. */
export function removeRoute(maps: Maps, prefix: string): void {
	const { map, key } = prefixBytes(prefix);
	maps[map].delete(key);
}

/** @param mac undefined: not known. @throws SysError. */
export function setNeighbour({ neighbours }: Maps, address: string, mac: string | undefined): void {
	if (mac === undefined) neighbours.delete(mappedBytes(address));
	else neighbours.set(mappedBytes(address), neighbourBytes(mac));
}

/** struct prefix4 or prefix6. */
function prefixBytes(prefix: string): { map: 'routes4' | 'routes6'; key: Uint8Array } {
	const [address = '', length = ''] = prefix.split('/');
	const { family, bytes } = keyOf(address);
	const map = family === 4 ? 'routes4' : 'routes6';
	const key = new Uint8Array(mapShapes[map].key);
	new DataView(key.buffer).setUint32(0, Number(length), LITTLE_ENDIAN);
	key.set(new Uint8Array(bytes.buffer), 4);
	return { map, key };
}

/** struct hop. Which of several a flow keeps to is the forwarder's to choose. */
function hopBytes(way: Way): Uint8Array {
	const view = new DataView(new ArrayBuffer(mapShapes.routes4.value));
	const verdict = way.to === 'several' ? PUNT : hopVerdicts[way.to];
	view.setInt32(0, verdict <= EDGE_HOST ? verdict : PUNT, LITTLE_ENDIAN);
	if (way.to === 'several') return new Uint8Array(view.buffer);
	const { gateway, mtu = 0 } = way;
	view.setUint32(4, mtu, LITTLE_ENDIAN);
	const bytes = new Uint8Array(view.buffer);
	if (gateway === undefined) return bytes;
	view.setUint32(8, keyOf(gateway).family === 4 ? AF_INET : AF_INET6, LITTLE_ENDIAN);
	bytes.set(mappedBytes(gateway), 12);
	return bytes;
}

/** IPv4 as ::ffff:a.b.c.d, so that one map has both. */
function mappedBytes(address: string): Uint8Array {
	const { family, bytes } = keyOf(address);
	const octets = new Uint8Array(bytes.buffer);
	return family === 6 ? octets : Uint8Array.of(...new Uint8Array(10), 0xff, 0xff, ...octets);
}

/** struct neighbour. */
function neighbourBytes(mac: string): Uint8Array {
	const view = new DataView(new ArrayBuffer(mapShapes.neighbours.value));
	putMac(view, 0, mac);
	return new Uint8Array(view.buffer);
}

/** In bpf/port.h. */
const PUNT = 0x30000;
/** linux/socket.h */
const AF_INET = 2;
const AF_INET6 = 10;
