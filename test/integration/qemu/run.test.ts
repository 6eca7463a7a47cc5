/** `runQemu` with shells and a real QEMU for a command, in a namespace with one TAP. */
import { constants } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import type { Nic } from '../../../qemu/netdev.js';
import { until } from '../../../src/lab/wait.js';
import type { Call } from './driver.js';
import { answering, ask, childOf, idleQemu, networkOf, Running, Site, stateOf, tapsOf } from './support.js';

const shell = (script: string): string[] => ['sh', '-c', script, 'sh'];
const run = (slave: Nic, argv: string[], more: { qmp?: string; vhost?: boolean } = {}): Call => ({
	call: 'run',
	options: { slave, argv, vhost: false, ...more },
});

test.serial(
	'the command gets the TAP as 3, our arguments after its own, and gives its status back',
	async t => {
		await Site.with('status', async site => {
			const slave = await site.slave('a');
			const running = site.start(run(slave, shell('readlink /proc/self/fd/3; echo "$@"; exit 7')));
			t.is(await running.exited, 7);
			t.is(
				running.out,
				'/dev/net/tun\n-netdev tap,id=net-a,fd=3 -device virtio-net-pci,id=nic-a,netdev=net-a,mac=52:54:00:00:00:07\n',
			);
			t.is(running.outcome.fds[0], running.outcome.fds[1]);
			t.false(await site.hasDevice(slave.ifname));
		});
	},
);

test.serial('the command has its standard input, output and error as they are', async t => {
	await Site.with('stdio', async site => {
		const running = site.start(run(await site.slave('a'), shell('read line; echo "$line"; echo err >&2')));
		running.child.stdin?.end('from outside\n');
		t.is(await running.exited, 0);
		t.is(running.out, 'from outside\n');
		t.regex(running.err, /^err$/m);
	});
});

test.serial('every queue of a multi-queue TAP is inherited', async t => {
	await Site.with('queues', async site => {
		const slave = await site.slave('a', { queues: 3 });
		const running = site.start(
			run(slave, shell('readlink /proc/self/fd/3 /proc/self/fd/4 /proc/self/fd/5; echo "$2"')),
		);
		t.is(await running.exited, 0);
		t.is(running.out, `${'/dev/net/tun\n'.repeat(3)}tap,id=net-a,fds=3:4:5\n`);
		t.false(await site.hasDevice(slave.ifname));
	});
});

test.serial('a command that a signal ends gives 128 and its number', async t => {
	await Site.with('killed', async site => {
		const slave = await site.slave('a');
		t.is(await site.start(run(slave, shell('kill -KILL $$'))).exited, 137);
		t.false(await site.hasDevice(slave.ifname));
	});
});

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT', 'SIGUSR1', 'SIGUSR2'] as const) {
	test.serial(`${signal} is passed on`, async t => {
		await Site.with('signal', async site => {
			const trap = `sleep 1000 & trap "kill $!; exit 42" ${constants.signals[signal]}; echo ready; wait`;
			const running = site.start(run(await site.slave('a'), shell(trap)));
			await running.printed('ready');
			running.child.kill(signal);
			t.is(await running.exited, 42);
		});
	});
}

test.serial('SIGTSTP stops both, SIGCONT lets both go on', async t => {
	await Site.with('stop', async site => {
		const running = site.start(run(await site.slave('a'), shell('echo ready; read line; exit 3')));
		await running.printed('ready');
		const pids = [running.child.pid!, childOf(running.child.pid!)!];
		running.child.kill('SIGTSTP');
		await until('both to stop', 20_000, () => pids.every(pid => stateOf(pid) === 'T'));
		running.child.kill('SIGCONT');
		await until('both to go on', 20_000, () => pids.every(pid => stateOf(pid) !== 'T'));
		running.child.stdin?.end('\n');
		t.is(await running.exited, 3);
	});
});

test.serial("a terminal's Ctrl-C reaches the command once", async t => {
	await Site.with('terminal', async site => {
		const counting =
			'count=0; trap "count=\\$((count+1)); echo interrupt" INT; trap "exit \\$count" TERM; echo ready; while :; do sleep 0.05; done';
		const words = site.words(run(await site.slave('a'), shell(counting)));
		// script(1) gives us a terminal; what is written to its input is typed there.
		const command = `exec ${words.map(word => `'${word}'`).join(' ')}`;
		const running = new Running(
			site.spawn(['script', '--quiet', '--return', '--command', command, '/dev/null']),
		);
		await running.printed('ready');
		running.child.stdin?.write('\x03');
		await running.printed('interrupt');
		const runner = childOf(running.child.pid!)!;
		process.kill(runner, 'SIGTERM');
		t.is(await running.exited, 1);
		t.is(running.out.split('interrupt').length - 1, 1);
	});
});

/** Commands that can't be started; the slave must stay what it was. */
const unfit: [what: string, command: string, code: string][] = [
	['is not in PATH', 'no-such-program-anywhere', 'not-found'],
	['does not exist', '/no/such/program', 'not-found'],
	['is a folder', '/etc', 'permission'],
	['is not executable', '/etc/passwd', 'permission'],
];

for (const [what, command, code] of unfit) {
	test.serial(`a command that ${what} is refused, and the TAP stays`, async t => {
		await Site.with('unfit', async site => {
			const slave = await site.slave('a');
			const running = site.start(run(slave, [command, '-x']));
			await running.exited;
			t.is(running.outcome.error?.code, code, running.outcome.error?.message);
			t.is(running.outcome.fds[0], running.outcome.fds[1]);
			t.true(await site.hasDevice(slave.ifname));
			t.false(await site.isHeld(slave.ifname));
		});
	});
}

test.serial('an argument list that the kernel refuses leaves the TAP', async t => {
	await Site.with('toobig', async site => {
		const slave = await site.slave('a');
		// MAX_ARG_STRLEN of linux/binfmts.h is 128 KiB.
		const { error, fds } = await site.call(run(slave, ['true', 'x'.repeat(200_000)]));
		t.is(error?.code, 'failed');
		t.is(fds[0], fds[1]);
		t.true(await site.hasDevice(slave.ifname));
	});
});

test.serial('a TAP that is gone is not made anew', async t => {
	await Site.with('gone', async site => {
		const slave = { name: 'a', ifname: 'ipvt-a', mac: '52:54:00:00:00:07', mtu: 1500, queues: 1 };
		const { error } = await site.call(run(slave, ['true']));
		t.is(error?.code, 'not-found');
		t.false(await site.hasDevice(slave.ifname));
	});
});

test.serial('a TAP that somebody holds is a conflict', async t => {
	await Site.with('busy', async site => {
		const slave = await site.slave('a');
		const first = site.start(run(slave, shell('echo ready; read line')));
		await first.printed('ready');
		const { error, fds } = await site.call(run(slave, ['true']));
		t.is(error?.code, 'conflict');
		t.is(fds[0], fds[1]);
		first.child.stdin?.end('\n');
		t.is(await first.exited, 0);
	});
});

test.serial('QEMU uses the inherited TAP, adds no NIC of its own, and takes the TAP with it', async t => {
	await Site.with('qemu', async site => {
		const slave = await site.slave('a');
		const qmp = join(site.folder, 'q.qmp');
		const plain = [
			'qemu-system-x86_64',
			'-accel',
			'tcg',
			'-m',
			'16',
			'-S',
			'-display',
			'none',
			'-serial',
			'none',
			'-monitor',
			'none',
		];
		const running = site.start(run(slave, plain, { qmp }));
		await answering(qmp);
		const network = await networkOf(qmp);
		t.regex(network, /nic-a: index=0,type=nic,model=virtio-net-pci,macaddr=52:54:00:00:00:07/);
		t.regex(network, /net-a: index=0,type=tap,fd=3/);
		t.notRegex(network, /type=user|e1000/);
		t.is(tapsOf(running.child.pid!), 0);
		t.true(await site.isHeld(slave.ifname));
		running.child.kill('SIGTERM');
		t.is(await running.exited, 0);
		t.false(await site.hasDevice(slave.ifname));
	});
});

test.serial("the user's own NICs stay beside ours", async t => {
	await Site.with('ownnic', async site => {
		const qmp = join(site.folder, 'q.qmp');
		const running = site.start(
			run(await site.slave('a'), idleQemu('q35', '-nic', 'user,model=e1000'), { qmp }),
		);
		await answering(qmp);
		const network = await networkOf(qmp);
		t.regex(network, /e1000/);
		t.regex(network, /type=tap,fd=3/);
		await ask(qmp, 'quit');
		t.is(await running.exited, 0);
	});
});

test.serial('QEMU takes all queues of a multi-queue TAP', async t => {
	await Site.with('qemumq', async site => {
		const qmp = join(site.folder, 'q.qmp');
		const slave = await site.slave('a', { queues: 2 });
		const running = site.start(run(slave, idleQemu(), { qmp }));
		await answering(qmp);
		const network = await networkOf(qmp);
		t.regex(network, /net-a: index=0,type=tap,fd=3/);
		t.regex(network, /net-a: index=1,type=tap,fd=4/);
		running.child.kill('SIGINT');
		t.is(await running.exited, 0);
		t.false(await site.hasDevice(slave.ifname));
	});
});

test.serial('kill -9 of QEMU: its status is passed on, the TAP is gone', async t => {
	await Site.with('killqemu', async site => {
		const qmp = join(site.folder, 'q.qmp');
		const slave = await site.slave('a');
		const running = site.start(run(slave, idleQemu(), { qmp }));
		await answering(qmp);
		process.kill(childOf(running.child.pid!)!, 'SIGKILL');
		t.is(await running.exited, 137);
		t.false(await site.hasDevice(slave.ifname));
	});
});

test.serial('kill -9 of the runner: QEMU works on, and takes the TAP with it when it ends', async t => {
	await Site.with('killrunner', async site => {
		const qmp = join(site.folder, 'q.qmp');
		const slave = await site.slave('a');
		const running = site.start(run(slave, idleQemu(), { qmp }));
		await answering(qmp);
		running.child.kill('SIGKILL');
		t.true(await site.isHeld(slave.ifname));
		t.regex(await networkOf(qmp), /type=tap,fd=3/);
		await ask(qmp, 'quit');
		await until('the TAP to go', 20_000, async () => !(await site.hasDevice(slave.ifname)));
		await running.exited;
	});
});
