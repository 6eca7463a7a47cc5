/** Programs of the host's that know nothing of ipvtap and work on the master: a DHCP server, avahi. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import type { Slave } from '../../../src/control/model.js';
import { staticBusybox } from '../../../src/lab/busybox.js';
import { toolsEnv } from '../../../src/lab/command.js';
import { StackGuest } from '../../../src/lab/stack-guest.js';
import { until } from '../../../src/lab/wait.js';
import { GroupSocket } from '../../helpers/group-socket.js';
import { mdnsQuestion } from '../../helpers/mdns.js';
import { privateUser } from '../../helpers/private-user.js';
import { unpackedAvahi } from '../../helpers/unpacked.js';
import { Site } from './site.js';

let folder: string;

test.before(() => {
	folder = mkdtempSync(join(tmpdir(), 'ipvtap-services-'));
});
test.after.always(() => rmSync(folder, { recursive: true, force: true }));

test.serial("a DHCP server on the host's interface gives guests leases, and renews them", async t => {
	const site = await Site.create('serves');
	t.teardown(() => site.close());
	const words = ['--no-daemon', '--conf-file=/dev/null', '--user=root', '--port=0', '--interface=eth0'];
	words.push('--bind-interfaces', '--except-interface=lo', '--log-facility=-', '--dhcp-authoritative');
	words.push('--dhcp-range=192.0.2.100,192.0.2.150,255.255.255.0,2m', '--no-ping');
	words.push(`--dhcp-leasefile=${join(folder, 'leases')}`, `--pid-file=${join(folder, 'pid')}`);
	const server = site.host.spawn('dnsmasq', words, { stdio: ['ignore', 'ignore', 'pipe'] });
	let log = '';
	server.stderr!.on('data', chunk => {
		log += chunk;
	});
	await until('dnsmasq', 20_000, () => log.includes('started, '));

	const script = join(folder, 'udhcpc.sh');
	writeFileSync(
		script,
		'#!/bin/sh\n[ "$1" = bound ] && ip address replace "$ip/24" dev eth0\n[ "$1" = renew ] && echo renewed\nexit 0\n',
		{ mode: 0o755 },
	);
	const busybox = await staticBusybox();
	const leases: string[] = [];
	for (const name of ['one', 'two']) {
		const slave = await site.product.json<Slave>('attach', name, '--master', 'eth0');
		const guest = await StackGuest.start({
			name: `serves-${name}`,
			slave: { namespace: site.host, ifname: slave.ifname },
			mac: slave.mac,
		});
		t.teardown(() => guest.stop());
		const args = ['udhcpc', '-i', 'eth0', '-s', script, '-f', '-t', '5', '-T', '1', '-n'];
		const client = guest.namespace.spawn(busybox, args, { stdio: ['ignore', 'pipe', 'pipe'] });
		let said = '';
		for (const stream of [client.stdout!, client.stderr!]) {
			stream.on('data', chunk => {
				said += chunk;
			});
		}
		const lease = await until(
			`a lease for ${name}`,
			8000,
			() => /lease of (\S+) obtained/.exec(said)?.[1],
		).catch(error => {
			throw new Error(`${error.message}\n${said}\n${log}`);
		});
		leases.push(lease);
		t.regex(await guest.exec('ping', ['-c1', '-W2', '192.0.2.2']), / 0% packet loss/);
		// The renewal goes to the server alone.
		const acknowledged = (log.match(/DHCPACK/g) ?? []).length;
		client.kill('SIGUSR1');
		await until('the renewal', 8000, () => (log.match(/DHCPACK/g) ?? []).length > acknowledged);
		const { addresses } = await site.product.json<Slave>('show', name);
		t.like(
			addresses.find(({ family }) => family === 'inet'),
			{ address: lease, origin: 'dhcp' },
		);
	}
	t.is(new Set(leases).size, 2, leases.join());
});

test.serial("avahi on the host's interface answers guests and the LAN", async t => {
	const site = await Site.create('avahi');
	t.teardown(() => site.close());
	const guest = await site.stack('asks', 31);
	const conf = join(folder, 'avahi.conf');
	writeFileSync(
		conf,
		`[server]\nhost-name=ipvtap-host\ndomain-name=local\nuse-ipv4=yes\nuse-ipv6=no\nenable-dbus=no\nallow-interfaces=eth0\n
[publish]\npublish-addresses=yes\n[wide-area]\nenable-wide-area=no\n`,
	);
	// Its pid file and socket have a fixed place, and it wants a user: it gets a /run, and such files, of its own.
	const command = `
mount -t tmpfs none /run
mkdir /run/avahi-daemon
${privateUser('avahi', 199, '/run')}
exec "$1" --no-chroot --no-drop-root --no-rlimits -f "$0"`;
	const avahi = await unpackedAvahi();
	const daemon = site.host.spawn('unshare', ['--mount', 'sh', '-ec', command, conf, avahi.path], {
		env: { ...toolsEnv, LD_LIBRARY_PATH: avahi.libraries },
		stdio: ['ignore', 'ignore', 'pipe'],
	});
	let log = '';
	daemon.stderr!.on('data', chunk => {
		log += chunk;
	});
	await until('avahi to be up', 10_000, () => log.includes('Server startup complete')).catch(error => {
		throw new Error(`${error.message}\n${log}`);
	});
	const socket = await GroupSocket.open(guest.namespace, '224.0.0.251', 5353);
	t.teardown(() => socket.close());
	socket.say(mdnsQuestion('ipvtap-host'));
	const answer = await until('an answer', 8000, () =>
		socket.heard.find(({ text, from }) => from === '192.0.2.2' && text.includes('ipvtap-host')),
	).catch(error => {
		throw new Error(`${error.message}\n${log}\n${JSON.stringify(socket.heard)}`);
	});
	t.is(answer.from, '192.0.2.2');
	t.is(socket.heard.filter(({ text }) => text === answer.text).length, 1, 'once');
});

test.serial(
	'with a strict rp_filter, guests hear the host as before, and the log says what to do',
	async t => {
		const site = await Site.create('strict', { sysctl: { 'net.ipv4.conf.default.rp_filter': 1 } });
		t.teardown(() => site.close());
		const guest = await site.stack('strict', 32);
		const [inside, outside] = [
			await GroupSocket.open(guest.namespace, '239.1.2.3', 4000),
			await GroupSocket.open(site.host, '239.1.2.3', 4000),
		];
		t.teardown(() => Promise.all([inside.close(), outside.close()]));
		outside.say('from the host');
		await inside.hears('from the host');
		t.regex(site.product.log(), /rp_filter is strict; sysctl net\.ipv4\.conf\.eth0\.rp_filter=2/);
	},
);
