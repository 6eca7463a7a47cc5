import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import type { Info, Master, Slave, Statistics } from '../../../src/control/model.js';
import { until } from '../../../src/lab/wait.js';
import { getLink } from '../../../src/sys/netlink/link.js';
import { enterFreshNamespace, run as ip } from '../../helpers/in-namespace.js';
import { bin, ended, ipvtap, isAlive, Site } from './site.js';

test.before(enterFreshNamespace);

test.serial('up starts a daemon, down ends it', async t => {
	const site = new Site(t);
	const master = await site.json<Master>('up', 'eth0', '--flag', 'private');
	t.like(master, {
		name: 'eth0',
		state: 'up',
		mode: 'l2',
		flag: 'private',
		offload: 'tc-bpf',
		slaves: 0,
		mac: getLink('eth0')?.mac,
	});
	t.truthy(getLink(master.host ?? ''));
	const pid = site.pid() as number;
	t.true(isAlive(pid));
	const { stats: _, ...lasting } = master;
	t.like((await site.list()).masters, [lasting]);
	t.like(await site.json<Master>('show', 'eth0'), lasting);
	t.deepEqual(await site.json('down', 'eth0'), { name: 'eth0', removed: true, slaves: [] });
	await site.gone();
	await until('the process to end', 20_000, () => !isAlive(pid));
});

test.serial('up is idempotent, and says what it would have to change', async t => {
	const site = new Site(t);
	await site.json('up', 'eth0', '--flag', 'private', '--no-host');
	t.like(await site.json<Master>('up', 'eth0'), { flag: 'private', host: null });
	t.like(await site.json<Master>('up', 'eth0', '--flag', 'private', '--no-host'), { flag: 'private' });
	const { status, stderr } = await site.run('up', 'eth0', '--flag', 'vepa');
	t.is(status, 4);
	t.is(stderr, 'error: eth0 is up already, with flag private, not vepa\nhint: ipvtap set eth0 --flag vepa\n');
	t.like(await site.json<Master>('set', 'eth0', '--flag', 'vepa'), { flag: 'vepa' });
	t.like(await site.json<Master>('up', 'eth0', '--flag', 'vepa'), { flag: 'vepa' });
});

test.serial('attach prints arguments on stdout and nothing else', async t => {
	const site = new Site(t);
	const { status, stdout, stderr } = await site.run(
		'attach',
		'web1',
		'--master',
		'eth0',
		'--ip',
		'192.0.2.10',
		'--mac',
		'52:54:00:00:00:01',
	);
	t.is(status, 0, stderr);
	const vhost = stdout.includes('vhost=on') ? ',vhost=on' : '';
	t.is(
		stdout,
		`-netdev tap,id=net-web1,ifname=ipvt-web1,script=no,downscript=no${vhost} -device virtio-net-pci,id=nic-web1,netdev=net-web1,mac=52:54:00:00:00:01\n`,
	);
	t.is(stderr, 'attached web1 to eth0: MAC 52:54:00:00:00:01, 192.0.2.10\n');
	const slave = await site.json<Slave>('show', 'web1');
	t.like(slave, {
		name: 'web1',
		master: 'eth0',
		mode: 'l2',
		ifname: 'ipvt-web1',
		ifindex: getLink('ipvt-web1')?.ifindex,
		mac: '52:54:00:00:00:01',
		mtu: 1500,
		state: 'down',
		learn: false,
		offload: 'tc-bpf',
		owner: 0,
	});
	t.deepEqual(slave.addresses, [{ address: '192.0.2.10', family: 'inet', origin: 'static' }]);
	t.is(slave.qemuArgs.join(' '), stdout.trim());
	t.deepEqual(Object.keys(slave.stats).sort(), ['drops', 'queued', 'rx', 'tx']);
	t.deepEqual(await site.json('detach', 'web1'), { name: 'web1', removed: true });
	await site.gone();
	t.is(getLink('ipvt-web1'), undefined);
});

test.serial('attach speaks every format', async t => {
	const site = new Site(t);
	for (const [format, form] of [
		['helper', /^-netdev tap,id=\S+,br=a-helper,helper=\/\S+ipvtap-helper\S* -device \S+\n$/],
		[
			'libvirt',
			/^<interface type='ethernet'>[\s\S]*<target dev='ipvt-a-libvirt' managed='no'\/>[\s\S]*<\/interface>\n$/,
		],
		['firecracker', /^\{.*"host_dev_name":"ipvt-\S+".*\}\n$/],
		['cloud-hypervisor', /^--net tap=ipvt-\S+,mac=\S+,num_queues=2\n$/],
	] as const) {
		const { status, stdout } = await site.run(
			'attach',
			`a-${format}`,
			'--master',
			'eth0',
			'--format',
			format,
		);
		t.is(status, 0);
		t.regex(stdout, form);
	}
});

test.serial('a format that can not express the slave leaves no slave', async t => {
	const site = new Site(t);
	const { status, stderr } = await site.run(
		'attach',
		'a',
		'--master',
		'eth0',
		'--queues',
		'2',
		'--format',
		'helper',
	);
	t.is(status, 2, stderr);
	await site.gone();
});

test.serial('a slave has the queues and the owner that were asked for', async t => {
	const site = new Site(t);
	t.like(await site.attach('a', '--queues', '3', '--owner', 'nobody'), { queues: 3, owner: 65534 });
	const [tuntap] = JSON.parse(ip('ip', '-json', '-details', 'link', 'show', 'ipvt-a')) as {
		linkinfo: { info_data: Record<string, unknown> };
	}[];
	t.like(tuntap?.linkinfo.info_data, {
		type: 'tap',
		pi: false,
		vnet_hdr: true,
		multi_queue: true,
		persist: true,
	});
});

test.serial('addresses are changed while the slave runs', async t => {
	const site = new Site(t);
	await site.attach('a', '--ip', '192.0.2.10', '--ip', '2001:db8:0::10');
	const shown = async (...args: string[]) =>
		(await site.json<Slave>('set', 'a', ...args)).addresses.map(({ address }) => address).sort();
	t.deepEqual(await shown('--ip', '+192.0.2.11', '--ip', '-192.0.2.10'), ['192.0.2.11', '2001:db8::10']);
	t.deepEqual(await shown('--ip', '192.0.2.12'), ['192.0.2.12']);
	const { status, stderr } = await site.run('set', 'a', '--ip', '-192.0.2.10');
	t.is(status, 3);
	t.regex(stderr, /^error: can't remove 192\.0\.2\.10 from 'a': .*\nhint: it has 192\.0\.2\.12\n$/);
});

test.serial('where the offload can not be had there is none, and it is said why', async t => {
	const site = new Site(t);
	const caps = '-bpf,-sys_admin,-perfmon';
	const without = ['setpriv', `--bounding-set=${caps}`, `--inh-caps=${caps}`];
	const up = await site.exec([...without, ipvtap, 'up', 'eth0', '--json']);
	t.is(up.status, 0, up.stderr);
	const { offload, offloadDetail } = JSON.parse(up.stdout) as Master;
	t.deepEqual(
		[offload, offloadDetail],
		[
			'none',
			'eBPF needs CAP_BPF, CAP_PERFMON and CAP_NET_ADMIN; this is uid 0 without them, or a user namespace',
		],
	);
	const { stdout } = await site.run('show', 'eth0');
	t.regex(stdout, /\noffload: +none \(eBPF needs CAP_BPF/);
	t.regex(stdout, /\nNIC: +hw-tc-offload unavailable, l2-fwd-offload unavailable\n/);
	const refused = await site.run('set', 'eth0', '--offload', 'tc-bpf');
	t.is(refused.status, 1);
	t.regex(refused.stderr, /^error: offload 'tc-bpf': eBPF needs CAP_BPF.*\nhint: /);
	await site.run('down', 'eth0');
	await site.gone();
});

test.serial('list, show and stats are tables for people', async t => {
	const site = new Site(t);
	await site.attach('web1', '--ip', '192.0.2.10');
	await site.attach('web2');
	const list = (await site.run('list')).stdout;
	t.regex(
		list,
		/^MASTER .*\neth0 +up +l2 +bridge +tc-bpf +ipvh\S+ +\S+ +2\n\nSLAVE .*\nweb1 .* 192\.0\.2\.10\nweb2 .* addresses to be learned\n$/,
	);
	t.false(list.includes('\x1b'));
	t.regex((await site.run('show', 'web1')).stdout, /^slave: +web1\nmaster: +eth0 .*\nstate: +down\n/);
	t.regex((await site.run('show', 'eth0')).stdout, /^master: +eth0 .*\nstate: +up\n/);
	t.regex((await site.run('stats')).stdout, /^NAME .*\neth0 +\(wire\) .*\nweb1 +eth0 .*\nweb2 +eth0 .*\n$/);
	const all = await site.json<Statistics>('stats');
	t.deepEqual(
		all.slaves.map(({ name, master }) => [name, master]),
		[
			['web1', 'eth0'],
			['web2', 'eth0'],
		],
	);
	t.like(await site.json<Slave>('stats', 'web1'), { name: 'web1', master: 'eth0' });
});

test.serial('down takes its slaves along only when forced', async t => {
	const site = new Site(t);
	await site.attach('a');
	await site.attach('b');
	const { status, stderr } = await site.run('down', 'eth0');
	t.is(status, 4);
	t.is(
		stderr,
		"error: can't take eth0 down: it has 2 slaves (a, b)\nhint: detach them first, or take them down with it: ipvtap down eth0 --force\n",
	);
	t.deepEqual(await site.json('down', 'eth0', '--force'), {
		name: 'eth0',
		removed: true,
		slaves: ['a', 'b'],
	});
	await site.gone();
});

test.serial(
	'a daemon in the foreground stays until it is told to end, and then takes everything down',
	async t => {
		const site = new Site(t);
		const daemon = site.start([`${bin}/ipvtapd`, '--json']);
		const outcome = ended(daemon);
		await until('the daemon', 20_000, () => existsSync(site.socket));
		await site.attach('a', '--ip', '192.0.2.10');
		await site.json('up', 'eth0');
		await site.json('detach', 'a');
		t.true(isAlive(daemon.pid as number));
		t.is((await site.list()).masters.length, 1, 'up makes a master stay');
		await site.attach('b');
		const second = await site.exec([`${bin}/ipvtapd`]);
		t.is(second.status, 4);
		t.regex(
			second.stderr,
			new RegExp(
				`error: can't use the state folder \\S+: another daemon does \\(process ${daemon.pid}, socket ${site.socket}\\)\nhint: `,
			),
		);
		daemon.kill('SIGTERM');
		const { status, stdout, stderr } = await outcome;
		t.is(status, 0, stderr);
		t.like(JSON.parse(stdout) as Info, {
			name: 'ipvtapd',
			pid: daemon.pid as number,
			socket: site.socket,
			untilIdle: false,
		});
		t.true(
			stderr
				.trim()
				.split('\n')
				.every(line => JSON.parse(line)),
		);
		t.deepEqual(site.devices(), []);
	},
);

test.serial('a master that a slave brought up goes with it', async t => {
	const site = new Site(t);
	const daemon = site.start([`${bin}/ipvtapd`]);
	await until('the daemon', 20_000, () => existsSync(site.socket));
	await site.attach('a');
	await site.attach('b');
	await site.json('detach', 'a');
	t.is((await site.list()).masters.length, 1);
	await site.json('detach', 'b');
	t.deepEqual(await site.list(), { masters: [], slaves: [] });
	daemon.kill('SIGINT');
	t.is((await ended(daemon)).status, 0);
});

test.serial('many commands at once start one daemon', async t => {
	const site = new Site(t);
	const names = Array.from({ length: 8 }, (_, index) => `vm${index}`);
	const outcomes = await Promise.all(names.map(name => site.run('attach', name, '--master', 'eth0')));
	t.deepEqual(
		outcomes.map(({ status }) => status),
		names.map(() => 0),
		outcomes.map(({ stderr }) => stderr).join(''),
	);
	t.is(site.logged('ready'), 1);
	t.deepEqual((await site.list()).slaves.map(({ name }) => name).sort(), names);
});

test.serial('of many commands that want one name, one gets it', async t => {
	const site = new Site(t);
	const outcomes = await Promise.all(
		Array.from({ length: 8 }, () => site.run('attach', 'web1', '--master', 'eth0')),
	);
	t.deepEqual(outcomes.map(({ status }) => status).sort(), [0, 4, 4, 4, 4, 4, 4, 4]);
	t.is((await site.list()).slaves.length, 1);
});

test.serial('commands that meet an ending daemon start the next one', async t => {
	const site = new Site(t);
	for (let round = 0; round < 5; round++) {
		await site.attach('a');
		const [detached, attached] = await Promise.all([
			site.run('detach', 'a'),
			site.run('attach', 'b', '--master', 'eth0'),
		]);
		t.is(detached.status, 0, detached.stderr);
		t.is(attached.status, 0, attached.stderr);
		await site.json('detach', 'b');
	}
});

test.serial('after kill -9 the next command finds everything as it was', async t => {
	const site = new Site(t, ['eth0', 'eth1']);
	await site.json('up', 'eth0', '--flag', 'private');
	const a = await site.attach('a', '--ip', '192.0.2.10', '--ip', '2001:db8::10');
	await site.json('attach', 'b', '--master', 'eth1');
	const before = await site.list();
	await site.crash();
	t.true(existsSync(site.socket), 'the stale socket is still there');
	const after = await site.list();
	t.deepEqual(after.slaves.map(still), before.slaves.map(still));
	t.deepEqual(
		after.masters.map(({ name, flag, mode, host, slaves }) => ({ name, flag, mode, host, slaves })),
		before.masters.map(({ name, flag, mode, host, slaves }) => ({ name, flag, mode, host, slaves })),
	);
	t.is(getLink('ipvt-a')?.ifindex, a.ifindex, 'the very same TAP');
	await site.crash();
	ip('ip', 'link', 'delete', 'ipvt-a');
	t.not((await site.json<Slave>('show', 'a')).ifindex, a.ifindex, 'a TAP that is gone is made again');
	await site.json('detach', 'a');
	await site.json('detach', 'b');
	await site.gone();
});

function still({ name, master, mac, ifname, addresses, learn, queues, owner }: Slave): object {
	return { name, master, mac, ifname, addresses, learn, queues, owner };
}

test.serial('a state file that makes no sense is moved aside, and the daemon starts', async t => {
	const site = new Site(t);
	await site.attach('a');
	await site.crash();
	const path = join(site.stateDir, 'state.json');
	writeFileSync(path, readFileSync(path, 'utf8').slice(0, 50));
	t.deepEqual(await site.list(), { masters: [], slaves: [] });
	t.is(site.logged('the state file could not be read and was moved aside'), 1);
	// Nobody knows of that TAP any more; it is in the way, and says so.
	const { status, stderr } = await site.run('attach', 'a', '--master', 'eth0');
	t.is(status, 4, stderr);
	t.regex(stderr, /ipvt-a: a device of that name exists/);
	ip('ip', 'link', 'delete', 'ipvt-a');
	await site.attach('a');
});

test.serial('a stale socket is replaced, whoever left it', async t => {
	const site = new Site(t);
	const code = 'require("net").createServer().listen(process.argv[1], () => process.kill(process.pid, 9))';
	spawnSync(process.execPath, ['-e', code, site.socket]);
	t.true(existsSync(site.socket));
	await site.attach('a');
});

test.serial('two daemons live side by side, told apart by their sockets alone', async t => {
	const site = new Site(t, ['eth0', 'eth1']);
	// A /var/lib of their own: the state folders follow from the sockets, and this machine's is none of ours.
	const script = `mount -t tmpfs none /var/lib && unset IPVTAP_STATE_DIR && cd ${site.folder} &&
		for n in 0 1; do IPVTAP_SOCKET=$PWD/d$n.sock ${ipvtap} attach vm$n --master eth$n >/dev/null 2>&1 || exit 1; done
		for n in 0 1; do IPVTAP_SOCKET=$PWD/d$n.sock ${ipvtap} list --json; done; ls /var/lib/ipvtap
		for n in 0 1; do IPVTAP_SOCKET=$PWD/d$n.sock ${ipvtap} detach vm$n >/dev/null || exit 1; done`;
	const { status, stdout, stderr } = await site.exec(['unshare', '--mount', 'sh', '-c', script]);
	t.is(status, 0, stderr);
	t.deepEqual(
		[...stdout.matchAll(/"name": "(vm\d|eth\d)"/g)].map(match => match[1]),
		['eth0', 'vm0', 'eth1', 'vm1'],
	);
	t.regex(stdout, /\nd0-[0-9a-f]{8}\nd1-[0-9a-f]{8}\n$/);
	await until('both to end', 20_000, () => site.devices().length === 0);
});

test.serial('a state folder serves one daemon', async t => {
	const site = new Site(t);
	await site.attach('a');
	const { status, stderr } = await site.exec([ipvtap, 'up', 'eth0'], {
		IPVTAP_SOCKET: join(site.folder, 'b.sock'),
	});
	t.is(status, 4);
	t.regex(
		stderr,
		/^error: can't start the daemon: can't use the state folder .*: another daemon does \(process \d+, socket .*a\.sock\)\nhint: /,
	);
	t.false(existsSync(join(site.folder, 'b.sock')));
});

test.serial('curl and the command line see the same', async t => {
	const site = new Site(t);
	const curl = (...args: string[]) =>
		execFileSync('curl', ['-s', '--unix-socket', site.socket, ...args], { encoding: 'utf8' });
	await site.json('up', 'eth0');
	const made = JSON.parse(
		curl('-X', 'PUT', 'http://x/v1/slaves/web1', '-d', '{"master":"eth0","addresses":["192.0.2.10/32"]}'),
	) as Slave;
	t.like(made, { name: 'web1', ifname: 'ipvt-web1' });
	const { stats: _, ...lasting } = made;
	t.like(JSON.parse(curl('http://x/v1/slaves/web1')) as Slave, lasting);
	t.like(await site.json<Slave>('show', 'web1'), lasting);
	t.is((JSON.parse(curl('http://x/v1/masters')) as Master[])[0]?.host, (await site.list()).masters[0]?.host);
	t.regex(curl('http://x/metrics'), /^ipvtap_slave_up\{slave="web1",master="eth0"\} 0$/m);
	t.like(JSON.parse(curl('-X', 'DELETE', 'http://x/v1/slaves/web1')), { name: 'web1', removed: true });
	await site.gone();
});
