/** Three unmodified DHCPv6 clients at once against real dnsmasq and ISC dhcpd; busybox's isn't in Debian's busybox. */
import test from 'ava';
import { until } from '../../../src/lab/wait.js';
import type { ClientName } from '../../helpers/dhcp-clients.js';
import { dhcpd } from './dhcpd.js';
import { Place } from './place.js';

const names: readonly ClientName[] = ['dhclient', 'dhcpcd', 'networkd'];
/** Says that there is DHCPv6 here, and which prefix is on the link, and nothing else. */
const advertised = ['--enable-ra', '--dhcp-range=2001:db8:1::100,2001:db8:1::1ff,64,2m'];

test('dnsmasq with rapid commit: lease, use, release', async t => {
	const place = await Place.create(t, 'c6', { dnsmasq: [] });
	const { log } = await place.lan.dnsmasq(place.lan.router, [...advertised, '--dhcp-rapid-commit']);
	const guests = await Promise.all(
		names.map(async name => {
			const guest = await place.guest(t, name, [], { autoconf: false });
			return { guest, client: await place.client(t, name, guest, 6) };
		}),
	);
	const leases = await Promise.all(guests.map(({ guest }) => place.leased(guest, 6)));
	t.is(new Set(leases.map(({ address }) => address)).size, names.length);
	for (const { address, expires = '' } of leases) {
		t.true(Math.abs(Date.parse(expires) - Date.now() - 120_000) < 15_000, `${address} until ${expires}`);
	}
	await Promise.all(guests.map(({ guest }) => place.reachesAll(guest, 6)));
	await Promise.all(
		leases.map(({ address }) => place.lan.laptop.exec('ping', ['-c', '2', '-i', '0.1', '-W', '2', address])),
	);
	await guests[0]?.client.stop();
	await place.client(t, 'dhclient', guests[0]!.guest, 6, { more: ['-r'] });
	await guests[1]?.client.stop('SIGALRM');
	await Promise.all(guests.slice(0, 2).map(({ guest }) => place.lost(guest, 6)));
	const released = () => log.filter(line => line.includes('DHCPRELEASE(eth0)')).length;
	await until('the server to hear two releases', 20_000, () => released() === 2);
	await place.onlyTheMaster(t);
});

test('ISC dhcpd: renewal, and rebinding once the server is gone and another one has its leases', async t => {
	const place = await Place.create(t, 'i6', { dnsmasq: [] });
	await place.radvd('AdvManagedFlag on; prefix 2001:db8:1::/64 { AdvAutonomous off; };');
	const { log, stop } = await dhcpd(place.lan, place.lan.router, 'one');
	const guests = await Promise.all(
		names.map(async name => {
			const guest = await place.guest(t, name, [], { autoconf: false });
			return { guest, client: await place.client(t, name, guest, 6) };
		}),
	);
	t.teardown(stop);
	const leases = await Promise.all(guests.map(({ guest }) => place.leased(guest, 6)));
	const heard = (what: string) => log.filter(line => line.startsWith(what)).length;
	const longer = await Promise.all(
		guests.map(({ guest }, index) =>
			place.leased(guest, 6, ({ expires = '' }) => expires > (leases[index]?.expires ?? '')),
		),
	);
	t.true(heard('Renew message') > 0, log.join('\n'));
	// It takes renewals for the server that it is; one with another identity hears those who rebind.
	const other = await dhcpd(place.lan, place.lan.laptop, 'another', 'one');
	await stop();
	t.teardown(other.stop);
	await Promise.all(
		guests.map(({ guest }, index) =>
			place.leased(guest, 6, ({ expires = '' }) => expires > (longer[index]?.expires ?? '')),
		),
	);
	t.true(
		other.log.some(line => line.startsWith('Rebind message')),
		other.log.join('\n'),
	);
	await place.onlyTheMaster(t);
});
