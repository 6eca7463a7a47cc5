import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'ava';
import { Lan, lanMembers } from '../../../src/lab/lan.js';
import { StackGuest } from '../../../src/lab/stack-guest.js';
import { until } from '../../../src/lab/wait.js';

const guestMac = '02:1a:00:00:00:99';
let lan: Lan;

test.before(async () => {
	lan = await Lan.create({ prefix: 'lan-' });
});

test.after.always(() => lan?.close());

test.serial(
	'everybody on the LAN reaches everybody else, and the switch has seen the master alone',
	async t => {
		for (const from of ['host', 'router', 'laptop'] as const) {
			for (const { ipv4, ipv6 } of Object.values(lanMembers)) {
				t.is((await lan[from].run('ping', ['-c1', '-W1', '-q', ipv4])).rc, 0);
				t.is((await lan[from].run('ping', ['-c1', '-W1', '-q', ipv6])).rc, 0);
			}
		}
		const seen = await lan.macsSeen();
		t.deepEqual(
			seen.map(({ mac, dropped }) => ({ mac, dropped })),
			[{ mac: lanMembers.host.mac, dropped: 0 }],
		);
		t.true(seen[0]!.packets > 10);
	},
);

test.serial('the router advertises a prefix, and hosts make addresses from it', async t => {
	await until('an address made from the prefix', 10_000, async () => {
		const json = await lan.laptop.exec('ip', ['-j', '-6', 'address', 'show', 'dev', 'eth0', 'dynamic']);
		return json.includes('2001:db8:1:');
	});
	t.pass();
});

test.serial('files can be fetched from the laptop in both families', async t => {
	const folder = join(lan.folder, 'www');
	await mkdir(folder);
	await writeFile(join(folder, 'hello'), 'hello from the laptop');
	await lan.serve(lan.laptop, folder);
	for (const address of ['192.0.2.3', '[2001:db8:1::3]']) {
		t.is(
			await lan.host.exec('busybox', ['wget', '-q', '-O', '-', `http://${address}/hello`]),
			'hello from the laptop',
		);
	}
});

test.serial('a guest behind a bridge is cut off, because the switch drops its MAC and counts it', async t => {
	await lan.host.ip(
		'link add br0 type bridge forward_delay 0 mcast_snooping 0',
		'link set br0 up',
		'tuntap add dev tap0 mode tap vnet_hdr',
		'link set tap0 master br0 up',
		'link set eth0 master br0',
	);
	const guest = await StackGuest.start({
		name: 'cut-off',
		slave: { namespace: lan.host, ifname: 'tap0' },
		mac: guestMac,
		addresses: ['192.0.2.11/24'],
		dad: false,
	});
	t.teardown(async () => {
		await guest.stop();
		await lan.host.ip('link set eth0 nomaster', 'link delete br0', 'link delete tap0');
	});
	const withheld = await lan.port.withheld();
	t.is((await guest.run('ping', ['-c2', '-i0.2', '-W1', '-q', lanMembers.laptop.ipv4])).rc, 1);
	const seen = (await lan.macsSeen()).find(({ mac }) => mac === guestMac);
	t.truthy(seen);
	t.is(seen!.dropped, seen!.packets);

	await t.notThrowsAsync(lan.laptop.ip(`neighbour replace 192.0.2.11 lladdr ${guestMac} dev eth0`));
	t.is((await lan.laptop.run('ping', ['-c1', '-W1', '-q', '192.0.2.11'])).rc, 1);
	t.true((await lan.port.withheld()) > withheld, 'frames for another MAC never reach the host');

	await lan.port.allow(guestMac);
	// The first of these may still fail with the ARP request of before.
	t.is((await guest.run('ping', ['-c5', '-i0.3', '-W1', '-q', lanMembers.laptop.ipv4])).rc, 0);
});

test.serial('DHCP gives out a lease', async t => {
	const script = join(lan.folder, 'udhcpc.sh');
	await writeFile(script, '#!/bin/sh\n[ "$1" = bound ] && echo "$ip $router"\nexit 0\n', { mode: 0o755 });
	const out = await lan.laptop.exec('busybox', ['udhcpc', '-i', 'eth0', '-n', '-q', '-f', '-s', script]);
	t.regex(out, /192\.0\.2\.1[0-5]\d 192\.0\.2\.1\b/);
});
