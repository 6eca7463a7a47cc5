/**
 * The host's routes, as the frame path wants them: one hop per prefix. Pure: routes in, hops out, and what has changed
 * between two looks.
 *
 * Followed are the tables that every host has (local, main, default), as if their routes were in one; of routes to the
 * same prefix, the one with the best metric. Policy routing isn't (rules.ts).
 */
import { isDeepStrictEqual } from 'node:util';
import type { Hop, Way } from '../../datapath/routing/routing.js';
import type { NextHop, Route } from '../../sys/netlink/route.js';

export interface HostDevices {
	/** ifindex. */
	master: number;
	/** The host slave's; undefined without one. */
	host: number | undefined;
}

/** Hops by prefix. */
export function hopsOf(routes: readonly Route[], devices: HostDevices): Map<string, Way> {
	const best = new Map<string, { route: Route; hop: Way }>();
	for (const route of routes) {
		const hop = route.dst.startsWith('127.') ? undefined : hopOf(route, devices);
		const known = best.get(route.dst);
		if (hop && (!known || rank(route) < rank(known.route))) best.set(route.dst, { route, hop });
	}
	// Nobody on another machine has these (RFC 1122, 3.2.1.3; RFC 4291, 2.5): the default route isn't for them.
	const hops = new Map<string, Way>(neverRouted.map(prefix => [prefix, { to: 'blackhole' }]));
	for (const [prefix, { hop }] of best) if (!hops.has(prefix)) hops.set(prefix, hop);
	return hops;
}

export interface RouteChanges {
	add: { prefix: string; hop: Way }[];
	remove: string[];
}

/** What makes the one into the other. */
export function routeChanges(from: ReadonlyMap<string, Way>, to: ReadonlyMap<string, Way>): RouteChanges {
	return {
		add: [...to]
			.filter(([prefix, hop]) => !sameHop(from.get(prefix), hop))
			.map(([prefix, hop]) => ({ prefix, hop })),
		remove: [...from.keys()].filter(prefix => !to.has(prefix)),
	};
}

const neverRouted = ['0.0.0.0/8', '127.0.0.0/8', '::/128', '::1/128'];

function hopOf({ type, family, ifindex, nextHops, mtu }: Route, devices: HostDevices): Way | undefined {
	switch (type) {
		case RTN_UNICAST:
			return wayOf(usable(nextHops), mtu, devices);
		case RTN_LOCAL:
		case RTN_ANYCAST:
			return ifindex === devices.host ? undefined : { to: 'host' };
		case RTN_BROADCAST:
		case RTN_MULTICAST:
			return { to: 'not-routed' };
		case RTN_BLACKHOLE:
			return { to: 'blackhole' };
		case RTN_UNREACHABLE:
			// For IPv6 the kernel says "no route" here (ip6_pkt_discard in net/ipv6/route.c).
			return { to: family === 'inet' ? 'unreachable' : 'no-route' };
		case RTN_PROHIBIT:
			return { to: 'prohibited' };
		default:
			return undefined;
	}
}

/** As fib_rebalance in Linux, but without a carrier nothing is sent where there is another way. */
function usable(hops: readonly NextHop[]): readonly NextHop[] {
	const alive = hops.filter(({ dead }) => !dead);
	const connected = alive.filter(({ linkDown }) => !linkDown);
	return connected.length > 0 ? connected : alive;
}

function wayOf(hops: readonly NextHop[], mtu: number | undefined, devices: HostDevices): Way | undefined {
	const of = hops.flatMap(({ ifindex, gateway, weight }) => {
		// The routes to the guests themselves: who owns an address is asked before.
		if (ifindex === devices.host) return [];
		if (ifindex !== devices.master) return [{ hop: { to: 'host' } as Hop, weight }];
		const hop: Hop = {
			to: 'wire',
			...(gateway === undefined ? {} : { gateway }),
			...(mtu === undefined ? {} : { mtu }),
		};
		return [{ hop, weight }];
	});
	return of.length > 1 ? { to: 'several', of } : of[0]?.hop;
}

/** The local table is asked first, then main, then default; within one, the lowest metric. */
function rank({ table, metric }: Route): number {
	return (table === RT_TABLE_LOCAL ? 0 : table === RT_TABLE_DEFAULT ? 2 : 1) * 2 ** 32 + metric;
}

function sameHop(one: Way | undefined, other: Way): boolean {
	if (one?.to === 'several' || other.to === 'several') return isDeepStrictEqual(one, other);
	return one?.to === other.to && one.gateway === other.gateway && one.mtu === other.mtu;
}

// linux/rtnetlink.h
export const RT_TABLE_DEFAULT = 253;
export const RT_TABLE_LOCAL = 255;
const RTN_UNICAST = 1;
const RTN_LOCAL = 2;
const RTN_BROADCAST = 3;
const RTN_ANYCAST = 4;
const RTN_MULTICAST = 5;
const RTN_BLACKHOLE = 6;
const RTN_UNREACHABLE = 7;
const RTN_PROHIBIT = 8;
