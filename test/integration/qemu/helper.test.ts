/** The helper, started by a real QEMU, in a namespace with one TAP. */
import { chmodSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import test from 'ava';
import type { HelperSlave } from '../../../qemu/helper.js';
import { type Nic, slaveArguments } from '../../../qemu/netdev.js';
import type { ErrorCode } from '../../../src/errors.js';
import { answering, idleQemu, networkOf, Running, Site, tapsOf } from './support.js';

type Answer = HelperSlave | ErrorCode | null;

/** Makes the program that QEMU starts; `answer` is what its lookup finds. */
function helperIn(site: Site, answer: Answer, before = ''): string {
	const path = `${site.folder}/ipvtap-helper`;
	const entry = fileURLToPath(new URL('./helper-entry.js', import.meta.url));
	const env = `IPVTAP_TEST_SLAVE='${JSON.stringify(answer)}'`;
	writeFileSync(
		path,
		`#!/bin/sh\necho "$*" >'${path}.args'\n${before}\n${env} exec '${process.execPath}' '${entry}' "$@"\n`,
	);
	chmodSync(path, 0o755);
	return path;
}

async function succeeds(
	site: Site,
	args: string[],
	check: (pid: number, network: string) => void,
): Promise<void> {
	const qmp = `${site.folder}/q.qmp`;
	const qemu = new Running(site.spawn(idleQemu('q35', ...args, '-qmp', `unix:${qmp},server=on,wait=off`)));
	await Promise.race([
		answering(qmp),
		qemu.exited.then(status => {
			throw new Error(`QEMU ended with ${status}: ${qemu.err}`);
		}),
	]);
	check(qemu.child.pid!, await networkOf(qmp));
	qemu.child.kill('SIGTERM');
	await qemu.exited;
}

test.serial('QEMU gets the TAP, and leaves it as it was', async t => {
	await Site.with('helper', async site => {
		const slave = await site.slave('a');
		const args = slaveArguments(slave, 'helper', { vhost: false, helper: helperIn(site, slave) });
		await succeeds(site, args, (pid, network) => {
			t.is(tapsOf(pid), 1);
			t.regex(network, /net-a: index=0,type=tap,helper=/);
		});
		t.true(await site.hasDevice(slave.ifname));
		t.false(await site.isHeld(slave.ifname));
	});
});

test.serial('-netdev bridge does the same', async t => {
	await Site.with('bridge', async site => {
		const helper = helperIn(site, await site.slave('a'));
		const args = ['-netdev', `bridge,id=n,br=a,helper=${helper}`, '-device', 'virtio-net-pci,netdev=n'];
		await succeeds(site, args, pid => t.is(tapsOf(pid), 1));
	});
});

test.serial('a helper with arguments of its own, which QEMU starts through a shell', async t => {
	await Site.with('shell', async site => {
		const helper = `${helperIn(site, await site.slave('a'))} --br a`;
		const args = ['-netdev', `tap,id=n,helper=${helper}`, '-device', 'virtio-net-pci,netdev=n'];
		await succeeds(site, args, pid => t.is(tapsOf(pid), 1));
	});
});

/** Every failure ends QEMU with our sentence on its standard error; none may end with QEMU using descriptor 0. */
const failures: [what: string, answer: (slave: Nic) => Answer, said: RegExp][] = [
	['no such slave', () => 'not-found', /ipvtap-helper: no slave a\nhint: ipvtap list/],
	['no daemon', () => 'daemon-unreachable', /ipvtap-helper: no slave a/],
	['a daemon that hangs', () => null, /no answer from ipvtapd/],
	['a TAP that is gone', slave => ({ ...slave, ifname: 'ipvt-gone' }), /ipvt-gone/],
	['a TAP of another kind', slave => ({ ...slave, ifname: 'lo' }), /lo/],
	['more than one queue', slave => ({ ...slave, queues: 2 }), /2 queues.*\nhint: .*--format qemu/],
];

for (const [what, answer, said] of failures) {
	test.serial(`QEMU ends, with our reason: ${what}`, async t => {
		await Site.with('fails', async site => {
			const slave = await site.slave('a');
			const args = slaveArguments(slave, 'helper', { vhost: false, helper: helperIn(site, answer(slave)) });
			const qemu = new Running(site.spawn(idleQemu('q35', ...args)));
			t.is(await qemu.exited, 1);
			t.regex(qemu.err, said);
			t.regex(qemu.err, /bridge helper failed/);
			t.false(await site.isHeld(slave.ifname));
			t.false(await site.hasDevice('ipvt-gone'));
		});
	});
}

test.serial('QEMU without br= is told to name a slave', async t => {
	await Site.with('nobr', async site => {
		const args = ['-netdev', `tap,id=n,helper=${helperIn(site, 'not-found')}`];
		const qemu = new Running(site.spawn(idleQemu('q35', ...args)));
		t.is(await qemu.exited, 1);
		t.regex(qemu.err, /hint: .*br=NAME/);
	});
});

test.serial('a TAP in use by another QEMU is a conflict', async t => {
	await Site.with('inuse', async site => {
		const slave = await site.slave('a');
		const args = slaveArguments(slave, 'helper', { vhost: false, helper: helperIn(site, slave) });
		await site.idleQemu('q35', ...slaveArguments(slave, 'qemu', { vhost: false }));
		const second = new Running(site.spawn(idleQemu('q35', ...args)));
		t.is(await second.exited, 1);
		t.regex(second.err, /another process holds it open/);
	});
});

test.serial('a helper that is killed ends QEMU too', async t => {
	await Site.with('killed', async site => {
		const slave = await site.slave('a');
		const helper = helperIn(site, slave, 'kill -9 $$');
		const qemu = new Running(
			site.spawn(idleQemu('q35', ...slaveArguments(slave, 'helper', { vhost: false, helper }))),
		);
		t.is(await qemu.exited, 1);
		t.false(await site.isHeld(slave.ifname));
	});
});

test.serial('a socket whose other side is gone', async t => {
	await Site.with('nobody', async site => {
		const slave = await site.slave('a');
		const helper = helperIn(site, slave);
		// Standard input of a child that Node starts is one end of a socket pair.
		const child = site.spawn([helper, '--use-vnet', '--fd=0', '--br=a']);
		child.stdin?.destroy();
		const running = new Running(child);
		t.not(await running.exited, 0);
		t.regex(running.err, /ipvtap-helper: /);
		t.false(await site.isHeld(slave.ifname));
	});
});
