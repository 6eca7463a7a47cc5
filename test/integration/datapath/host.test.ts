/** The host and its guests: both ways, both families, and nothing of the guests in the host's own stack. */
import test from 'ava';
import { Site } from './site.js';

test.serial('host and guest reach each other with rp_filter on everywhere', async t => {
	for (const filter of [1, 2, 0]) {
		const site = await Site.create(`rp${filter}`, {
			sysctl: { 'net.ipv4.conf.all.rp_filter': filter, 'net.ipv4.conf.default.rp_filter': filter },
		});
		const guest = await site.stack('guest', 11);
		const pings = async (
			from: { exec: (file: string, args: readonly string[]) => Promise<string> },
			to: string,
		): Promise<void> => {
			t.regex(
				await from.exec('ping', ['-c2', '-W3', '-i0.2', to]),
				/ 0% packet loss/,
				`${to}, rp_filter ${filter}`,
			);
		};
		await pings(site.host, '192.0.2.11');
		await pings(site.host, '2001:db8:1::11');
		await pings(guest, '192.0.2.2');
		await pings(guest, '2001:db8:1::2');
		// Link-local addresses, by the device that both share.
		const own = linkLocal(await site.host.exec('ip', ['-6', '-o', 'address', 'show', 'dev', 'eth0']));
		const its = linkLocal(await guest.exec('ip', ['-6', '-o', 'address', 'show', 'dev', 'eth0']));
		await pings(guest, `${own}%eth0`);
		await pings(site.host, `${its}%ipvh-eth0`);
		// What the host sends first is from an address that the guest can answer to.
		const large = ['-c2', '-W3', '-i0.2', '-s', '4000', '192.0.2.11'];
		t.regex(await site.host.exec('ping', large), / 0% packet loss/, 'fragments');
		await site.close();
	}
});

test.serial("the host's stack does not see the guests' frames", async t => {
	const site = await Site.create('unseen', {
		sysctl: { 'net.ipv4.ip_forward': 1, 'net.ipv6.conf.all.forwarding': 1 },
	});
	t.teardown(() => site.close());
	const guest = await site.stack('guest', 11);
	const other = await site.stack('other', 12);
	const slaves = (await site.product.list()).slaves.map(({ ifname }) => ifname);
	// nft's ingress hook comes behind TC's: what it counts has got past ipvtap; prerouting is the stack's own door.
	const rules = slaves.map(
		(ifname, index) =>
			`table netdev t${index} { chain c { type filter hook ingress device ${ifname} priority 0; counter; }; }`,
	);
	await site.host.exec('nft', ['-f', '-'], {
		input: `${rules.join('\n')}
			table inet stack {
				chain pre { type filter hook prerouting priority -300; iifname { ${slaves.join(', ')} } counter; }
				chain wire { type filter hook prerouting priority -300; iifname eth0 ip daddr { 192.0.2.11, 192.0.2.12 } counter; iifname eth0 ip6 daddr { 2001:db8:1::11, 2001:db8:1::12 } counter; }
			}`,
	});
	// The host has an address that a guest may ask any of its devices for; only the port answers.
	await site.host.ip('address add 198.51.100.1/24 dev lo');
	await guest.namespace.ip('route add 198.51.100.0/24 dev eth0');
	t.regex(await guest.exec('ping', ['-c3', '-i0.2', '-W3', '192.0.2.12']), / 0% packet loss/);
	t.regex(await guest.exec('ping', ['-c3', '-i0.2', '-W3', '192.0.2.2']), / 0% packet loss/);
	t.regex(await guest.exec('ping', ['-c3', '-i0.2', '-W3', '2001:db8:1::12']), / 0% packet loss/);
	t.not(
		(await guest.run('ping', ['-c1', '-W1', '198.51.100.1'])).rc,
		0,
		'an address on lo is not on the LAN',
	);
	t.not((await other.run('arping', ['-c1', '-w1', '-I', 'eth0', '198.51.100.1'])).rc, 0);
	// From the wire to a guest: the host's copy goes no further than TC.
	const { stdout } = await site.product.ipvtap(['list']);
	t.regex(stdout, /guest/);
	const json = JSON.parse(await site.host.exec('nft', ['-j', 'list', 'ruleset'])) as {
		nftables: { rule?: { expr: { counter?: { packets: number } }[] } }[];
	};
	const counts = json.nftables.flatMap(
		({ rule }) => rule?.expr.flatMap(({ counter }) => (counter ? [counter.packets] : [])) ?? [],
	);
	t.is(counts.length, slaves.length + 3);
	t.deepEqual(
		counts,
		counts.map(() => 0),
	);
});

test.serial('two daemons side by side on two masters of one namespace', async t => {
	const { Product } = await import('../../helpers/product.js');
	const { StackGuest } = await import('../../../src/lab/stack-guest.js');
	const site = await Site.create('pair');
	t.teardown(() => site.close());
	await site.host.ip(
		'link add eth1 type veth peer name other1',
		'link set other1 up',
		'link set eth1 up',
		'address add 203.0.113.2/24 dev eth1',
	);
	const second = await Product.at(site.host, 'second');
	t.teardown(() => second.close());
	await second.up('eth1');
	const first = await site.stack('one', 11);
	const two = await site.stack('two', 12);
	const slaves = [
		await second.attach('alpha', 'eth1', ['203.0.113.11']),
		await second.attach('beta', 'eth1', ['203.0.113.12']),
	];
	const guests = await Promise.all(
		slaves.map((slave, index) =>
			StackGuest.start({
				name: slave.name,
				slave: { namespace: site.host, ifname: slave.ifname },
				mac: slave.mac,
				addresses: [`203.0.113.${11 + index}/24`],
				dad: false,
			}),
		),
	);
	t.teardown(async () => void (await Promise.all(guests.map(guest => guest.stop()))));
	t.regex(await first.exec('ping', ['-c2', '-i0.2', '-W3', '192.0.2.12']), / 0% packet loss/);
	t.regex(await guests[0]!.exec('ping', ['-c2', '-i0.2', '-W3', '203.0.113.12']), / 0% packet loss/);
	t.regex(await guests[1]!.exec('ping', ['-c2', '-i0.2', '-W3', '203.0.113.2']), / 0% packet loss/);
	// Neither knows the other's, and neither takes the other's master or device.
	t.deepEqual((await second.list()).slaves.map(({ name }) => name).sort(), ['alpha', 'beta']);
	t.is((await second.ipvtap(['up', 'ipvt-one'])).status, 4);
	// What a guest holds would stay for the next daemon.
	await Promise.all(guests.map(guest => guest.stop()));
	await second.signalDaemon('SIGTERM');
	t.regex(
		await two.exec('ping', ['-c2', '-i0.2', '-W3', '192.0.2.11']),
		/ 0% packet loss/,
		'the first goes on',
	);
	await site.host.ip('link delete eth1');
	// Only the first daemon's things are there.
	t.notRegex(await site.host.exec('ip', ['link']), /alpha|beta|eth1/);
});

function linkLocal(text: string): string {
	return /fe80::[0-9a-f:]+/.exec(text)![0];
}
