/** Interfaces that can't be masters: exit status, what failed and why, what to do, and nothing half made. */
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import test from 'ava';
import { until } from '../../../src/lab/wait.js';
import { getLink } from '../../../src/sys/netlink/link.js';
import { enterFreshNamespace, run as ip } from '../../helpers/in-namespace.js';
import { ipvtap, refused, Site } from './site.js';

test.before(enterFreshNamespace);

/** Masters that can't be: how to make them, and what is said about them. */
const masters: [what: string, make: string[], name: string, status: number, why: string, hint: RegExp][] = [
	[
		'unknown',
		[],
		'eth9',
		3,
		"can't use 'eth9' as a master: there is no such interface",
		/^hint: interfaces here: .*eth0/,
	],
	['loopback', [], 'lo', 2, "can't use lo as a master: it is the loopback interface", /ip -br link/],
	[
		'not Ethernet',
		['tuntap add tun0 mode tun'],
		'tun0',
		2,
		"can't use tun0 as a master: it is not Ethernet (ARPHRD 65534)",
		/Ethernet or Wi-Fi/,
	],
	[
		'a bridge port',
		['link add br0 type bridge', 'link set eth0 master br0'],
		'eth0',
		4,
		"can't use eth0 as a master: it is a port of the bridge br0",
		/use br0 as the master, or take it out: ip link set eth0 nomaster/,
	],
	[
		'below a macvtap',
		['link add link eth0 name mv0 type macvtap'],
		'eth0',
		4,
		"can't use eth0 as a master: the macvtap mv0 sits on it",
		/ip link delete mv0/,
	],
	[
		'an alternative name',
		['link property add dev eth0 altname lan'],
		'lan',
		2,
		"can't use lan as a master: it is another name of eth0",
		/use that: eth0/,
	],
];

for (const [what, make, name, status, why, hint] of masters) {
	for (const command of [
		['up', name],
		['attach', 'a', '--master', name],
		['run', '--master', name, '--', 'true'],
	]) {
		test.serial(`${what}: ipvtap ${command.join(' ')}`, async t => {
			const site = new Site(t);
			t.teardown(() => {
				for (const device of ['br0', 'mv0', 'tun0'])
					if (make.some(line => line.includes(device))) ip('ip', 'link', 'delete', device);
			});
			for (const line of make) ip('ip', ...line.split(' '));
			refused(t, await site.run(...command), status, why, hint);
			await site.gone();
		});
	}
}

test.serial("ipvtap's own devices are no masters", async t => {
	const site = new Site(t);
	await site.attach('a');
	for (const name of site.devices()) {
		refused(
			t,
			await site.run('up', name),
			4,
			`can't use ${name} as a master: it is ipvtap's own`,
			/leads to your LAN/,
		);
	}
});

test.serial('a master that another daemon has', async t => {
	const site = new Site(t);
	await site.attach('a');
	const second = { IPVTAP_SOCKET: join(site.folder, 'b.sock'), IPVTAP_STATE_DIR: join(site.folder, 'b') };
	for (const command of [
		['up', 'eth0'],
		['attach', 'b', '--master', 'eth0'],
	]) {
		const outcome = await site.exec([ipvtap, ...command], second);
		refused(
			t,
			outcome,
			4,
			`can't use eth0 as a master: another ipvtapd has it (process ${site.pid()})`,
			/IPVTAP_SOCKET/,
		);
	}
	await until('the second daemon to end', 20_000, () => !existsSync(join(site.folder, 'b', 'lock')));
	t.like((await site.list()).masters[0], { state: 'up', slaves: 1 });
	t.is(site.devices().length, 4, 'TAP, both ends of the host slave, and what the offload punts to');
	// Somebody who listens there, but could never be a daemon, is in nobody's way.
	await site.json('detach', 'a');
	await site.gone();
	const code =
		'require("net").createServer().listen("\\0ipvtap/master/" + process.argv[1], () => console.log("x"))';
	const nobody = site.start([
		'setpriv',
		'--reuid=65534',
		'--clear-groups',
		process.execPath,
		'-e',
		code,
		String(getLink('eth0')?.ifindex),
	]);
	await once(nobody.stdout as Readable, 'data');
	await site.attach('a');
});
