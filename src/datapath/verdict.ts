/**
 * What the forwarder decides for one frame, as one number:
 *
 *      0 … EDGES_MAX-1   deliver to that edge: 0 the wire, 1 the host slave, 2 and up the guests' slaves
 *      SLOW_…            hand to the slow path, and what for
 *      SLOW_REFUSE + n   drop for reason n of `dropReasons`, but let the slow path tell the sender by ICMP
 *      IGNORE            the host's own business: not ours to count as lost
 *      negative          drop; minus the verdict is an index into `dropReasons`
 */
export const EDGE_WIRE = 0;
export const EDGE_HOST = 1;
/** First number of a guest's slave. */
export const EDGE_SLAVES = 2;
/** Edges of one port: bounded so that every per-edge table is allocated once. */
export const EDGES_MAX = 4096;

/** Multicast or broadcast: copies for whoever wants one. */
export const SLOW_FANOUT = 0x10000;
/** ARP request or neighbour solicitation for the host's address: ipvtap answers in its place. */
export const SLOW_ANSWER = 0x10001;
/** From an address that the slave doesn't own yet, but may claim: it waits until the claim is decided. */
export const SLOW_CLAIM = 0x10002;
/** DHCP between a guest and a server: identities, leases, and for IPv4 MAC-NAT inside and replies by transaction id. */
export const SLOW_DHCP = 0x10003;
/** A guest's answer to a question that ipvtap itself asked, whether it still uses an address. */
export const SLOW_REFRESH = 0x10004;
/** ARP from the wire in which somebody else says that a slave's address is his, or one that nobody here has yet. */
export const SLOW_CONFLICT = 0x10005;
/** To be routed to the wire, but the next hop's MAC isn't known: wait for it. */
export const SLOW_RESOLVE = 0x10006;
/** To be routed to the wire, but longer than fits, and may be cut. */
export const SLOW_FRAGMENT = 0x10007;
/** A router advertisement for one slave alone. */
export const SLOW_ROUTER = 0x10008;
/** The first of the verdicts that `refuse` gives. */
export const SLOW_REFUSE = 0x11000;
export const IGNORE = 0x20000;

/** Names are part of `stats --json`: never rename, only append. */
export const dropReasons = [
	'none',
	'malformed',
	'bad-vnet-header',
	'vlan',
	'ethertype',
	'mac-spoof',
	'ip-spoof',
	'arp-spoof',
	'nd-spoof',
	'nd-hidden',
	'router-guard',
	'private',
	'reflected',
	'unknown-destination',
	'backlog-full',
	'backlog-budget',
	'receiver-full',
	'receiver-down',
	'too-big',
	'send-failed',
	'truncated',
	'ring-full',
	'own-address',
	'dhcp-spoof',
	'dhcp-conflict',
	'dhcp-guard',
	'address-quota',
	'gateway-address',
	'duplicate-address',
	'limit-tx',
	'limit-rx',
	'slow-budget',
	'learn-budget',
	'not-routed',
	'no-route',
	'unreachable',
	'prohibited',
	'beyond-scope',
	'blackhole',
	'ttl-exceeded',
	'unresolved',
	'off-link',
	'bad-checksum',
	'tentative',
] as const;

export type DropReason = (typeof dropReasons)[number];

/** The verdict that drops a frame for `reason`. Call it when a module loads, not per frame. */
export function drop(reason: DropReason): number {
	return -dropReasons.indexOf(reason);
}

/** The verdict that refuses a frame for `reason`, and has its sender told. Call it when a module loads, too. */
export function refuse(reason: DropReason): number {
	return SLOW_REFUSE + dropReasons.indexOf(reason);
}

export function isRefusal(verdict: number): boolean {
	return verdict >= SLOW_REFUSE && verdict < IGNORE;
}

/** A verdict in words, for traces and tests: `wire`, `host`, `edge 3`, `slow: fan out`, `drop: ip-spoof`. */
export function verdictName(verdict: number): string {
	if (verdict < 0) return `drop: ${dropReasons[-verdict] ?? 'unknown'}`;
	if (verdict === EDGE_WIRE) return 'wire';
	if (verdict === EDGE_HOST) return 'host';
	if (verdict < EDGES_MAX) return `edge ${verdict}`;
	if (isRefusal(verdict)) return `refuse: ${dropReasons[verdict - SLOW_REFUSE] ?? 'unknown'}`;
	return slowNames.get(verdict) ?? `verdict ${verdict}`;
}

const slowNames = new Map([
	[SLOW_FANOUT, 'slow: fan out'],
	[SLOW_ANSWER, 'slow: answer'],
	[SLOW_CLAIM, 'slow: claim'],
	[SLOW_DHCP, 'slow: dhcp'],
	[SLOW_REFRESH, 'slow: refresh'],
	[SLOW_CONFLICT, 'slow: conflict'],
	[SLOW_RESOLVE, 'slow: resolve'],
	[SLOW_FRAGMENT, 'slow: fragment'],
	[SLOW_ROUTER, 'slow: router'],
	[IGNORE, 'ignore'],
]);
