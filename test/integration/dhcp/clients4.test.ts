/** Four unmodified DHCPv4 clients at once against real dnsmasq, behind a switch port that knows one MAC. */
import test from 'ava';
import { until } from '../../../src/lab/wait.js';
import type { ClientName } from '../../helpers/dhcp-clients.js';
import { Place, quickLeases } from './place.js';

const names: readonly ClientName[] = ['udhcpc', 'dhclient', 'dhcpcd', 'networkd'];

test('lease, use, renewal to the server alone, rebinding to all, release', async t => {
	const place = await Place.create(t, 'c4', { dnsmasq: [] });
	const { log } = await place.lan.dnsmasq(place.lan.router, quickLeases);
	const guests = await Promise.all(
		names.map(async name => {
			const guest = await place.guest(t, name);
			return {
				guest,
				client: await place.client(t, name, guest, 4, name === 'udhcpc' ? { more: ['-R'] } : {}),
			};
		}),
	);
	const leases = await Promise.all(guests.map(({ guest }) => place.leased(guest, 4)));
	t.is(
		new Set(leases.map(({ address }) => address)).size,
		names.length,
		'everybody has an address of its own',
	);
	const acknowledged = (address: string) =>
		log.filter(line => line.includes(`DHCPACK(eth0) ${address} `)).length;

	// A renewal costs no frame: the guests are pinged all along.
	const pings = leases.map(({ address }) =>
		place.lan.laptop.run('ping', ['-i', '0.05', '-w', '10', '-q', address]),
	);
	await Promise.all(guests.map(({ guest }) => place.reachesAll(guest, 4)));
	const renewed = async (what: string) => {
		const before = leases.map(({ address }) => acknowledged(address));
		// busybox knows nothing of T1 and T2, but can be told.
		guests[0]?.client.process.kill('SIGUSR1');
		await Promise.all(
			leases.map(({ address }, index) =>
				until(`${names[index]} to ${what}`, 20_000, () => acknowledged(address) > (before[index] as number)),
			),
		);
	};
	await renewed('renew');
	// As if the server had moved: it is heard only if everybody is asked.
	await place.lan.router.exec('nft', ['-f', '-'], { input: deaf });
	await renewed('rebind');
	await place.lan.router.exec('nft', ['delete', 'table', 'inet', 'deaf']);
	for (const [index, { guest }] of guests.entries()) {
		const after = await place.leased(guest, 4);
		t.is(after.address, leases[index]?.address ?? '', `${guest.name} keeps its address`);
		t.true(
			Date.parse(after.expires ?? '') > Date.parse(leases[index]?.expires ?? ''),
			`${guest.name} has it longer`,
		);
	}
	for (const ping of pings) t.regex((await ping).out, / 0% packet loss/);

	// dhcpcd and dhclient keep their leases when they end; they are told to release.
	await guests[1]?.client.stop();
	await place.client(t, 'dhclient', guests[1]!.guest, 4, { more: ['-r'] });
	await guests[0]?.client.stop('SIGTERM');
	await guests[2]?.client.stop('SIGALRM');
	await guests[3]?.client.stop('SIGTERM');
	await Promise.all(guests.map(({ guest }) => place.lost(guest, 4)));
	for (const [index, { address }] of leases.entries()) {
		// systemd 252 names no server in its release, and dnsmasq then takes none (RFC 2131, 4.4.6).
		if (names[index] === 'networkd') continue;
		const released = () => log.some(line => line.includes(`DHCPRELEASE(eth0) ${address} `));
		await until(`the server to hear ${names[index]} release ${address}`, 20_000, released);
	}
	await place.onlyTheMaster(t);
	for (const { guest } of guests) t.is((await place.drops(guest.name))['dhcp-spoof'], undefined);
});

const deaf = `table inet deaf {
	chain in {
		type filter hook input priority 0; policy accept;
		udp dport 67 ip daddr != 255.255.255.255 drop
	}
}`;
