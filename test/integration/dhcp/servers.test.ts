/** Servers as they are met: strict and forgetful ones, two at once, behind a relay, and one in a guest. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import type { Slave } from '../../../src/control/model.js';
import { staticBusybox } from '../../../src/lab/busybox.js';
import { Namespace } from '../../../src/lab/namespace.js';
import { until } from '../../../src/lab/wait.js';
import { Place } from './place.js';

const range = (first: number, last: number) =>
	`--dhcp-range=192.0.2.${first},192.0.2.${last},255.255.255.0,2m`;

test('a server that ignores client identifiers: by broadcast, everybody gets an address of its own', async t => {
	const place = await Place.create(t, 'ig', {
		dnsmasq: [range(100, 150), '--dhcp-authoritative', '--dhcp-ignore-clid'],
	});
	const first = await place.guest(t, 'vm1');
	await place.client(t, 'udhcpc', first, 4);
	const { address } = await place.leased(first, 4);
	const second = await place.guest(t, 'vm2');
	await place.client(t, 'udhcpc', second, 4);
	const other = await place.leased(second, 4);
	t.not(other.address, address);
	await Promise.all([first, second].map(guest => place.reachesAll(guest, 4)));
	t.true(((await place.drops('eth0'))['dhcp-conflict'] ?? 0) > 0);
	await place.onlyTheMaster(t);
});

test('two servers; then one with another pool, which refuses what the guest remembers', async t => {
	const place = await Place.create(t, 'two', { dnsmasq: [] });
	const { router, laptop } = place.lan;
	const servers = [
		await place.lan.dnsmasq(router, [range(100, 120)]),
		await place.lan.dnsmasq(laptop, [range(130, 150)]),
	];
	const guest = await place.guest(t, 'vm1');
	const client = await place.client(t, 'dhclient', guest, 4);
	const { address } = await place.leased(guest, 4);
	await place.reachesAll(guest, 4);
	const offers = servers.map(({ log }) => log.filter(line => line.includes('DHCPOFFER')).length);
	t.true(
		offers.every(count => count > 0),
		'both have answered',
	);

	// Its power is cut: it remembers its lease, and asks for that address when it comes back (INIT-REBOOT).
	await client.stop('SIGKILL');
	for (const { process } of servers) process.kill('SIGTERM');
	const { log } = await place.lan.dnsmasq(router, [range(160, 170), '--dhcp-authoritative']);
	const again = await place.client(t, 'dhclient', guest, 4);
	const moved = await place.leased(guest, 4, entry => entry.address !== address);
	t.regex(again.log.join('\n'), new RegExp(`DHCPREQUEST for ${address}[^]*DHCPNAK[^]*DHCPDISCOVER`));
	t.true(log.some(line => line.includes(`DHCPNAK(eth0) ${address} `)));
	t.deepEqual(
		(await place.leases(guest, 4)).map(entry => entry.address),
		[moved.address],
		'the old one is gone',
	);
	await place.reachesAll(guest, 4);
	// And once more: what it remembers is right this time.
	await again.stop('SIGKILL');
	const third = await place.client(t, 'dhclient', guest, 4);
	await until('the lease to be confirmed', 10_000, () => third.log.some(line => line.includes('REBOOT')));
	t.false(third.log.some(line => line.includes('DISCOVER')));
	t.is((await place.leased(guest, 4)).address, moved.address);
	await place.onlyTheMaster(t);
});

test('a lease that nobody renews ends', async t => {
	const place = await Place.create(t, 'end', { dnsmasq: [] });
	const conf = join(place.lan.folder, 'udhcpd.conf');
	const leases = join(place.lan.folder, 'udhcpd.leases');
	writeFileSync(leases, '');
	writeFileSync(
		conf,
		`start 192.0.2.100\nend 192.0.2.110\ninterface eth0\nlease_file ${leases}\noption lease 4\nmin_lease 1\noption subnet 255.255.255.0\n`,
	);
	const server = place.lan.router.spawn(await staticBusybox(), ['udhcpd', '-f', '-I', '192.0.2.1', conf], {
		stdio: 'ignore',
	});
	t.teardown(() => server.kill());
	const guest = await place.guest(t, 'vm1', []);
	// The client gets its lease and stops at once (-q), without giving it back.
	await place.client(t, 'udhcpc', guest, 4, { more: ['-q'] });
	const { address, expires = '' } = await place.leased(guest, 4);
	await guest.stack.exec('ip', ['address', 'flush', 'dev', 'eth0', 'scope', 'global']);
	await place.lost(guest, 4);
	t.true(Date.now() >= Date.parse(expires), 'not before its time');
	t.notRegex((await place.product.ipvtap(['list'])).stdout, new RegExp(address));
});

test('a relay agent on the LAN, and the server behind it', async t => {
	const place = await Place.create(t, 'rel', { dnsmasq: [] });
	const server = await Namespace.create('relserver');
	t.teardown(() => server.delete());
	await place.lan.router.ip(`link add far type veth peer name eth0 netns ${server.name}`, 'link set far up');
	await place.lan.router.ip('address add 198.51.100.1/24 dev far');
	await place.lan.router.ip('address add 2001:db8:2::1/64 dev far nodad');
	await server.ip('link set eth0 up', 'address add 198.51.100.2/24 dev eth0');
	await server.ip('address add 2001:db8:2::2/64 dev eth0 nodad', 'route add default via 198.51.100.1');
	await server.ip('route add default via 2001:db8:2::1');
	const { log } = await place.lan.dnsmasq(server, [
		range(100, 150),
		'--dhcp-range=2001:db8:1::100,2001:db8:1::1ff,64,2m',
	]);
	await place.lan.dnsmasq(place.lan.router, [
		'--dhcp-relay=192.0.2.1,198.51.100.2',
		'--dhcp-relay=2001:db8:1::1,2001:db8:2::2',
	]);
	await place.radvd('AdvManagedFlag on; prefix 2001:db8:1::/64 { AdvAutonomous off; };');
	const guests = [await place.guest(t, 'vm1', [], noAutoconf), await place.guest(t, 'vm2', [], noAutoconf)];
	await Promise.all(guests.map(guest => place.client(t, 'dhclient', guest, 4)));
	const leases = await Promise.all(guests.map(guest => place.leased(guest, 4)));
	t.is(new Set(leases.map(({ address }) => address)).size, 2);
	await place.client(t, 'dhcpcd', guests[0]!, 6);
	const { address } = await place.leased(guests[0]!, 6);
	t.regex(address, /^2001:db8:1::1/);
	t.true(log.some(line => line.includes('DHCPACK')));
	await place.reachesAll(guests[1]!, 4);
	await place.onlyTheMaster(t);
});

test('a guest is the server, if that was allowed: of other guests and of the LAN', async t => {
	const place = await Place.create(t, 'gs', { dnsmasq: [] });
	const addresses = ['192.0.2.10/24', '2001:db8:1::10/64'];
	const attach = ['--ip', '192.0.2.10', '--ip', '2001:db8:1::10'];
	const server = await place.guest(t, 'server', attach, { addresses, dad: false });
	const allow = async (what: string) =>
		(await place.product.json<Slave>('set', 'server', '--allow', what)).allow;
	t.deepEqual(await allow('router,dhcp-server'), ['dhcp-server', 'router']);
	await place.lan.dnsmasq(server.stack.namespace, [
		range(100, 150),
		'--dhcp-authoritative',
		'--enable-ra',
		'--dhcp-range=2001:db8:1::100,2001:db8:1::1ff,64,2m',
	]);
	const impostor = await place.guest(t, 'impostor', ['--ip', '192.0.2.11', '--ip', '2001:db8:9::11'], {
		addresses: ['192.0.2.11/24', '2001:db8:9::11/64'],
		dad: false,
	});
	await place.lan.dnsmasq(impostor.stack.namespace, [
		range(200, 220),
		'--enable-ra',
		'--dhcp-range=2001:db8:9::,ra-only,64,2m',
	]);

	const guest = await place.guest(t, 'vm1', []);
	await place.client(t, 'udhcpc', guest, 4);
	t.regex((await place.leased(guest, 4)).address, /^192\.0\.2\.1[0-5]\d$/);
	await place.client(t, 'dhcpcd', guest, 6);
	t.regex((await place.leased(guest, 6)).address, /^2001:db8:1::1/);
	await guest.stack.exec('ping', ['-c', '1', '-W', '2', '192.0.2.10']);

	await laptopAsks(place);
	const routes = await place.lan.laptop.exec('ip', ['-6', 'route', 'show', 'default', 'proto', 'ra']);
	t.regex(routes, /via fe80::/, 'the LAN hears it advertise itself');
	t.notRegex(await place.lan.laptop.exec('ip', ['-6', 'address']), /2001:db8:9:/);
	t.true(((await place.drops('impostor'))['router-guard'] ?? 0) > 0);
	t.is((await place.drops('server'))['dhcp-guard'], undefined);
	await place.onlyTheMaster(t);

	t.deepEqual(await allow('none'), []);
	const late = await place.guest(t, 'vm2', []);
	await place.client(t, 'udhcpc', late, 4);
	await until('its answer to be refused', 20_000, async () => {
		// What only servers hear doesn't reach it any more, but it answers what it may hear.
		return (await place.drops('server'))['router-guard'];
	});
	t.deepEqual(await place.leases(late, 4), []);
});

test('nobody takes another’s identifier, chaddr after chaddr, or a pool', async t => {
	const place = await Place.create(t, 'id', { dnsmasq: [range(100, 150), '--dhcp-authoritative'] });
	const victim = await place.guest(t, 'victim');
	const named = { more: ['-x', '0x3d:ff11223344000200'] };
	await place.client(t, 'udhcpc', victim, 4, named);
	await place.leased(victim, 4);
	const thief = await place.guest(t, 'thief');
	const stealing = await place.client(t, 'udhcpc', thief, 4, named);
	await until('the theft to be refused', 10_000, async () => (await place.drops('thief'))['dhcp-spoof']);
	t.deepEqual(await place.leases(thief, 4), []);
	await stealing.stop('SIGKILL');
	const greedy = Array.from({ length: 12 }, async (_, index) => {
		const more = ['-x', `0x3d:ff0000000000${index + 10}`, '-q', '-n', '-t', '2', '-T', '1', '-A', '0'];
		const client = await place.client(t, 'udhcpc', thief, 4, { more });
		await until('its end', 60_000, () => client.process.exitCode !== null);
	});
	await Promise.all(greedy);
	t.is((await place.leases(thief, 4)).length, 8, 'one guest takes eight leases and no more');
	await place.reachesAll(victim, 4);
});

const noAutoconf = { autoconf: false } as const;

/** The laptop gets a lease too, and hears the advertisements. */
async function laptopAsks(place: Place): Promise<void> {
	const { laptop } = place.lan;
	await laptop.sysctl({ 'net.ipv6.conf.eth0.accept_ra': 1 });
	await laptop.ip('route del default via 2001:db8:1::1');
	const words = ['udhcpc', '-i', 'eth0', '-f', '-q', '-n', '-s', '/bin/true', '-t', '10', '-T', '1'];
	const { out, err } = await laptop.run(await staticBusybox(), words);
	const said = out + err;
	if (!/lease of 192\.0\.2\.1[0-5]\d obtained from 192\.0\.2\.10/.test(said)) throw new Error(said);
	await until('an advertisement', 10_000, async () => {
		await laptop.run('rdisc6', ['-1', 'eth0']);
		return (await laptop.exec('ip', ['-6', 'route', 'show', 'default', 'proto', 'ra'])) !== '';
	});
}
