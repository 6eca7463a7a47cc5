import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import test from 'ava';
import type { Slave } from '../../../src/control/model.js';
import { until } from '../../../src/lab/wait.js';
import { getLink } from '../../../src/sys/netlink/link.js';
import { enterFreshNamespace, run as ip } from '../../helpers/in-namespace.js';
import { ended, ipvtap, isAlive, Site } from './site.js';

test.before(enterFreshNamespace);

// Stands for QEMU: shows what it was given, and ends as it is told. The real one is in test/integration/qemu.
const fake = (script: string) => ['sh', '-c', script, 'qemu'];

test.serial(
	'a program is run with the TAP as descriptor 3, its arguments added, and its status given back',
	async t => {
		const site = new Site(t);
		const { status, stdout, stderr } = await site.run(
			'run',
			'--master',
			'eth0',
			'--name',
			'web1',
			'--ip',
			'192.0.2.10',
			'--',
			...fake('echo "$@"; readlink /proc/$$/fd/3; exit 42'),
			'-m',
			'1G',
		);
		t.is(status, 42, stderr);
		const [args, device] = stdout.trim().split('\n');
		t.regex(
			args ?? '',
			/^-m 1G -netdev tap,id=net-web1,fd=3\S* -device virtio-net-pci,id=nic-web1,netdev=net-web1,mac=52:54:00:\S+ -qmp unix:\S+,server=on,wait=off$/,
		);
		t.is(device, '/dev/net/tun');
		t.regex(stderr, /^attached web1 to eth0: MAC 52:54:00:\S+, 192\.0\.2\.10\n$/);
		await site.gone();
		t.is(getLink('ipvt-web1'), undefined);
	},
);

test.serial('while it runs there is a slave, and afterwards nothing', async t => {
	const site = new Site(t);
	const running = site.start([ipvtap, 'run', '--master', 'eth0', '--', ...fake('exec sleep 60')]);
	await until('the slave to be up', 20_000, async () => (await site.list()).slaves[0]?.state === 'up');
	t.like((await site.list()).slaves[0], { name: 'vm1', ephemeral: true, ifname: 'ipvt-vm1' });
	running.kill('SIGTERM');
	t.is((await ended(running)).status, 143, 'the signal was passed on');
	t.is(getLink('ipvt-vm1'), undefined);
	await site.gone();
});

test.serial("names are QEMU's own, or the first that is free", async t => {
	const site = new Site(t);
	await site.attach('vm1');
	const name = async (...args: string[]) => {
		const { status, stdout } = await site.run(
			'run',
			'--json',
			...args,
			'--',
			...fake('true'),
			...(args.length === 0 ? ['-name', 'guest=db.1,debug-threads=on'] : []),
		);
		t.is(status, 0);
		return (JSON.parse(stdout) as Slave & { exitStatus: number }).name;
	};
	t.is(await name(), 'db.1');
	t.is(await name('--queues', '1'), 'vm2');
	t.is(await name('--name', 'x'), 'x');
	const taken = await site.run('run', '--name', 'vm1', '--', 'true');
	t.is(taken.status, 4, taken.stderr);
});

test.serial('without --master it is the one that is up, or the one with the default route', async t => {
	const site = new Site(t, ['eth0', 'eth1']);
	const master = async () => {
		const { status, stdout, stderr } = await site.run('run', '--json', '--', ...fake('true'));
		return status === 0 ? (JSON.parse(stdout) as Slave).master : stderr;
	};
	t.regex(
		await master(),
		/^error: no master is given, and there is no default route to tell which\nhint: .*--master/,
	);
	ip('ip', 'route', 'add', 'default', 'via', '192.0.2.62', 'dev', 'eth0');
	t.is(await master(), 'eth0');
	await site.json('attach', 'a', '--master', 'eth1');
	t.is(await master(), 'eth1');
	await site.json('up', 'eth0');
	t.is(await master(), 'eth0', 'of two, the one with the default route');
});

test.serial('when `run` is killed, its program keeps the slave until it ends', async t => {
	const site = new Site(t);
	const running = site.start([ipvtap, 'run', '--master', 'eth0', '--', ...fake('exec sleep 60')]);
	await until('the slave to be up', 20_000, async () => (await site.list()).slaves[0]?.state === 'up');
	const children = readFileSync(`/proc/${running.pid}/task/${running.pid}/children`, 'utf8')
		.trim()
		.split(' ');
	const child = children
		.map(Number)
		.find(pid => readFileSync(`/proc/${pid}/cmdline`, 'utf8').startsWith('sleep'));
	running.kill('SIGKILL');
	await once(running, 'exit');
	if (child === undefined || !isAlive(child)) return t.fail('the program ended with `run`');
	t.is((await site.list()).slaves[0]?.state, 'up');
	process.kill(child, 'SIGKILL');
	await site.gone();
	t.is(getLink('ipvt-vm1'), undefined);
});

test.serial('a daemon that is killed meanwhile takes nothing from it, and the next one knows it', async t => {
	const site = new Site(t);
	const running = site.start([
		ipvtap,
		'run',
		'--master',
		'eth0',
		'--ip',
		'192.0.2.10',
		'--',
		...fake('exec sleep 60'),
	]);
	await until('the slave to be up', 20_000, async () => (await site.list()).slaves[0]?.state === 'up');
	await site.crash();
	t.like((await site.list()).slaves[0], { name: 'vm1', state: 'up', ephemeral: true });
	await site.crash();
	running.kill('SIGTERM');
	t.is((await ended(running)).status, 143);
	t.is(getLink('ipvt-vm1'), undefined, 'the TAP went with its holder');
	t.deepEqual((await site.list()).slaves, [], 'and the slave with the TAP');
	await site.gone();
});

for (const [what, command, code, message] of [
	[
		'no such program',
		['/no/such/qemu'],
		3,
		/^error: run \/no\/such\/qemu: there is no such program\nhint: /m,
	],
	['a program that may not be run', ['/etc/passwd'], 5, /^error: run \/etc\/passwd: it is not executable/m],
	[
		'a descriptor that is ours',
		['sh', '-netdev', 'tap,id=x,fd=3'],
		2,
		/^error: run: 'tap,id=x,fd=3' uses descriptor 3/m,
	],
] as const) {
	test.serial(`${what}: nothing is left`, async t => {
		const site = new Site(t);
		const { status, stderr } = await site.run('run', '--master', 'eth0', '--', ...command);
		t.is(status, code, stderr);
		t.regex(stderr, message);
		await site.gone();
	});
}

test.serial('the daemon must live in the same network namespace', async t => {
	const site = new Site(t);
	await site.attach('a');
	const { status, stderr } = await site.exec([
		'unshare',
		'--net',
		ipvtap,
		'run',
		'--master',
		'eth0',
		'--',
		'true',
	]);
	t.is(status, 1, stderr);
	t.regex(
		stderr,
		/^error: can't open the TAP: the daemon at \S+ is in another network namespace\nhint: go there \(nsenter/,
	);
	t.deepEqual(
		(await site.list()).slaves.map(({ name }) => name),
		['a'],
	);
});
