/** The host's routes: ours, by protocol number, and everybody's, to look at (rtnetlink(7)). */
import { IpvtapError } from '../../errors.js';
import { RT_SCOPE_LINK, RT_SCOPE_UNIVERSE } from './address.js';
import { unless } from './error.js';
import { attribute, type Message, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE, u32 } from './message.js';
import {
	parseRoute,
	protocolOf,
	type Route,
	RTA_DST,
	RTA_GATEWAY,
	RTA_OIF,
	RTA_PREFSRC,
	RTA_PRIORITY,
	RTA_TABLE,
} from './route-message.js';
import { dump, request } from './socket.js';
import { type Family, familyNumber, ipBytes, parsePrefix } from './text.js';

export type { NextHop, Route } from './route-message.js';

/**
 * Marks the routes that are ours, so that a restart finds them and nothing else is ever deleted. The kernel hands
 * protocol numbers above 4 through unread; 151 is taken neither in linux/rtnetlink.h (0-18, 42, 84, 99, 186-192) nor in
 * iproute2's rt_protos, FRR (193-198) or Calico (80). `ip route show proto 151` lists them.
 */
export const RTPROT_IPVTAP = 151;
export const RT_TABLE_MAIN = 254;

export interface RouteOptions {
	/** `10.0.0.5/32`, or an address alone. */
	dst: string;
	ifindex: number;
	/** Source address that the host is to prefer; must be its own. */
	src?: string;
	gateway?: string;
	/** RT_SCOPE_*, IPv4 only; by default link without a gateway, universe with one. */
	scope?: number;
	/** Default RTPROT_IPVTAP. */
	protocol?: number;
	/** The lower wins; by default 0 in IPv4, 1024 in IPv6, the kernel's choice. */
	metric?: number;
	/** Default RT_TABLE_MAIN. */
	table?: number;
}

/** @throws NetlinkError: `conflict` if there is such a route, `not-found`, `permission`; IpvtapError `usage`. @syscalls netlink */
export function addRoute(route: RouteOptions): void {
	request(`add route ${route.dst}`, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, routeBody(route, RTN_UNICAST));
}

/** Adds a route, or takes the place of that to the same prefix with the same metric, whoever made it. @throws as `addRoute`. @syscalls netlink */
export function replaceRoute(route: RouteOptions): void {
	request(
		`set route ${route.dst}`,
		RTM_NEWROUTE,
		NLM_F_CREATE | NLM_F_REPLACE,
		routeBody(route, RTN_UNICAST),
	);
}

/** Deletes a route with this prefix, device and protocol. @returns false if there was none. @throws NetlinkError. @syscalls netlink */
export function deleteRoute(route: RouteOptions): boolean {
	const body = routeBody({ ...route, scope: route.scope ?? RT_SCOPE_NOWHERE }, 0);
	return unless(['ESRCH', 'ENODEV'], () => request(`delete route ${route.dst}`, RTM_DELROUTE, 0, body));
}

export interface RouteFilter {
	table?: number;
	protocol?: number;
	/** A protocol whose routes are left out, for nearly nothing. */
	notProtocol?: number;
	family?: Family;
}

/**
 * Routes that match. Since Linux 4.20 the kernel itself does the choosing, so ours are found quickly among a
 * router's million; what an older one sends beside them is filtered here.
 * @throws NetlinkError. @syscalls netlink
 */
export function listRoutes({ table, protocol, notProtocol, family }: RouteFilter = {}): Route[] {
	const families: Family[] = family === undefined ? ['inet', 'inet6'] : [family];
	return families
		.flatMap(family => dumpRoutes(family, table, protocol))
		.filter(message => notProtocol === undefined || protocolOf(message) !== notProtocol)
		.map(parseRoute)
		.filter(route => route !== undefined)
		.filter(route => table === undefined || route.table === table)
		.filter(route => protocol === undefined || route.protocol === protocol);
}

/** How the host would send to `address`: device, gateway, source. undefined if it wouldn't. @throws NetlinkError; IpvtapError `usage`. @syscalls netlink */
export function getRoute(address: string): Route | undefined {
	const { family, bytes, length } = parsePrefix(address);
	if (length !== bytes.length * 8)
		throw new IpvtapError('usage', `look up the route to ${address}: not one address`);
	const body = Buffer.concat([rtmsg(family, length, 0, 0, 0, 0), attribute(RTA_DST, bytes)]);
	let route: Route | undefined;
	unless(['ENETUNREACH', 'EHOSTUNREACH', 'EACCES', 'EINVAL'], () => {
		const [message] = request(`look up the route to ${address}`, RTM_GETROUTE, 0, body);
		route = message && parseRoute(message);
	});
	return route;
}

/** ifindex of the device of the best default route, IPv4's before IPv6's; undefined without one. @throws NetlinkError. @syscalls netlink */
export function defaultRouteInterface(): number | undefined {
	for (const family of ['inet', 'inet6'] as const) {
		const [best] = listRoutes({ table: RT_TABLE_MAIN, family })
			.filter(route => route.dst.endsWith('/0') && route.type === RTN_UNICAST && route.ifindex !== undefined)
			.sort((a, b) => a.metric - b.metric);
		if (best !== undefined) return best.ifindex;
	}
	return undefined;
}

function dumpRoutes(family: Family, table: number | undefined, protocol: number | undefined): Message[] {
	const body = Buffer.concat([
		rtmsg(family, 0, 0, protocol ?? 0, 0, 0),
		...(table === undefined ? [] : [attribute(RTA_TABLE, u32(table))]),
	]);
	let messages: Message[] = [];
	// ENOENT: no such table; EOPNOTSUPP: a kernel without IPv6.
	unless(['ENOENT', 'EOPNOTSUPP'], () => {
		messages = dump('list the routes', RTM_GETROUTE, body);
	});
	return messages;
}

function routeBody(route: RouteOptions, type: number): Buffer {
	const { family, bytes, length } = parsePrefix(route.dst);
	const { ifindex, src, gateway, metric, table = RT_TABLE_MAIN, protocol = RTPROT_IPVTAP } = route;
	const scope = family === 'inet6' ? 0 : (route.scope ?? (gateway ? RT_SCOPE_UNIVERSE : RT_SCOPE_LINK));
	return Buffer.concat([
		// Tables above 255 don't fit here; RTA_TABLE below overrides.
		rtmsg(family, length, table > 255 ? 0 : table, protocol, scope, type),
		attribute(RTA_DST, bytes),
		attribute(RTA_OIF, u32(ifindex)),
		attribute(RTA_TABLE, u32(table)),
		...(src === undefined ? [] : [attribute(RTA_PREFSRC, ipBytes(src))]),
		...(gateway === undefined ? [] : [attribute(RTA_GATEWAY, ipBytes(gateway))]),
		...(metric === undefined ? [] : [attribute(RTA_PRIORITY, u32(metric))]),
	]);
}

function rtmsg(
	family: Family,
	length: number,
	table: number,
	protocol: number,
	scope: number,
	type: number,
): Buffer {
	return Buffer.from([familyNumber(family), length, 0, 0, table, protocol, scope, type, 0, 0, 0, 0]);
}

// linux/rtnetlink.h
const RTM_NEWROUTE = 24;
const RTM_DELROUTE = 25;
const RTM_GETROUTE = 26;
export const RTN_UNICAST = 1;
const RT_SCOPE_NOWHERE = 255;
