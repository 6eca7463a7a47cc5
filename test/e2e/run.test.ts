/** `ipvtap run`: exit status and signals pass through, nothing is left, and a dead QEMU gives its slave back at once. */
import { type ChildProcess, spawn } from 'node:child_process';
import test, { type ExecutionContext } from 'ava';
import { call } from '../../src/control/client.js';
import type { Listing } from '../../src/control/model.js';
import { until } from '../../src/lab/wait.js';
import { alive } from '../helpers/product.js';
import { answering } from '../integration/qemu/support.js';
import { vm1, vm2, World } from './world.js';

let world: World;

test.before(async () => {
	world = await World.create();
});

test.after.always(() => world?.close());

/** A QEMU without a guest: up in 50 ms, its CPU stopped. */
const idle = [
	'qemu-system-x86_64',
	'-M',
	'q35',
	'-accel',
	'tcg',
	'-m',
	'16',
	'-S',
	'-nodefaults',
	'-no-user-config',
	'-display',
	'none',
];

interface Run {
	child: ChildProcess;
	exit: Promise<number | null>;
	words: () => string;
}

function start(name: string, command: readonly string[], ...options: string[]): Run {
	const [file, ...words] = [
		...world.product.words,
		'run',
		'--master',
		'eth0',
		'--name',
		name,
		...options,
		'--',
		...command,
	];
	const child = spawn(file!, words, { env: world.product.env, stdio: ['ignore', 'pipe', 'pipe'] });
	let said = '';
	child.stdout.on('data', chunk => {
		said += chunk;
	});
	child.stderr.on('data', chunk => {
		said += chunk;
	});
	const exit = new Promise<number | null>(resolve =>
		child.once('exit', (code, signal) => resolve(code ?? (signal === 'SIGKILL' ? 137 : 255))),
	);
	return { child, exit, words: () => said };
}

test.serial("the command's exit status is run's", async t => {
	for (const status of [0, 1, 37, 255]) {
		const { exit, words } = start('status', ['sh', '-c', `exit ${status}`]);
		t.is(await exit, status, words());
	}
	const killed = start('killed', ['sh', '-c', 'kill -KILL $$']);
	t.is(await killed.exit, 137);
	const missing = start('missing', ['/nonexistent/qemu']);
	t.is(await missing.exit, 3, missing.words());
	t.regex(missing.words(), /error: .*\/nonexistent\/qemu[\s\S]*hint: /);
	await world.product.assertNothingLeft();
});

test.serial('a signal to run reaches QEMU, and nothing is left', async t => {
	for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) {
		const qmp = `${world.lan.folder}/${signal}.qmp`;
		const command = [...idle, '-qmp', `unix:${qmp},server=on,wait=off`];
		const { child, exit, words } = start('signalled', command, '--ip', '192.0.2.40');
		// Before QEMU handles signals it dies of them, and its status says so.
		await answering(qmp);
		child.kill(signal);
		t.is(await exit, 0, `${signal}: ${words()}`);
	}
	await world.product.assertNothingLeft();
});

test.serial('QEMU refuses its arguments: its own words and status, and nothing is left', async t => {
	const { exit, words } = start('refused', [...idle, '-device', 'no-such-device']);
	t.is(await exit, 1);
	t.regex(words(), /no-such-device/);
	await world.product.assertNothingLeft();
});

test.serial('kill -9 of QEMU gives the slave and its addresses back', async t => {
	const times: number[] = [];
	// One that a command has started would end with each of them.
	await world.product.daemon();
	await world.product.up('eth0');
	for (let round = 0; round < 10; round++) {
		const { exit } = start('victim', idle, '--ip', '192.0.2.40', '--ip', '2001:db8:1::40');
		await carrier('victim');
		const pid = await qemuOf('victim');
		const started = performance.now();
		process.kill(pid, 'SIGKILL');
		await gone('victim');
		times.push(performance.now() - started);
		t.is(await exit, 137);
	}
	await again(t, '192.0.2.40');
	t.log(`slave gone after kill -9 of QEMU: ${spread(times)} (promised: 100 ms)`);
	t.true(Math.max(...times) < 2000);
	await world.product.end();
	await world.product.assertNothingLeft();
});

test.serial('kill -9 of run leaves its QEMU at work; the slave goes with QEMU', async t => {
	const guest = await world.run(vm1);
	const { child, exit } = start('orphan', idle, '--ip', '192.0.2.40');
	await carrier('orphan');
	const pid = await qemuOf('orphan');
	// What the shell script has become by exec.
	child.kill('SIGKILL');
	await exit;
	t.true(alive(pid), 'QEMU goes on');
	t.true((await listing()).slaves.some(({ name, state }) => name === 'orphan' && state === 'up'));
	const started = performance.now();
	process.kill(pid, 'SIGKILL');
	await gone('orphan');
	const time = performance.now() - started;
	t.log(`slave gone after kill -9 of the orphan: ${time.toFixed(0)} ms`);
	t.true(time < 2000);
	await again(t, '192.0.2.40');
	t.regex(await guest.exec('ping -c1 -W5 192.0.2.3'), / 0% packet loss/);
	t.is(await guest.stop(), 0);
	await world.product.end();
	await world.product.assertNothingLeft();
});

test.serial('kill -9 of QEMU with a guest in it, while it talks', async t => {
	const [one, two] = [await world.run(vm1), await world.run(vm2)];
	await one.exec('ping -c1 -W5 192.0.2.12');
	const started = performance.now();
	process.kill(two.qemuPid, 'SIGKILL');
	await gone('vm2');
	t.log(`${(performance.now() - started).toFixed(0)} ms`);
	t.is(await two.exited, 137);
	t.notRegex((await one.run('ping -c2 -W1 192.0.2.12')).out, / 0% packet loss/, 'nothing answers for it');
	await world.product.json('attach', 'next', '--master', 'eth0', '--ip', vm2.ipv4, '--ip', vm2.ipv6);
	await world.product.detach('next');
	t.is(await one.stop(), 0);
	await world.product.assertNothingLeft();
});

async function listing(): Promise<Listing> {
	return call<Listing>(world.product.socket, 'GET', '/v1/list');
}

/** Until a slave's TAP is held by its QEMU. */
async function carrier(name: string): Promise<void> {
	await until(`QEMU to open ${name}'s TAP`, 10_000, async () => {
		const slaves = (await listing().catch(() => undefined))?.slaves ?? [];
		return slaves.some(slave => slave.name === name && slave.state === 'up');
	});
	await until('QEMU to be there', 10_000, async () => (await qemuOf(name).catch(() => 0)) !== 0);
}

/** Until the daemon knows no such slave and its TAP is no more; asked as fast as it answers. */
async function gone(name: string): Promise<void> {
	const deadline = performance.now() + 15_000;
	while ((await listing()).slaves.some(slave => slave.name === name)) {
		if (performance.now() > deadline) throw new Error(`${name} is still there`);
	}
}

/** The QEMU that was started for a slave, by the arguments that run has added. */
async function qemuOf(name: string): Promise<number> {
	const { out } = await world.lan.host.run('sh', [
		'-c',
		`for p in $(ip netns pids ${world.lan.host.name}); do tr '\\0' ' ' < /proc/$p/cmdline | grep -q '^qemu.*net-${name},' && echo $p; done`,
	]);
	const pid = Number(out.trim());
	if (!(pid > 1)) throw new Error(`no QEMU of ${name}: ${out}`);
	return pid;
}

async function again(t: ExecutionContext, address: string): Promise<void> {
	const answer = await world.product.ipvtap(['attach', 'again', '--master', 'eth0', '--ip', address]);
	t.is(answer.status, 0, answer.stderr);
	await world.product.detach('again');
}

function spread(times: number[]): string {
	const sorted = [...times].sort((a, b) => a - b);
	return `median ${sorted[sorted.length >> 1]!.toFixed(0)} ms, at most ${sorted.at(-1)!.toFixed(0)} ms of ${times.length}`;
}
