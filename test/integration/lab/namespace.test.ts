import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { createInterface } from 'node:readline';
import test from 'ava';
import { Namespace } from '../../../src/lab/namespace.js';
import { until } from '../../../src/lab/wait.js';

test('a namespace carries the PID, runs programs inside, and goes with them', async t => {
	const namespace = await Namespace.create('simple');
	t.is(namespace.name, `ipvtap-${process.pid}-simple`);
	t.deepEqual(
		JSON.parse(await namespace.exec('ip', ['-j', 'link'])).map((link: { ifname: string }) => link.ifname),
		['lo'],
	);
	t.is((await namespace.run('sh', ['-c', 'exit 3'])).rc, 3);
	const sleeper = namespace.spawn('sleep', ['60'], { stdio: 'ignore' });
	// A program that can't be asked to end, in a session of its own.
	namespace.spawn('setsid', ['sh', '-c', 'trap "" TERM; sleep 60; sleep 60'], { stdio: 'ignore' });
	await until('both programs', 20_000, async () => (await namespace.pids()).length >= 3);
	await namespace.delete();
	t.not(sleeper.signalCode, null);
	t.false(existsSync(namespace.path));
});

test('a name that is taken is a conflict', async t => {
	const namespace = await Namespace.create('taken');
	t.teardown(() => namespace.delete());
	await t.throwsAsync(Namespace.create('taken'), { code: 'conflict' });
});

test('what a program says when it fails is in the error', async t => {
	const namespace = await Namespace.create('fails');
	t.teardown(() => namespace.delete());
	await t.throwsAsync(namespace.ip('link set nothing up'), { message: /Cannot find device "nothing"/ });
	await t.throwsAsync(namespace.exec('no-such-program'), { message: /no-such-program/ });
});

/** A process that builds a LAN with a sleeper in it, then tells us and waits. */
const holder = `
	const { Lan } = await import(${JSON.stringify(new URL('../../../src/lab/lan.js', import.meta.url).href)});
	const lan = await Lan.create();
	lan.host.spawn('setsid', ['sleep', '300'], { stdio: 'ignore' });
	console.log('built');
	setInterval(() => {}, 1000);
`;

function leftOf(pid: number): string[] {
	const prefix = `ipvtap-${pid}-`;
	return [...readdirSync('/run/netns'), ...readdirSync(tmpdir())].filter(name => name.startsWith(prefix));
}

for (const signal of ['SIGKILL', 'SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
	test(`${signal} to a process with a LAN leaves nothing of it`, async t => {
		const child = spawn(process.execPath, ['--input-type=module', '-e', holder], {
			stdio: ['ignore', 'pipe', 'inherit'],
		});
		const ended = once(child, 'exit');
		await once(createInterface(child.stdout), 'line');
		t.is(leftOf(child.pid!).length, 5, 'four namespaces and a folder');
		child.kill(signal);
		t.deepEqual(await ended, [null, signal]);
		// For all but SIGKILL the process itself has cleaned up before its end; after that the watchdog does.
		if (signal !== 'SIGKILL') t.deepEqual(leftOf(child.pid!), []);
		await until('the watchdog', 20_000, () => leftOf(child.pid!).length === 0);
		t.pass();
	});
}

test('an uncaught exception leaves nothing either', async t => {
	const script = holder.replace(
		"console.log('built')",
		"console.log('built'); throw new Error('on purpose')",
	);
	const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
		stdio: ['ignore', 'pipe', 'ignore'],
	});
	t.deepEqual(await once(child, 'exit'), [1, null]);
	t.deepEqual(leftOf(child.pid!), []);
});

test('what a dead process and its watchdog have left is removed by the next lab', async t => {
	const pid = await deadPid();
	const name = `ipvtap-${pid}-forgotten`;
	const made = spawn('ip', ['netns', 'add', name]);
	await once(made, 'exit');
	const next = spawn(process.execPath, ['--input-type=module', '-e', holder], {
		stdio: ['ignore', 'pipe', 'inherit'],
	});
	const ended = once(next, 'exit');
	await once(createInterface(next.stdout), 'line');
	t.deepEqual(leftOf(pid), []);
	next.kill();
	await ended;
});

async function deadPid(): Promise<number> {
	const child = spawn('true');
	await once(child, 'exit');
	return child.pid!;
}
