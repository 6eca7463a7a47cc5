/** `run` and hot-plug with real guests: one TAP in a namespace, the host's end of it with addresses. */
import test from 'ava';
import type { Nic } from '../../../qemu/netdev.js';
import { Guest } from '../../../src/lab/guest.js';
import { openFiles } from './open-files.js';
import { Site, tapsOf } from './support.js';

const port = ['-device', 'pcie-root-port,id=rp0,chassis=1'];
const appearMs = 10_000;

/** Waits in the guest for the NIC, and gives it an address. */
const useNic = `
until ip link show eth0 >/dev/null 2>&1; do sleep 0.02; done
ip addr add 10.0.0.2/24 dev eth0 && ip link set eth0 up
ping -c 2 -W 5 10.0.0.1 >/dev/null && cat /sys/class/net/eth0/mtu`;

async function addressed(site: Site, slave: Nic): Promise<Nic> {
	await site.namespace.ip(`addr add 10.0.0.1/24 dev ${slave.ifname}`);
	return slave;
}

test.serial('a guest started by run talks over the inherited TAP, and takes it with it', async t => {
	await Site.with('run', async site => {
		const slave = await addressed(site, await site.slave('a', { mtu: 1400, queues: 2 }));
		const runner = site.words({ call: 'run', options: { slave, argv: [], vhost: false } });
		const guest = await Guest.boot({ name: 'run', prefix: [...site.namespace.prefix, ...runner] });
		t.is(tapsOf(guest.qemuPid), 2);
		t.is(await guest.exec(useNic), '1400');
		t.is(await guest.stop(), 0);
		t.false(await site.hasDevice(slave.ifname));
	});
});

test.serial('plug, use, unplug, ten times: nothing is left in QEMU, in us or in the guest', async t => {
	await Site.with('ten', async site => {
		const guest = await Guest.boot({ name: 'ten', prefix: site.namespace.prefix, args: port });
		const qmpPath = guest.qmp;
		const before = openFiles(guest.qemuPid);
		const times: string[] = [];
		try {
			for (let round = 0; round < 10; round++) {
				const name = `a${round}`;
				const slave = await addressed(site, await site.slave(name, { mtu: round === 5 ? 1400 : 1500 }));
				const plugged = await site.call({ call: 'plug', options: { qmpPath, slave, vhost: false } });
				t.is(plugged.error, undefined);
				t.is(await guest.exec(useNic, { timeout: appearMs }), String(slave.mtu));
				t.is(tapsOf(guest.qemuPid), 1);
				const id = `nic-${name}`;
				const unplugged = await site.call({ call: 'unplug', options: { qmpPath, id, timeoutMs: 10_000 } });
				t.is(unplugged.error, undefined);
				times.push(`${plugged.milliseconds}/${unplugged.milliseconds}`);
				for (const { fds } of [plugged, unplugged]) t.is(fds[0], fds[1]);
				t.is(await guest.exec('ls /sys/class/net'), 'lo');
				// The slave is the daemon's to remove.
				t.true(await site.hasDevice(slave.ifname));
				t.false(await site.isHeld(slave.ifname));
				await site.namespace.ip(`link del ${slave.ifname}`);
			}
			t.log(`plug/unplug ms: ${times.join(' ')}`);
			t.deepEqual(openFiles(guest.qemuPid), before);
		} finally {
			await guest.stop();
		}
	});
});

test.serial('the same TAP can be plugged in again, with all of its queues', async t => {
	await Site.with('again', async site => {
		const slave = await addressed(site, await site.slave('a', { queues: 2 }));
		const guest = await Guest.boot({ name: 'again', prefix: site.namespace.prefix, args: port });
		try {
			for (let round = 0; round < 3; round++) {
				const plug = { call: 'plug', options: { qmpPath: guest.qmp, slave, vhost: false } } as const;
				t.is((await site.call(plug)).error, undefined);
				await guest.exec(useNic, { timeout: appearMs });
				t.is(tapsOf(guest.qemuPid), 2);
				const unplug = { call: 'unplug', options: { qmpPath: guest.qmp, id: 'nic-a' } } as const;
				t.is((await site.call(unplug)).error, undefined);
				t.is(tapsOf(guest.qemuPid), 0);
			}
		} finally {
			await guest.stop();
		}
	});
});

test.serial('a NIC from the command line can be unplugged and its TAP plugged in again', async t => {
	await Site.with('cold', async site => {
		const slave = await addressed(site, await site.slave('a'));
		const cold = [
			...['-netdev', `tap,id=net-a,ifname=${slave.ifname},script=no,downscript=no`],
			...['-device', `virtio-net-pci,id=nic-a,netdev=net-a,mac=${slave.mac},bus=rp0`],
		];
		const guest = await Guest.boot({ name: 'cold', prefix: site.namespace.prefix, args: [...port, ...cold] });
		try {
			await guest.exec(useNic);
			t.is(
				(await site.call({ call: 'unplug', options: { qmpPath: guest.qmp, id: 'nic-a' } })).error,
				undefined,
			);
			t.is(await guest.exec('ls /sys/class/net'), 'lo');
			const plug = { call: 'plug', options: { qmpPath: guest.qmp, slave, vhost: false } } as const;
			t.is((await site.call(plug)).error, undefined);
			await guest.exec(useNic, { timeout: appearMs });
		} finally {
			await guest.stop();
		}
	});
});
