/** The host slave of a daemon before this one: gone on with as far as it is what it should be, and replaced otherwise. */

import test from 'ava';
import pino from 'pino';
import { HostSlave } from '../../../src/control/port/host-slave.js';
import { addAddress, listAddresses } from '../../../src/sys/netlink/address.js';
import {
	createVeth,
	deleteLink,
	getLink,
	IFF_NOARP,
	requireLink,
	setLink,
} from '../../../src/sys/netlink/link.js';
import { addRoute, listRoutes } from '../../../src/sys/netlink/route.js';
import { enterFreshNamespace } from '../../helpers/in-namespace.js';

const context = { log: pino({ level: 'silent' }), isTaken: () => false };
const addresses = () => listAddresses(requireLink('eth0').ifindex);

test.before(() => {
	enterFreshNamespace();
	createVeth({ name: 'eth0', peer: 'far', mac: '02:1a:00:00:00:02' });
	for (const device of ['far', 'eth0']) setLink(device, { up: true });
	addAddress({ ifindex: requireLink('eth0').ifindex, address: '192.0.2.2', prefix: 24 });
});

/** One with a route, and nobody to close it. */
function abandoned(): HostSlave {
	const slave = new HostSlave(requireLink('eth0'), context);
	slave.up();
	slave.setHostAddresses(addresses());
	slave.addRoute('192.0.2.11');
	slave.addRoute('192.0.2.12');
	slave.settle();
	return slave;
}

test.serial('devices, routes and settings are taken over, and what is wanted no more goes', t => {
	const before = abandoned();
	addAddress({ ifindex: before.ifindex, address: 'fe80::bad', prefix: 64, nodad: true });
	setLink(before.ifindex, { mtu: 1400, mac: '02:00:00:00:00:77', noarp: false });

	const slave = new HostSlave(requireLink('eth0'), context);
	slave.up();
	t.deepEqual([slave.ifindex, slave.peer], [before.ifindex, before.peer]);
	const { mtu, mac, flags } = requireLink(slave.ifindex);
	t.deepEqual([mtu, mac, flags & IFF_NOARP], [1500, '02:1a:00:00:00:02', IFF_NOARP]);
	slave.setHostAddresses(addresses());
	t.false(listAddresses(slave.ifindex).some(({ address }) => address === 'fe80::bad'));
	t.deepEqual(
		routes(slave),
		['192.0.2.11/32', '192.0.2.12/32'],
		'until it settles the host reaches everybody',
	);
	slave.addRoute('192.0.2.12');
	slave.addRoute('2001:db8::12');
	slave.settle();
	t.deepEqual(routes(slave), ['192.0.2.12/32', '2001:db8::12/128']);
	slave.removeRoute('192.0.2.12');
	t.deepEqual(routes(slave), ['2001:db8::12/128']);
	slave.close();
	t.is(getLink('ipvh-eth0'), undefined);
});

test.serial('a pair of which an end was renamed is replaced', t => {
	const before = abandoned();
	setLink(before.peer, { up: false, name: 'other' });
	const slave = new HostSlave(requireLink('eth0'), context);
	t.not(slave.ifindex, before.ifindex);
	t.is(getLink('other'), undefined);
	slave.addRoute('192.0.2.11');
	slave.close();
});

test.serial('one that was deleted is made anew', t => {
	deleteLink(abandoned().ifindex);
	const slave = new HostSlave(requireLink('eth0'), context);
	slave.up();
	slave.addRoute('192.0.2.11');
	t.deepEqual(routes(slave), ['192.0.2.11/32']);
	slave.close();
});

test.serial("somebody else's device of that name stays, and is named", t => {
	createVeth({ name: 'ipvp-eth0', peer: 'theirs' });
	t.throws(() => new HostSlave(requireLink('eth0'), context), { code: 'conflict', message: /ipvh-eth0/ });
	t.truthy(getLink('theirs'));
	deleteLink('theirs');
});

test.serial('a master that was renamed has a host slave of its old name', t => {
	const before = abandoned();
	setLink('eth0', { up: false, name: 'lan0' });
	setLink('lan0', { up: true });
	const slave = new HostSlave(requireLink('lan0'), context, before.name);
	t.deepEqual([slave.name, slave.ifindex], ['ipvh-eth0', before.ifindex]);
	slave.close();
	t.is(getLink('ipvh-eth0'), undefined);
});

test.serial("a route of the host's own stays its own", t => {
	const master = requireLink('lan0');
	addRoute({ dst: '192.0.2.13', ifindex: master.ifindex, protocol: 3 });
	const slave = new HostSlave(master, context);
	slave.up();
	slave.addRoute('192.0.2.13');
	t.deepEqual(routes(slave), []);
	slave.close();
	t.true(listRoutes({ protocol: 3 }).some(({ dst }) => dst === '192.0.2.13/32'));
});

function routes({ ifindex }: HostSlave): string[] {
	return listRoutes({ protocol: 151 })
		.filter(route => route.ifindex === ifindex)
		.map(({ dst }) => dst)
		.sort();
}
