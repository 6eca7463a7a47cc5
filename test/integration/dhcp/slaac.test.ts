/** IPv6 as guests configure it by themselves: SLAAC with privacy addresses, what a router says, DAD and NUD. */
import test from 'ava';
import { lanMembers } from '../../../src/lab/lan.js';
import type { Namespace } from '../../../src/lab/namespace.js';
import { until } from '../../../src/lab/wait.js';
import { type DhcpGuest, Place } from './place.js';

const advertised = `
AdvLinkMTU 1400;
prefix 2001:db8:1::/64 { AdvOnLink on; AdvAutonomous on; };
route 2001:db8:77::/48 { };`;
const withPrivacy = {
	sysctl: {
		'net.ipv6.conf.eth0.use_tempaddr': 2,
		'net.ipv6.conf.eth0.accept_ra_rt_info_max_plen': 64,
	},
};

test('addresses from the router’s prefix, the private ones preferred; its MTU and routes', async t => {
	const place = await Place.create(t, 'slaac', { dnsmasq: [] });
	await place.radvd(advertised);
	const names = ['vm1', 'vm2'];
	const guests = await Promise.all(names.map(name => place.guest(t, name, [], withPrivacy)));
	const own = await Promise.all(guests.map(guest => addressesOf(guest)));
	for (const [index, guest] of guests.entries()) {
		const { temporary, lasting } = own[index] as Addresses;
		const stack = guest.stack;
		for (const address of [temporary, lasting]) {
			await place.lan.laptop.exec('ping', ['-c', '2', '-i', '0.1', '-W', '2', address]);
			const other = own[1 - index] as Addresses;
			await stack.exec('ping', ['-c', '2', '-i', '0.1', '-W', '2', '-I', address, other.lasting]);
		}
		await place.reachesAll(guest, 6);
		const route = await stack.exec('ip', ['-6', 'route', 'get', lanMembers.laptop.ipv6]);
		t.true(route.includes(`src ${temporary}`), 'the private address speaks');
		t.is((await stack.exec('cat', ['/proc/sys/net/ipv6/conf/eth0/mtu'])).trim(), '1400');
		t.regex(await stack.exec('ip', ['-6', 'route', 'show', '2001:db8:77::/48']), /via fe80::.* proto ra/);
		const { addresses } = await place.product.json<{ addresses: { address: string; origin: string }[] }>(
			'show',
			guest.name,
		);
		const learned = addresses.filter(({ origin }) => origin === 'learned').map(({ address }) => address);
		t.true(learned.includes(temporary) && learned.includes(lasting));
		const refused = Object.keys(await place.drops(guest.name)).filter(reason => reason.includes('spoof'));
		t.deepEqual(refused, []);
	}
	await place.onlyTheMaster(t);
});

test('a switch that sends everything back fails nobody’s duplicate address detection, and true duplicates fail', async t => {
	const place = await Place.create(t, 'dad', { dnsmasq: [] });
	await place.lan.reflect();
	const first = await place.guest(t, 'vm1');
	const second = await place.guest(t, 'vm2');
	const own = '2001:db8:1::a1';
	await first.stack.addAddress(`${own}/64`);
	await second.stack.addAddress('2001:db8:1::a2/64');
	await Promise.all([first, second].map(guest => guest.stack.addressesReady()));
	t.true(((await place.drops('eth0')).reflected ?? 0) > 0, 'the switch did send back');

	// What another guest has, what somebody on the LAN has, what the host has, and another guest's link-local one.
	const linkLocal = 'fe80::42';
	await first.stack.addAddress(`${linkLocal}/64`);
	await first.stack.addressesReady();
	const { laptop, host } = lanMembers;
	for (const address of [own, laptop.ipv6, host.ipv6, linkLocal]) {
		await second.stack.addAddress(`${address}/64`);
		await until(`${address} to be found a duplicate`, 10_000, () => hasFailed(second, address));
	}
	t.false(await hasFailed(first, own));
	t.false(await hasFailed(first, linkLocal));
	// And the other way round: a station on the LAN that wants a guest's address is told that it is taken.
	await place.lan.laptop.sysctl({
		'net.ipv6.conf.eth0.accept_dad': 1,
		'net.ipv6.conf.eth0.dad_transmits': 1,
	});
	await place.lan.laptop.ip(`address add ${own}/64 dev eth0`);
	const atLaptop = async () =>
		/dadfailed/.test(await place.lan.laptop.exec('ip', ['-6', 'address', 'show', 'to', own]));
	await until('the laptop to find a duplicate', 10_000, atLaptop);
	await place.lan.router.exec('ping', ['-c', '2', '-i', '0.1', '-W', '2', own]);
	await place.onlyTheMaster(t);
});

test('neighbours are found to be reachable in both directions, guest, LAN and host', async t => {
	const place = await Place.create(t, 'nud', { dnsmasq: [] });
	const guests = await Promise.all(['vm1', 'vm2'].map(name => place.guest(t, name)));
	const [a, b] = ['2001:db8:1::b1', '2001:db8:1::b2'] as const;
	await guests[0]?.stack.addAddress(`${a}/64`);
	await guests[1]?.stack.addAddress(`${b}/64`);
	await Promise.all(guests.map(guest => guest.stack.addressesReady()));
	const [one, two] = guests.map(({ stack }) => stack.namespace) as [Namespace, Namespace];
	const { laptop, router, host } = lanMembers;
	const pairs: [Namespace, string][] = [
		[one, laptop.ipv6],
		[one, router.ipv6],
		[one, host.ipv6],
		[one, b],
		[two, a],
		[place.lan.laptop, a],
		[place.lan.router, b],
	];
	for (const [from, to] of pairs) {
		await from.exec('ping', ['-c', '1', '-W', '2', to]);
		// Stale, and then asked in unicast whether it is still there: nothing else confirms it meanwhile.
		await from.ip(`neigh change ${to} dev eth0 nud stale`, `neigh change ${to} dev eth0 nud probe`);
		const state = () => from.exec('ip', ['neigh', 'show', to, 'dev', 'eth0']);
		await until(`${to} to be reachable from ${from.name}`, 8000, async () =>
			/ REACHABLE/.test(await state()),
		);
	}
	// From stale by itself: traffic, five seconds of delay (here one), and the probe (RFC 4861, 7.3.2).
	await one.sysctl({ 'net.ipv6.neigh.eth0.delay_first_probe_time': 1 });
	await one.ip(`neigh change ${laptop.ipv6} dev eth0 nud stale`);
	await one.exec('ping', ['-c', '1', '-W', '2', laptop.ipv6]);
	const seen = () => one.exec('ip', ['neigh', 'show', laptop.ipv6, 'dev', 'eth0']);
	await until('the laptop to be reachable again', 8000, async () => / REACHABLE/.test(await seen()));
	await place.onlyTheMaster(t);
	t.pass();
});

interface Addresses {
	temporary: string;
	lasting: string;
}

/** Waits for the guest's two addresses from the prefix. */
function addressesOf(guest: DhcpGuest): Promise<Addresses> {
	return until(`the addresses of ${guest.name}`, 20_000, async () => {
		const lines = (
			await guest.stack.exec('ip', ['-6', '-o', 'address', 'show', 'scope', 'global', '-tentative'])
		)
			.split('\n')
			.filter(line => line.includes('2001:db8:1:'));
		const find = (is: boolean) =>
			/inet6 ([^/]+)/.exec(lines.find(line => line.includes(' temporary ') === is) ?? '')?.[1];
		const [temporary, lasting] = [find(true), find(false)];
		return temporary && lasting ? { temporary, lasting } : undefined;
	});
}

async function hasFailed({ stack }: DhcpGuest, address: string): Promise<boolean> {
	return /dadfailed/.test(await stack.exec('ip', ['-6', 'address', 'show', 'dev', 'eth0', 'to', address]));
}
