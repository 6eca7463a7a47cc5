/** A NIC plugged into a running guest, used and unplugged again, ten times: it works each time, and nothing adds up. */
import { readdirSync, readlinkSync } from 'node:fs';
import test from 'ava';
import type { Slave } from '../../src/control/model.js';
import type { Guest } from '../../src/lab/guest.js';
import { lanMembers } from '../../src/lab/lan.js';
import { until } from '../../src/lab/wait.js';
import { assertNoLeaks, snapshot } from '../helpers/leaks.js';
import { World } from './world.js';

let world: World;
let guest: Guest;

test.before(async () => {
	world = await World.create();
	// One that a command has started would end with each last slave, and its descriptors with it.
	await world.product.daemon();
	await world.product.up('eth0');
	guest = await world.boot({
		name: 'plugged',
		prefix: world.lan.host.prefix,
		args: ['-device', 'pcie-root-port,id=rp0,chassis=1'],
	});
});

test.after.always(() => world?.close());

test.serial('plug, use and unplug ten times', async t => {
	const { pid } = await world.product.info();
	// The first round loads the guest's modules and whatever is loaded once in QEMU and in the daemon.
	await round(t, 0);
	const scope = { namespace: world.lan.host.name };
	const before = await snapshot(scope);
	const [daemon, qemu] = [openFiles(pid), openFiles(guest.qemuPid)];
	const times: { plug: number; unplug: number }[] = [];
	for (let count = 1; count <= 10; count++) times.push(await round(t, count));
	assertNoLeaks(before, await snapshot(scope));
	t.is((await world.product.info()).pid, pid);
	const same = (of: number, wanted: string[]): Promise<boolean> =>
		until('descriptors to be closed', 20_000, () => openFiles(of).join('\n') === wanted.join('\n')).catch(
			() => false,
		);
	t.true(await same(pid, daemon), `the daemon's descriptors: ${difference(daemon, openFiles(pid))}`);
	t.true(
		await same(guest.qemuPid, qemu),
		`QEMU's descriptors: ${difference(qemu, openFiles(guest.qemuPid))}`,
	);
	const median = (key: 'plug' | 'unplug'): number => times.map(time => time[key]).sort((a, b) => a - b)[5]!;
	t.log(
		`attach --qmp: median ${median('plug').toFixed(0)} ms; detach --qmp: median ${median('unplug').toFixed(0)} ms`,
	);
	t.is(await guest.stop(), 0);
	await world.product.end();
	await world.product.assertNothingLeft();
});

test.serial('a second NIC beside the first, and the guest goes with both', async t => {
	await world.product.daemon();
	await world.product.up('eth0');
	const two = await world.boot({
		name: 'two',
		prefix: world.lan.host.prefix,
		args: ['-device', 'pcie-root-port,id=rp0,chassis=1', '-device', 'pcie-root-port,id=rp1,chassis=2'],
	});
	for (const [index, name] of ['first', 'second'].entries()) {
		await world.product.attach(name, 'eth0', [`192.0.2.${60 + index}`], '--qmp', two.qmp);
		await configure(two, `eth${index}`, `192.0.2.${60 + index}`);
	}
	t.regex(await two.exec(`ping -c1 -W5 -I eth1 ${lanMembers.laptop.ipv4}`), / 0% packet loss/);
	await two.kill();
	// They were made by attach: they stay, as slaves without a guest.
	await until('both to be down', 20_000, async () =>
		(await world.product.list()).slaves.every(({ state }) => state === 'down'),
	);
	for (const name of ['first', 'second']) await world.product.detach(name);
	await world.product.end();
	await world.product.assertNothingLeft();
	t.pass();
});

async function round(
	t: { regex: (text: string, wanted: RegExp, message?: string) => boolean; is: <T>(a: T, b: T) => boolean },
	count: number,
): Promise<{ plug: number; unplug: number }> {
	const [ipv4, ipv6] = ['192.0.2.50', '2001:db8:1::50'];
	const started = performance.now();
	const slave: Slave = await world.product.attach('hot', 'eth0', [ipv4, ipv6], '--qmp', guest.qmp);
	const plug = performance.now() - started;
	await configure(guest, 'eth0', ipv4, ipv6);
	t.is((await guest.exec('cat /sys/class/net/eth0/address')).trim(), slave.mac);
	const targets = [lanMembers.laptop, lanMembers.host].flatMap(member => [member.ipv4, member.ipv6]);
	for (const target of targets)
		t.regex(await guest.exec(`ping -c1 -W5 ${target}`), / 0% packet loss/, `round ${count}`);
	const again = performance.now();
	await world.product.json('detach', 'hot', '--qmp', guest.qmp);
	const unplug = performance.now() - again;
	t.is((await guest.run('ls /sys/class/net')).out.includes('eth0'), false);
	return { plug, unplug };
}

async function configure(into: Guest, device: string, ...addresses: string[]): Promise<void> {
	const lines = addresses.map(
		address => `ip addr add ${address}/${address.includes(':') ? 64 : 24} dev ${device}`,
	);
	await into.exec(`
		until [ -e /sys/class/net/${device} ]; do usleep 20000; done
		echo 0 > /proc/sys/net/ipv6/conf/${device}/autoconf
		${lines.join('\n')}
		ip link set ${device} up`);
	await into.addressesReady();
}

/** What a process has open, without the numbers that are new at each opening. */
function openFiles(pid: number): string[] {
	return readdirSync(`/proc/${pid}/fd`)
		.map(fd => {
			try {
				return readlinkSync(`/proc/${pid}/fd/${fd}`).replace(/:\[\d+\]$/, '');
			} catch {
				return '';
			}
		})
		.filter(Boolean)
		.sort();
}

function difference(before: string[], after: string[]): string {
	const count = (list: string[], item: string): number => list.filter(other => other === item).length;
	return [...new Set([...before, ...after])]
		.filter(item => count(before, item) !== count(after, item))
		.map(item => `${item}: ${count(before, item)} → ${count(after, item)}`)
		.join(', ');
}
