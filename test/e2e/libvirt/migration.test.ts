import { chmodSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { until } from '../../../src/lab/wait.js';
import { capture } from './announced.js';
import { assertClean } from './clean.js';
import { LibvirtHost } from './libvirt-host.js';

const web1 = { target: 'ipvt-web1', mac: '52:54:00:00:00:11', addresses: ['192.0.2.11', '2001:db8:1::11'] };

const hosts: LibvirtHost[] = [];
test.before(async () => {
	for (const prefix of ['a-', 'b-']) hosts.push(await LibvirtHost.create({ prefix }));
});
test.after.always(() => Promise.all(hosts.map(host => host.close())));
test.afterEach.always(async t => {
	for (const host of hosts) {
		await host.tryIpvtap('detach', 'web1');
		await assertClean(t, host);
	}
});

test.serial(
	'a guest migrates: closed at its destination until it runs there, reserved where it was',
	async t => {
		const [from, to] = hosts as [LibvirtHost, LibvirtHost];
		await from.define({ name: 'web', nics: [web1] });
		await from.virsh('start', 'web');
		await from.answers('192.0.2.11');
		const sockets = join(from.lan.folder, 'migration');
		mkdirSync(sockets);
		chmodSync(sockets, 0o777);
		const announced = await capture(t, to.lan);
		const states = new Set<string>();
		let done = false;
		const watch = (async () => {
			while (!done) {
				const slave = await to.slave('web1');
				if (slave)
					states.add(`${slave.domain?.state}: ${(await to.traces()).length > 1 ? 'routes' : 'no route'}`);
			}
		})();
		const through = ['--migrateuri', `unix://${sockets}/web.sock`];
		try {
			await from.virsh('migrate', '--live', '--unsafe', '--desturi', to.uri, ...through, 'web');
			await until(
				'the guest to run there',
				10_000,
				async () => (await to.slave('web1'))?.domain?.state === 'running',
			);
		} finally {
			done = true;
			await watch;
		}
		for (const address of web1.addresses) await announced(address);
		await to.answers('192.0.2.11', 10_000);
		t.log([...states].join(', '));
		t.true(states.has('incoming: no route'), 'the addresses were not taken before the guest came');
		t.like(await from.list(), { slaves: [], domains: [{ name: 'web', state: 'migrated' }] });
		t.deepEqual(await from.traces(), []);
	},
);
