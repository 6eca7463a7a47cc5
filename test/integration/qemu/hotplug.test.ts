/** Plugging into and unplugging from a real QEMU that has no guest: what QEMU does, and that nothing is left. */
import { createConnection } from 'node:net';
import test from 'ava';
import type { HotPlugged } from '../../../qemu/hotplug.js';
import type { Nic } from '../../../qemu/netdev.js';
import { vhostAvailable } from '../../../qemu/vhost.js';
import { until } from '../../../src/lab/wait.js';
import type { Call, Outcome } from './driver.js';
import { ask, type IdleQemu, networkOf, Site, stateOf } from './support.js';

const plug = (
	qemu: IdleQemu | string,
	slave: Nic,
	more: { bus?: string; vhost?: boolean; timeoutMs?: number } = {},
): Call => ({
	call: 'plug',
	options: { qmpPath: typeof qemu === 'string' ? qemu : qemu.qmp, slave, vhost: false, ...more },
});
const unplug = (qemu: IdleQemu, timeoutMs = 500): Call => ({
	call: 'unplug',
	options: { qmpPath: qemu.qmp, id: 'nic-a', timeoutMs },
});
const port = (id: string, chassis: number): string[] => [
	'-device',
	`pcie-root-port,id=${id},chassis=${chassis}`,
];

/** Runs `body` with a QEMU and a slave, and checks that QEMU is alive at its end. */
async function withQemu(
	name: string,
	[machine, ...args]: [string, ...string[]],
	body: (qemu: IdleQemu, slave: Nic, site: Site) => Promise<void>,
	options: { queues?: number; mtu?: number } = {},
): Promise<void> {
	await Site.with(name, async site => {
		const slave = await site.slave('a', options);
		await body(await site.idleQemu(machine, ...args), slave, site);
	});
}

test.serial('q35: the NIC goes to the first free root port, in the order of numbers', async t => {
	const ports = [...port('rp10', 3), ...port('rp9', 2), ...port('rp1', 1)];
	const used = ['-device', 'virtio-rng-pci,bus=rp1'];
	const closed = ['-device', 'pcie-root-port,id=rp0,chassis=9,hotplug=off'];
	await withQemu('ports', ['q35', ...ports, ...used, ...closed], async (qemu, slave, site) => {
		const { value, error, fds } = await site.call(plug(qemu, slave));
		t.is(error, undefined);
		t.deepEqual(value as HotPlugged, { netdev: 'net-a', device: 'nic-a', bus: 'rp9' });
		t.is(fds[0], fds[1]);
		t.is(qemu.taps(), 1);
		t.true(await site.isHeld(slave.ifname));
		t.regex(await networkOf(qemu.qmp), /nic-a.*macaddr=52:54:00:00:00:07[\s\S]*net-a.*type=tap/);
	});
});

test.serial('pc: QEMU finds a slot by itself', async t => {
	await withQemu('pc', ['pc'], async (qemu, slave, site) => {
		const { value, error } = await site.call(plug(qemu, slave));
		t.is(error, undefined);
		t.is((value as HotPlugged).bus, undefined);
		t.is(qemu.taps(), 1);
	});
});

test.serial('a bus that is asked for is taken', async t => {
	await withQemu('bus', ['q35', ...port('rp0', 1), ...port('rp1', 2)], async (qemu, slave, site) => {
		const { value } = await site.call(plug(qemu, slave, { bus: 'rp1' }));
		t.is((value as HotPlugged).bus, 'rp1');
	});
});

test.serial('all queues are handed over', async t => {
	const body = async (qemu: IdleQemu, slave: Nic, site: Site): Promise<void> => {
		t.is((await site.call(plug(qemu, slave))).error, undefined);
		t.is(qemu.taps(), 3);
		t.regex(await networkOf(qemu.qmp), /net-a: index=2,type=tap/);
		t.is(await ask(qemu.qmp, 'qom-get', { path: '/machine/peripheral/nic-a', property: 'vectors' }), 8);
	};
	await withQemu('queues', ['q35', ...port('rp0', 1)], body, { queues: 3 });
});

test.serial('the MTU is told where it is not 1500', async t => {
	const body = async (qemu: IdleQemu, slave: Nic, site: Site): Promise<void> => {
		t.is((await site.call(plug(qemu, slave))).error, undefined);
		t.is(await ask(qemu.qmp, 'qom-get', { path: '/machine/peripheral/nic-a', property: 'host_mtu' }), 1400);
	};
	await withQemu('mtu', ['q35', ...port('rp0', 1)], body, { mtu: 1400 });
});

test.serial(
	'vhost-net is used where it is there, and refused without harm to QEMU where it is not',
	async t => {
		await withQemu('vhost', ['q35', ...port('rp0', 1)], async (qemu, slave, site) => {
			const before = await qemu.files();
			const { error } = await site.call(plug(qemu, slave, { vhost: true }));
			if (vhostAvailable()) {
				t.is(error, undefined);
				t.true((await qemu.files()).includes('/dev/vhost-net'));
			} else {
				t.regex(error?.message ?? '', /\/dev\/vhost-net/);
				t.deepEqual(await qemu.files(), before);
			}
			t.true(qemu.alive);
		});
	},
);

/** Plugging that fails; QEMU must have exactly the descriptors it had, and so must we. */
interface Failure {
	what: string;
	machine: [string, ...string[]];
	call(qemu: IdleQemu, slave: Nic, site: Site): Promise<Call> | Call;
	code: string;
	message: RegExp;
	hint?: RegExp;
}

const failures: Failure[] = [
	{
		what: 'q35 without a root port',
		machine: ['q35'],
		call: (qemu, slave) => plug(qemu, slave),
		code: 'failed',
		message: /does not support hotplugging/,
		hint: /-device pcie-root-port,id=rp0/,
	},
	{
		what: 'a machine without PCI',
		machine: ['none'],
		call: (qemu, slave) => plug(qemu, slave),
		code: 'failed',
		message: /No 'PCI' bus/,
	},
	{
		what: 'a bus that is not there',
		machine: ['q35', ...port('rp0', 1)],
		call: (qemu, slave) => plug(qemu, slave, { bus: 'rp7' }),
		code: 'failed',
		message: /Bus 'rp7' not found/,
	},
	{
		what: 'a MAC that QEMU refuses',
		machine: ['q35', ...port('rp0', 1)],
		call: (qemu, slave) => plug(qemu, { ...slave, mac: 'no' }),
		code: 'failed',
		message: /device_add/,
	},
	{
		what: 'a backend of that id in use',
		machine: ['q35', ...port('rp0', 1), '-netdev', 'user,id=net-a'],
		call: (qemu, slave) => plug(qemu, slave),
		code: 'failed',
		message: /netdev_add: Duplicate ID/,
	},
	{
		what: 'a TAP that is gone',
		machine: ['q35', ...port('rp0', 1)],
		call: (qemu, slave) => plug(qemu, { ...slave, ifname: 'ipvt-gone' }),
		code: 'not-found',
		message: /ipvt-gone/,
	},
	{
		what: 'a TAP that somebody else holds',
		machine: ['q35', ...port('rp0', 1)],
		call: async (qemu, slave, site) => {
			const other = await site.idleQemu('q35', ...port('rp0', 1));
			await site.call(plug(other, slave));
			return plug(qemu, slave);
		},
		code: 'conflict',
		message: /another process holds it/,
	},
	{
		what: 'a TAP of another kind',
		machine: ['q35', ...port('rp0', 1)],
		call: (qemu, slave) => plug(qemu, { ...slave, queues: 2 }),
		code: 'conflict',
		message: /multi-queue/,
	},
];

for (const { what, machine, call, code, message, hint } of failures) {
	test.serial(`plugging fails and leaves nothing: ${what}`, async t => {
		await withQemu('fail', machine, async (qemu, slave, site) => {
			const job = await call(qemu, slave, site);
			const [network, before] = [await networkOf(qemu.qmp), await qemu.files()];
			const { error, fds } = await site.call(job);
			t.is(error?.code, code, error?.message);
			t.regex(error?.message ?? '', message);
			if (hint !== undefined) t.regex(error?.hint ?? '', hint);
			t.is(fds[0], fds[1]);
			t.deepEqual(await qemu.files(), before);
			t.is(await networkOf(qemu.qmp), network);
			t.true(qemu.alive);
			t.false(await site.hasDevice('ipvt-gone'));
		});
	});
}

test.serial('plugging what is plugged in already is a conflict', async t => {
	await withQemu('twice', ['q35', ...port('rp0', 1), ...port('rp1', 2)], async (qemu, slave, site) => {
		t.is((await site.call(plug(qemu, slave))).error, undefined);
		const before = await qemu.files();
		t.is((await site.call(plug(qemu, slave))).error?.code, 'conflict');
		t.deepEqual(await qemu.files(), before);
	});
});

for (const machine of ['q35', 'pc']) {
	test.serial(
		`${machine}, no guest: unplugging times out, the NIC stays whole, a reset completes it`,
		async t => {
			const ports = machine === 'q35' ? port('rp0', 1) : [];
			await withQemu('deaf', [machine, ...ports], async (qemu, slave, site) => {
				const before = await qemu.files();
				await site.call(plug(qemu, slave));
				const plugged = await networkOf(qemu.qmp);
				for (let round = 0; round < 2; round++) {
					const { error, fds, milliseconds } = await site.call(unplug(qemu));
					t.is(error?.code, 'timed-out');
					t.regex(error?.hint ?? '', /detach/);
					t.true(milliseconds >= 500 && milliseconds < 10_000);
					t.is(fds[0], fds[1]);
					t.is(await networkOf(qemu.qmp), plugged);
					t.true(await site.isHeld(slave.ifname));
				}
				await ask(qemu.qmp, 'system_reset');
				const { error } = await site.call(unplug(qemu, 5000));
				t.is(error, undefined);
				t.deepEqual(await qemu.files(), before);
				t.is(await networkOf(qemu.qmp), '');
				t.true(await site.hasDevice(slave.ifname));
				t.false(await site.isHeld(slave.ifname));
				t.is((await site.call(unplug(qemu))).error, undefined);
			});
		},
	);
}

test.serial('a NIC of a bus that lets nothing go is refused at once', async t => {
	const cold = ['-netdev', 'user,id=net-a', '-device', 'virtio-net-pci,id=nic-a,netdev=net-a'];
	await withQemu('cold', ['q35', ...cold], async (qemu, _slave, site) => {
		const network = await networkOf(qemu.qmp);
		const { error, milliseconds } = await site.call(unplug(qemu, 20_000));
		t.is(error?.code, 'failed');
		t.regex(error?.message ?? '', /does not support hotplugging/);
		t.true(milliseconds < 15_000);
		t.is(await networkOf(qemu.qmp), network);
	});
});

test.serial('native PCIe hot-plug: an unpowered slot lets go at once', async t => {
	const native = ['-global', 'ICH9-LPC.acpi-pci-hotplug-with-bridge-support=off'];
	await withQemu('native', ['q35', ...port('rp0', 1), ...native], async (qemu, slave, site) => {
		const before = await qemu.files();
		for (let round = 0; round < 3; round++) {
			t.is((await site.call(plug(qemu, slave))).error, undefined);
			t.is((await site.call(unplug(qemu, 5000))).error, undefined);
		}
		t.deepEqual(await qemu.files(), before);
	});
});

test.serial('a QEMU that stands still times out, and has nothing of ours when it goes on', async t => {
	await withQemu('stopped', ['q35', ...port('rp0', 1)], async (qemu, slave, site) => {
		const before = await qemu.files();
		process.kill(qemu.pid, 'SIGSTOP');
		await until('QEMU to stop', 20_000, () => stateOf(qemu.pid) === 'T');
		const { error, fds } = await site.call(plug(qemu, slave, { timeoutMs: 300 }));
		t.is(error?.code, 'timed-out');
		t.is(fds[0], fds[1]);
		process.kill(qemu.pid, 'SIGCONT');
		t.deepEqual(await qemu.files(), before);
		t.is(await networkOf(qemu.qmp), '');
		t.is((await site.call(plug(qemu, slave))).error, undefined);
	});
});

test.serial('a QMP socket with another client says so', async t => {
	await withQemu('occupied', ['q35', ...port('rp0', 1)], async (qemu, slave, site) => {
		const others = [0, 1, 2].map(() => createConnection(qemu.qmp).on('error', () => {}));
		try {
			await new Promise(resolve => others[0]!.once('data', resolve));
			const { error } = await site.call(plug(qemu, slave, { timeoutMs: 300 }));
			t.is(error?.code, 'timed-out');
			t.regex(error?.hint ?? '', /serves one client/);
		} finally {
			for (const other of others) other.destroy();
		}
		t.is(qemu.taps(), 0);
	});
});

test.serial("QEMU's human monitor is told from QMP", async t => {
	await Site.with('hmp', async site => {
		const slave = await site.slave('a');
		const monitor = `${site.folder}/hmp`;
		await site.idleQemu('q35', '-monitor', `unix:${monitor},server=on,wait=off`);
		const outcome: Outcome = await site.call(plug(monitor, slave));
		t.is(outcome.error?.code, 'failed');
		t.regex(outcome.error?.message ?? '', /not QMP/);
		t.regex(outcome.error?.hint ?? '', /-monitor/);
		t.is(outcome.fds[0], outcome.fds[1]);
	});
});
