/** Real guests: what their NICs let pass, as QEMU tells it, is exactly what they get. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import type { Slave } from '../../src/control/model.js';
import type { Guest } from '../../src/lab/guest.js';
import { until } from '../../src/lab/wait.js';
import { GroupSocket } from '../helpers/group-socket.js';
import { vm1, vm2, World } from './world.js';

let world: World;

test.before(async () => {
	world = await World.create();
});

test.after.always(() => world?.close());

/** A guest joins it by having an address that ends like this: busybox has nothing else that joins groups. */
const mac = '33:33:ff:01:02:03';
const group = 'ff02::1:ff01:203';

/** Waits until QEMU has told of the slave's groups, and they are as wanted. */
function told(name: string, wanted: (macs: string[]) => boolean): Promise<Slave> {
	return until(`QEMU to tell of ${name}`, 20_000, async () => {
		const slave = await world.product.json<Slave>('show', name);
		const { inet6 } = slave.groups;
		return inet6 !== 'all' && inet6.every(one => one.startsWith('33:33:')) && wanted(inet6)
			? slave
			: undefined;
	});
}

async function exactly(t: ExecutionContext, name: string, guest: Guest): Promise<void> {
	await told(name, macs => macs.includes('33:33:00:00:00:01') && !macs.includes(mac));
	const laptop = world.lan.laptop;
	const wanted = await GroupSocket.open(laptop, group, 4000, { join: false });
	const other = await GroupSocket.open(laptop, '239.9.9.9', 4000, { join: false });
	// A link-local group that the guest's NIC has not asked for: here QEMU knows better than RFC 4541.
	const linkLocal = await GroupSocket.open(laptop, '224.0.0.99', 4000, { join: false });
	t.teardown(() => Promise.all([wanted, other, linkLocal].map(socket => socket.close())));
	const received = async (): Promise<number> => (await world.product.stats(name)).rx.packets;

	await guest.exec('ip address add fd00::1:203/128 dev eth0');
	await told(name, macs => macs.includes(mac));
	const before = await received();
	for (let count = 0; count < 300; count++) {
		other.say(`nobody's ${count}`);
		linkLocal.say(`nobody's ${count}`);
	}
	for (let count = 0; count < 100; count++) wanted.say(`the guest's ${count}`);
	await until('the wanted to arrive', 10_000, async () => (await received()) - before >= 100);
	const got = (await received()) - before;
	t.log(`100 frames to a group that ${name} wants, 600 to others: it got ${got}`);
	t.true(got < 130, String(got));

	await guest.exec('ip address del fd00::1:203/128 dev eth0');
	await told(name, macs => !macs.includes(mac));
}

test.serial('a guest of `run`: the groups of its NIC, by a monitor of its own that goes with it', async t => {
	const guest = await world.run(vm1);
	const slave = await told('vm1', () => true);
	t.true(existsSync(slave.rxFilter!));
	t.true((slave.groups.inet as string[]).includes('01:00:5e:00:00:01'));
	await exactly(t, 'vm1', guest);
	t.is(await guest.stop(), 0);
	await until('the place of its monitor to go', 20_000, () => !existsSync(join(slave.rxFilter!, '..')));
});

test.serial('attach --rx-filter: a monitor that the user has set aside; without it, reports', async t => {
	const qmp = join(world.lan.folder, 'second.qmp');
	const { arguments: words } = await world.product.json<{ arguments: string[] }>(
		...['attach', 'vm2', '--master', 'eth0', '--ip', vm2.ipv4, '--ip', vm2.ipv6, '--rx-filter', qmp],
	);
	const guest = await world.boot({
		name: 'vm2',
		prefix: world.lan.host.prefix,
		args: [...words, '-qmp', `unix:${qmp},server=on,wait=off`],
		addresses: { eth0: [`${vm2.ipv4}/24`, `${vm2.ipv6}/64`] },
	});
	await exactly(t, 'vm2', guest);
	await guest.stop();
	await until('what was known to be forgotten', 20_000, async () => {
		const { groups } = await world.product.json<Slave>('show', 'vm2');
		return groups.inet === 'all' && groups.inet6 === 'all';
	});
	await world.product.detach('vm2');
	t.pass();
});
