/** The command line with a real QEMU. It has no guest: CPU stopped, up in 50 ms. Guests are in test/integration/qemu. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import type { Slave } from '../../../src/control/model.js';
import { until } from '../../../src/lab/wait.js';
import { enterFreshNamespace } from '../../helpers/in-namespace.js';
import { bin, ended, ipvtap, Site } from './site.js';

test.before(enterFreshNamespace);

const idle = (machine: string, ...args: string[]) => [
	...['qemu-system-x86_64', '-M', machine, '-accel', 'tcg', '-m', '16', '-S'],
	...['-nodefaults', '-no-user-config', '-display', 'none', ...args],
];

const isUp = async (site: Site, name: string) => (await site.json<Slave>('show', name)).state === 'up';

test.serial('attach --qmp plugs in, detach --qmp says when the guest does not let go', async t => {
	const site = new Site(t);
	const qmp = join(site.folder, 'qmp');
	const qemu = site.start(
		idle('q35', '-device', 'pcie-root-port,id=rp0', '-qmp', `unix:${qmp},server=on,wait=off`),
	);
	await until('QEMU', 20_000, () => existsSync(qmp));
	const { status, stdout, stderr } = await site.run(
		'attach',
		'web1',
		'--master',
		'eth0',
		'--ip',
		'192.0.2.10',
		'--qmp',
		qmp,
	);
	t.deepEqual([status, stdout], [0, ''], stderr);
	await until('the slave to be up', 20_000, () => isUp(site, 'web1'));
	const again = await site.run('attach', 'web1', '--master', 'eth0', '--qmp', qmp);
	t.is(again.status, 4, again.stderr);
	t.true(await isUp(site, 'web1'), 'what failed took nothing away');

	// A CPU that stands still answers no request to let go of a device.
	const late = await site.run('detach', 'web1', '--qmp', qmp);
	t.is(late.status, 7, late.stderr);
	t.true(await isUp(site, 'web1'), 'the slave is still there');

	qemu.kill('SIGKILL');
	await until('the slave to be down', 20_000, async () => !(await isUp(site, 'web1')));
	t.is((await site.run('detach', 'web1')).status, 0);
	await site.gone();
});

test.serial('QEMU gets the TAP from the helper, and by the arguments that attach prints', async t => {
	const site = new Site(t);
	for (const format of ['helper', 'qemu']) {
		const args = (await site.run('attach', format, '--master', 'eth0', '--format', format)).stdout
			.trim()
			.split(' ');
		const qemu = site.start(idle('q35', ...args));
		t.true(await until(`the slave of ${format} to be up`, 20_000, () => isUp(site, format)));
		qemu.kill('SIGKILL');
		await until('the slave to be down', 20_000, async () => !(await isUp(site, format)));
	}
});

test.serial('run gives a real QEMU its NIC', async t => {
	const site = new Site(t);
	const qmp = join(site.folder, 'qmp');
	const qemu = idle('q35', '-qmp', `unix:${qmp},server=on,wait=off`);
	const running = site.start([
		ipvtap,
		'run',
		'--master',
		'eth0',
		'--name',
		'web1',
		'--queues',
		'2',
		'--',
		...qemu,
	]);
	await until('QEMU to listen, and so to handle signals', 20_000, () => existsSync(qmp));
	t.true(await isUp(site, 'web1'));
	running.kill('SIGINT');
	t.is((await ended(running)).status, 0, 'QEMU ends well on SIGINT');
	await site.gone();
});

test.serial("the helper's complaints are QEMU's", async t => {
	const site = new Site(t);
	await site.attach('a');
	const { status, stderr } = await ended(
		site.start(idle('none', '-netdev', `tap,id=n0,br=nobody,helper=${bin}/ipvtap-helper`)),
	);
	t.is(status, 1);
	t.regex(stderr, /ipvtap-helper: no slave is named 'nobody'\nhint: known: a\n/);
	await site.crash();
	const dead = await ended(site.start(idle('none', '-netdev', `tap,id=n0,br=a,helper=${bin}/ipvtap-helper`)));
	t.is(dead.status, 1);
	t.regex(
		dead.stderr,
		/ipvtap-helper: can't reach the daemon at \S+: (nobody listens there|it hung up)\nhint: start one/,
	);
	await site.json('detach', 'a');
});
