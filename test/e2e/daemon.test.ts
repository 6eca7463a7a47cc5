/** The daemon's ends, good and bad, while real guests talk through it. */
import test, { type ExecutionContext } from 'ava';
import type { Guest } from '../../src/lab/guest.js';
import { lanMembers } from '../../src/lab/lan.js';
import { reachAll } from '../../src/lab/reach.js';
import { until } from '../../src/lab/wait.js';
import { alive } from '../helpers/product.js';
import { vm1, vm2, World } from './world.js';

let world: World;

test.before(async () => {
	world = await World.create();
});

test.after.always(() => world?.close());

async function bootBoth(t: ExecutionContext): Promise<[Guest, Guest]> {
	const boots = await Promise.allSettled([world.run(vm1), world.run(vm2)]);
	for (const boot of boots) if (boot.status === 'rejected') throw boot.reason;
	const guests = boots.map(boot => (boot as PromiseFulfilledResult<Guest>).value) as [Guest, Guest];
	t.teardown(async () => void (await Promise.all(guests.map(guest => guest.stop()))));
	return guests;
}

test.serial('kill -9 of the daemon: the next command adopts everything, and traffic goes on', async t => {
	const [one, two] = await bootBoth(t);
	const before = await world.product.list();
	for (let round = 1; round <= 3; round++) {
		const { pid } = await world.product.info();
		await world.product.signalDaemon('SIGKILL');
		const started = performance.now();
		const after = await world.product.list();
		const adopted = performance.now() - started;
		t.not((await world.product.info()).pid, pid);
		const essence = ({ name, ifname, ifindex, mac, state, addresses }: (typeof after.slaves)[number]) => ({
			name,
			ifname,
			ifindex,
			mac,
			state,
			// What was learned is learned again when the guest next speaks.
			addresses: addresses.filter(({ origin }) => origin === 'static'),
		});
		t.deepEqual(after.slaves.map(essence), before.slaves.map(essence));
		await one.exec(`until ping -c1 -W1 ${vm2.ipv4}; do :; done`);
		t.log(
			`round ${round}: all adopted by the next command in ${adopted.toFixed(0)} ms, guests talk ${(performance.now() - started).toFixed(0)} ms after it was given`,
		);
		const reach = await reachAll(world.peers([vm1, one], [vm2, two]));
		t.deepEqual(
			reach.filter(({ ok }) => !ok),
			[],
		);
	}
	t.deepEqual(await Promise.all([one.stop(), two.stop()]), [0, 0]);
	await world.product.assertNothingLeft();
});

test.serial('a connection outlives the daemon', async t => {
	const [one, two] = await bootBoth(t);
	await world.lan.serve(world.lan.laptop, world.lan.folder, 8081);
	await world.lan.laptop.exec('sh', ['-c', `head -c 200000000 /dev/zero > ${world.lan.folder}/zeros`]);
	const download = one.run(`wget -q -O - http://${lanMembers.laptop.ipv4}:8081/zeros | wc -c`, {
		timeout: 120_000,
	});
	const moving = async (): Promise<number> => (await world.product.stats('vm1')).rx.bytes;
	await until('some of it to have come', 10_000, async () => (await moving()) > 5_000_000);
	await world.product.signalDaemon('SIGKILL');
	await world.product.list();
	t.is((await download).out.trim(), '200000000');
	t.deepEqual(await Promise.all([one.stop(), two.stop()]), [0, 0]);
	await world.product.assertNothingLeft();
});

test.serial(
	'SIGTERM: all is taken down but what guests hold, and the next daemon has them on the LAN again',
	async t => {
		const [one, two] = await bootBoth(t);
		const time = await world.product.signalDaemon('SIGTERM');
		t.log(`everything taken down in ${time.toFixed(0)} ms`);
		t.deepEqual((await world.lan.host.exec('ip', ['-br', 'link'])).match(/ipv[thp]-\S+/g)?.sort(), [
			'ipvt-vm1',
			'ipvt-vm2',
		]);
		t.is(await world.lan.host.exec('tc', ['filter', 'show', 'dev', 'eth0', 'ingress']), '');
		for (const guest of [one, two]) t.true(alive(guest.qemuPid), 'QEMU runs on');
		t.notRegex((await one.run(`ping -c1 -W1 ${lanMembers.laptop.ipv4}`)).out, / 0% packet loss/);
		t.deepEqual((await world.product.list()).slaves.map(({ name, state }) => [name, state]).sort(), [
			['vm1', 'up'],
			['vm2', 'up'],
		]);
		// Of the laptop the guest has asked in vain; what waits for the last of these questions is lost.
		for (const address of [vm2.ipv4, lanMembers.laptop.ipv4]) {
			await one.exec(`until ping -c1 -W1 ${address}; do :; done`);
		}
		await Promise.all([one.stop(), two.stop()]);
		await world.product.assertNothingLeft();
	},
);

test.serial(
	'a daemon in the foreground ends with status 0 on SIGTERM and SIGINT, and refuses a second one',
	async t => {
		for (const signal of ['SIGTERM', 'SIGINT'] as const) {
			const daemon = await world.product.daemon();
			await world.product.up('eth0');
			const second = await world.product.ipvtap(['daemon']);
			t.is(second.status, 4, second.stderr);
			const exit = new Promise(resolve => daemon.once('exit', resolve));
			await world.product.signalDaemon(signal);
			t.is(await exit, 0);
			await world.product.assertNothingLeft();
		}
	},
);
