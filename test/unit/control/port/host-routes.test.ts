/** The host's routes and neighbours, as they are handed to the frame path. */
import test from 'ava';
import { hopsOf, routeChanges } from '../../../../src/control/port/host-routes.js';
import { NeighbourSlots } from '../../../../src/control/port/neighbour-slots.js';
import type { Hop } from '../../../../src/datapath/routing/routing.js';
import {
	NUD_FAILED,
	NUD_INCOMPLETE,
	NUD_REACHABLE,
	NUD_STALE,
} from '../../../../src/sys/netlink/neighbour.js';
import type { NextHop, Route } from '../../../../src/sys/netlink/route.js';

const devices = { master: 2, host: 9 };
const main = 254;

function route(dst: string, fields: Partial<Route> = {}): Route {
	const family = dst.includes(':') ? 'inet6' : 'inet';
	const { ifindex, gateway, nextHops } = { ifindex: 2, gateway: undefined, nextHops: undefined, ...fields };
	return {
		family,
		dst,
		src: undefined,
		mtu: undefined,
		table: main,
		protocol: 4,
		scope: 0,
		type: 1,
		metric: 0,
		...fields,
		ifindex,
		gateway,
		nextHops: nextHops ?? (ifindex === undefined ? [] : [nextHop(ifindex, { gateway })]),
	};
}

function nextHop(ifindex: number, fields: Partial<NextHop> = {}): NextHop {
	return { ifindex, gateway: undefined, dead: false, linkDown: false, weight: 1, ...fields };
}

test('several next hops, less those that are dead, and those without a carrier if there are others', t => {
	const of = (...nextHops: NextHop[]) =>
		hopsOf([route('10.0.0.0/8', { nextHops })], devices).get('10.0.0.0/8');
	const [a, b] = [nextHop(2, { gateway: '192.0.2.1', weight: 3 }), nextHop(2, { gateway: '192.0.2.3' })];
	const wire = (gateway: string): Hop => ({ to: 'wire', gateway });
	t.deepEqual(of(a, b, nextHop(3)), {
		to: 'several',
		of: [
			{ hop: wire('192.0.2.1'), weight: 3 },
			{ hop: wire('192.0.2.3'), weight: 1 },
			{ hop: { to: 'host' }, weight: 1 },
		],
	});
	t.deepEqual(of({ ...a, dead: true }, b), wire('192.0.2.3'));
	t.deepEqual(of(a, { ...b, linkDown: true }), wire('192.0.2.1'));
	t.deepEqual(of({ ...a, linkDown: true }), wire('192.0.2.1'), 'nothing better');
	t.is(of({ ...a, dead: true }), undefined);
	const before = hopsOf([route('10.0.0.0/8', { nextHops: [a, b] })], devices);
	const after = hopsOf([route('10.0.0.0/8', { nextHops: [a, { ...b, weight: 2 }] })], devices);
	t.deepEqual(routeChanges(before, before).add, []);
	t.is(routeChanges(before, after).add.length, 1);
});

test('where a route leads', t => {
	const hops = hopsOf(
		[
			route('0.0.0.0/0', { gateway: '192.0.2.1' }),
			route('192.0.2.0/24', { mtu: 1400 }),
			route('10.0.0.0/8', { ifindex: 3, gateway: '172.16.0.1' }),
			route('192.0.2.11/32', { ifindex: 9 }),
			route('192.0.2.2/32', { table: 255, type: 2 }),
			route('192.0.2.255/32', { table: 255, type: 3 }),
			route('127.0.0.1/32', { table: 255, type: 2, ifindex: 1 }),
			route('198.51.100.0/24', { type: 6, ifindex: undefined }),
			route('198.51.101.0/24', { type: 7, ifindex: undefined }),
			route('2001:db8:9::/64', { type: 7, ifindex: 1 }),
			route('198.51.102.0/24', { type: 8, ifindex: undefined }),
			route('198.51.103.0/24', { type: 9, ifindex: undefined }),
		],
		devices,
	);
	t.deepEqual(Object.fromEntries(hops), {
		'0.0.0.0/8': { to: 'blackhole' },
		'127.0.0.0/8': { to: 'blackhole' },
		'::/128': { to: 'blackhole' },
		'::1/128': { to: 'blackhole' },
		'0.0.0.0/0': { to: 'wire', gateway: '192.0.2.1' },
		'192.0.2.0/24': { to: 'wire', mtu: 1400 },
		'10.0.0.0/8': { to: 'host' },
		'192.0.2.2/32': { to: 'host' },
		'192.0.2.255/32': { to: 'not-routed' },
		'198.51.100.0/24': { to: 'blackhole' },
		'198.51.101.0/24': { to: 'unreachable' },
		'2001:db8:9::/64': { to: 'no-route' },
		'198.51.102.0/24': { to: 'prohibited' },
	});
});

test('of several routes to a prefix the local table wins, then the metric', t => {
	const to = (...routes: Route[]) => hopsOf(routes, devices).get('10.0.0.0/8');
	const cheap = route('10.0.0.0/8', { gateway: '192.0.2.1', metric: 100 });
	const dear = route('10.0.0.0/8', { gateway: '192.0.2.3', metric: 1024 });
	t.deepEqual(to(dear, cheap), { to: 'wire', gateway: '192.0.2.1' });
	t.deepEqual(to(cheap, dear), { to: 'wire', gateway: '192.0.2.1' });
	t.deepEqual(to(cheap, route('10.0.0.0/8', { table: 255, type: 2, metric: 9999 })), { to: 'host' });
	t.deepEqual(to(route('10.0.0.0/8', { table: 253 }), dear), { to: 'wire', gateway: '192.0.2.3' });
});

test('only what differs is told', t => {
	const before = hopsOf(
		[route('10.0.0.0/8'), route('10.1.0.0/16'), route('10.2.0.0/16', { mtu: 1400 })],
		devices,
	);
	const after = hopsOf([route('10.0.0.0/8'), route('10.2.0.0/16'), route('10.3.0.0/16')], devices);
	t.deepEqual(routeChanges(before, after), {
		add: [
			{ prefix: '10.2.0.0/16', hop: { to: 'wire' } },
			{ prefix: '10.3.0.0/16', hop: { to: 'wire' } },
		],
		remove: ['10.1.0.0/16'],
	});
	t.deepEqual(routeChanges(after, after), { add: [], remove: [] });
});

test('a neighbour has one slot for as long as it is known', t => {
	const slots = new NeighbourSlots();
	const entry = (address: string, mac: string | undefined, state: number) => ({
		family: 'inet' as const,
		ifindex: 2,
		address,
		mac,
		state,
	});
	const [one, two] = ['02:00:00:00:00:01', '02:00:00:00:00:02'];
	t.deepEqual(slots.update(entry('10.0.0.1', one, NUD_REACHABLE), false), {
		...{ kind: 'neighbour', address: '10.0.0.1', slot: 1, mac: one },
	});
	t.is(slots.update(entry('10.0.0.1', one, NUD_STALE), false), undefined);
	t.is(slots.update(entry('10.0.0.1', two, NUD_REACHABLE), false)?.slot, 1);
	t.is(slots.update(entry('10.0.0.2', one, NUD_STALE), false)?.slot, 2);

	const used = new Uint8Array(16).fill(1);
	t.deepEqual(slots.takeUsed(used), ['10.0.0.2'], 'who is known to live needs no proof');
	t.deepEqual(slots.takeUsed(used), [], 'and nobody uses it any more');

	t.deepEqual(slots.update(entry('10.0.0.1', two, NUD_FAILED), false), {
		...{ kind: 'neighbour', address: '10.0.0.1', slot: 1, failed: true },
	});
	t.is(slots.update(entry('10.0.0.3', one, NUD_REACHABLE), false)?.slot, 1, 'slots are used again');
	t.is(slots.update(entry('10.0.0.4', undefined, NUD_INCOMPLETE), false), undefined);
	t.true(slots.update(entry('10.0.0.4', undefined, NUD_FAILED), false)?.failed);
	t.deepEqual(
		slots.retain(new Set(['10.0.0.3'])).map(({ address, mac }) => [address, mac]),
		[['10.0.0.2', undefined]],
	);
});
