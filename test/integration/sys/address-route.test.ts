import test from 'ava';
import * as addresses from '../../../src/sys/netlink/address.js';
import { createVeth, requireLink, setLink } from '../../../src/sys/netlink/link.js';
import { listNeighbours, NUD_PERMANENT } from '../../../src/sys/netlink/neighbour.js';
import * as routes from '../../../src/sys/netlink/route.js';
import { enterFreshNamespace, run } from '../../helpers/in-namespace.js';

let ifindex = 0;

test.before(() => {
	enterFreshNamespace();
	setLink('lo', { up: true });
	createVeth({ name: 'v0', peer: 'v1' });
	setLink('v0', { up: true, addrGenModeNone: true });
	setLink('v1', { up: true, addrGenModeNone: true });
	ifindex = requireLink('v0').ifindex;
});
test.afterEach.always(() => {
	run('ip', 'address', 'flush', 'dev', 'v0');
	run('ip', 'route', 'flush', 'table', 'all', 'dev', 'v0', 'proto', String(routes.RTPROT_IPVTAP));
	run('ip', '-6', 'route', 'flush', 'table', 'all', 'dev', 'v0', 'proto', String(routes.RTPROT_IPVTAP));
});

test.serial('an address is added, listed as `ip` lists it, and deleted', t => {
	addresses.addAddress({ ifindex, address: '10.0.0.1', prefix: 24 });
	addresses.addAddress({ ifindex, address: 'fd00::1', prefix: 64, nodad: true, noprefixroute: true });
	t.deepEqual(
		addresses
			.listAddresses(ifindex)
			.map(({ family, address, prefix, valid }) => ({ family, address, prefix, valid })),
		[
			{ family: 'inet', address: '10.0.0.1', prefix: 24, valid: Number.POSITIVE_INFINITY },
			{ family: 'inet6', address: 'fd00::1', prefix: 64, valid: Number.POSITIVE_INFINITY },
		],
	);
	const wanted = addresses.IFA_F_NODAD | addresses.IFA_F_NOPREFIXROUTE | addresses.IFA_F_PERMANENT;
	t.is(addresses.listAddresses(ifindex)[1]?.flags, wanted);
	t.regex(run('ip', '-4', 'address', 'show', 'v0'), /inet 10\.0\.0\.1\/24 scope global v0/);
	t.is(run('ip', '-6', 'route', 'show', 'dev', 'v0', 'proto', 'kernel'), '');
	t.true(addresses.listAddresses().some(({ address }) => address === '127.0.0.1'));
	t.throws(() => addresses.addAddress({ ifindex, address: '10.0.0.1', prefix: 24 }), { code: 'conflict' });
	t.true(addresses.deleteAddress({ ifindex, address: '10.0.0.1', prefix: 24 }));
	t.false(addresses.deleteAddress({ ifindex, address: '10.0.0.1', prefix: 24 }));
	t.false(addresses.deleteAddress({ ifindex: 4711, address: '10.0.0.1', prefix: 24 }));
});

test.serial('lifetimes are in seconds, and the near end of a point-to-point link is ours', t => {
	run('ip', 'address', 'add', 'fd00::2/64', 'dev', 'v0', 'valid_lft', '600', 'preferred_lft', '300');
	run('ip', 'address', 'add', '10.1.0.1', 'peer', '10.1.0.2', 'dev', 'v0', 'scope', 'link');
	const [near, timed] = addresses.listAddresses(ifindex);
	t.like(near, { address: '10.1.0.1', prefix: 32, scope: addresses.RT_SCOPE_LINK });
	t.true(timed!.valid > 590 && timed!.valid <= 600 && timed!.preferred > 290 && timed!.preferred <= 300);
});

test.serial('a route is made, found again by protocol among the others, and deleted', t => {
	addresses.addAddress({ ifindex, address: '10.0.0.1', prefix: 24 });
	routes.addRoute({ dst: '10.9.9.9', ifindex, src: '10.0.0.1' });
	routes.addRoute({ dst: 'fd00::9/128', ifindex });
	routes.addRoute({ dst: '10.8.0.0/16', ifindex, table: 1000, metric: 7, gateway: '10.0.0.9' });
	t.is(run('ip', 'route', 'show', '10.9.9.9').trim(), '10.9.9.9 dev v0 proto 151 scope link src 10.0.0.1');
	t.is(
		run('ip', 'route', 'show', 'table', '1000').trim(),
		'10.8.0.0/16 via 10.0.0.9 dev v0 proto 151 metric 7',
	);
	const ours = () =>
		routes.listRoutes({ protocol: routes.RTPROT_IPVTAP }).map(route => `${route.dst} ${route.table}`);
	t.deepEqual(ours(), ['10.8.0.0/16 1000', '10.9.9.9/32 254', 'fd00::9/128 254']);
	t.deepEqual(routes.listRoutes({ table: 1000 }).length, 1);
	t.deepEqual(routes.listRoutes({ table: 4711 }), []);
	t.throws(() => routes.addRoute({ dst: '10.9.9.9/32', ifindex }), {
		code: 'conflict',
		message: /add route 10.9.9.9/,
	});
	routes.replaceRoute({ dst: '10.9.9.9/32', ifindex });
	t.is(run('ip', 'route', 'show', '10.9.9.9').trim(), '10.9.9.9 dev v0 proto 151 scope link');
	for (const dst of ['10.9.9.9', 'fd00::9']) {
		t.true(routes.deleteRoute({ dst, ifindex }));
		t.false(routes.deleteRoute({ dst, ifindex }));
	}
	t.deepEqual(ours(), ['10.8.0.0/16 1000']);
});

test.serial('somebody else’s route is never deleted', t => {
	run('ip', 'route', 'add', '10.7.7.7/32', 'dev', 'v0');
	run('ip', '-6', 'route', 'add', 'fd00::7/128', 'dev', 'v0');
	t.false(routes.deleteRoute({ dst: '10.7.7.7', ifindex }));
	t.false(routes.deleteRoute({ dst: 'fd00::7', ifindex }));
	run('ip', 'route', 'del', '10.7.7.7/32', 'dev', 'v0');
	run('ip', '-6', 'route', 'del', 'fd00::7/128', 'dev', 'v0');
});

test.serial('a lookup answers as `ip route get` does', t => {
	addresses.addAddress({ ifindex, address: '10.0.0.1', prefix: 24 });
	t.is(routes.getRoute('192.0.2.1'), undefined);
	t.is(routes.getRoute('2001:db8::1'), undefined);
	t.is(routes.defaultRouteInterface(), undefined);
	run('ip', 'route', 'add', 'default', 'via', '10.0.0.254', 'dev', 'v0', 'metric', '50');
	t.like(routes.getRoute('192.0.2.1'), { ifindex, gateway: '10.0.0.254', src: '10.0.0.1', type: 1 });
	t.like(routes.getRoute('10.0.0.7'), { ifindex, gateway: undefined, src: '10.0.0.1' });
	t.like(routes.getRoute('10.0.0.1'), { ifindex: 1, type: 2 });
	t.is(routes.defaultRouteInterface(), ifindex);
	run('ip', 'route', 'add', 'blackhole', '192.0.2.2');
	run('ip', 'route', 'add', 'prohibit', '192.0.2.3');
	t.is(routes.getRoute('192.0.2.2'), undefined);
	t.is(routes.getRoute('192.0.2.3'), undefined);
	t.throws(() => routes.getRoute('10.0.0.0/8'), { code: 'usage' });
});

test.serial('of several default routes that with the lowest metric counts, IPv4 first', t => {
	const other = requireLink('v1').ifindex;
	run('ip', '-6', 'route', 'add', 'default', 'dev', 'v0', 'metric', '1');
	t.is(routes.defaultRouteInterface(), ifindex);
	run('ip', 'route', 'add', 'default', 'dev', 'v0', 'metric', '200');
	run('ip', 'route', 'add', 'default', 'dev', 'v1', 'metric', '100');
	t.is(routes.defaultRouteInterface(), other);
});

test.serial('neighbours of the device, and only of it', t => {
	run('ip', 'neighbour', 'add', '10.0.0.5', 'lladdr', '02:00:00:00:00:05', 'dev', 'v0', 'nud', 'permanent');
	run('ip', 'neighbour', 'add', '10.0.0.6', 'lladdr', '02:00:00:00:00:06', 'dev', 'v1', 'nud', 'permanent');
	t.deepEqual(
		listNeighbours(ifindex).filter(({ state }) => state === NUD_PERMANENT),
		[{ family: 'inet', ifindex, address: '10.0.0.5', mac: '02:00:00:00:00:05', state: NUD_PERMANENT }],
	);
});
