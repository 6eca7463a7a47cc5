/** A whole guest to which nothing is said about addresses makes its own, private ones too, and uses them. */
import test from 'ava';
import type { Slave } from '../../src/control/model.js';
import { lanMembers } from '../../src/lab/lan.js';
import { until } from '../../src/lab/wait.js';
import { World } from './world.js';

test('a QEMU guest’s addresses by SLAAC, lasting and private, are learned and reached', async t => {
	const world = await World.create();
	t.teardown(() => world.close());
	const guest = await world.boot({
		name: 'vm1',
		prefix: [...world.product.words, 'run', '--master', 'eth0', '--name', 'vm1', '--'],
		env: world.product.env,
		addresses: { eth0: [] },
		sysctl: { 'net/ipv6/conf/eth0/use_tempaddr': 2 },
	});
	const shown = () => guest.run('ip -6 addr show dev eth0 scope global');
	const addresses = await until('a private address', 20_000, async () => {
		const lines = (await shown()).out.split('\n').filter(line => line.includes('2001:db8:1:'));
		return lines.length >= 2 && lines.every(line => !line.includes('tentative')) ? lines : undefined;
	});
	const own = addresses.map(line => /inet6 ([^/]+)/.exec(line)?.[1] ?? '');
	for (const address of own)
		await world.lan.laptop.exec('ping', ['-c', '2', '-i', '0.2', '-W', '3', address]);
	t.is((await guest.run(`ping -c 2 -W 3 ${lanMembers.laptop.ipv6}`)).rc, 0);
	t.is((await guest.run(`ping -c 2 -W 3 ${lanMembers.host.ipv6}`)).rc, 0);
	const slave = await world.product.json<Slave>('show', 'vm1');
	const learned = slave.addresses.filter(({ origin }) => origin === 'learned').map(({ address }) => address);
	for (const address of own) t.true(learned.includes(address), `${address} in ${learned.join()}`);
	const macs = await world.lan.macsSeen();
	t.deepEqual(
		macs.map(({ mac, dropped }) => [mac, dropped]),
		[[lanMembers.host.mac, 0]],
	);
});
