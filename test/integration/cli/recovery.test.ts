/** What can't be provoked from a command line: the real controller, ports and devices, in this process. */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { readConfig } from '../../../src/config.js';
import { Controller } from '../../../src/control/controller.js';
import { Registry } from '../../../src/control/registry.js';
import { IpvtapError } from '../../../src/errors.js';
import { until } from '../../../src/lab/wait.js';
import { createLog } from '../../../src/log.js';
import { deleteLink, listLinks, requireLink } from '../../../src/sys/netlink/link.js';
import { LinkMonitor } from '../../../src/sys/netlink/monitor.js';
import { enterFreshNamespace, run as ip } from '../../helpers/in-namespace.js';

test.before(enterFreshNamespace);

interface Here {
	folder: string;
	controller: Controller;
	monitor: LinkMonitor;
}

function here(t: ExecutionContext): Here {
	const folder = mkdtempSync(join(tmpdir(), 'ipvtap-it-'));
	ip('ip', 'link', 'add', 'eth0', 'type', 'veth', 'peer', 'name', 'sw0');
	for (const name of ['eth0', 'sw0']) ip('ip', 'link', 'set', name, 'up');
	const monitor = new LinkMonitor();
	const config = readConfig({ IPVTAP_SOCKET: join(folder, 'a.sock'), IPVTAP_STATE_DIR: folder });
	const controller = new Controller(config, monitor, createLog({ IPVTAP_LOG: 'silent' }));
	t.teardown(async () => {
		await controller.close();
		await monitor.close();
		deleteLink('eth0');
		rmSync(folder, { recursive: true });
	});
	return { folder, controller, monitor };
}

const anyMaster = (): void => undefined;

test.serial('a port that fails is opened again, with its slaves', async t => {
	const { controller } = here(t);
	await controller.up('eth0', {});
	await controller.attach({ name: 'a', master: 'eth0', owner: 0, addresses: ['192.0.2.10'] }, anyMaster);
	const tap = controller.slave('a').ifindex;
	const port = controller.estate.port('eth0')?.port;
	port?.emit('failed', new IpvtapError('failed', 'a frame thread has ended'));
	await until(
		'the failure to show',
		20_000,
		() => controller.master('eth0').problem === 'a frame thread has ended',
	);
	t.like(controller.slave('a'), { problem: 'a frame thread has ended', ifindex: tap });
	await until('the port to be open', 20_000, () => controller.master('eth0').problem === undefined);
	t.not(controller.estate.port('eth0')?.port, port);
	await controller.serial.run(() => undefined);
	t.like(controller.slave('a'), { problem: undefined, ifindex: tap });
	t.deepEqual(
		controller.slave('a').addresses.map(({ address }) => address),
		['192.0.2.10'],
	);
	await controller.down('eth0', true);
	t.deepEqual(
		listLinks()
			.map(({ name }) => name)
			.sort(),
		['eth0', 'lo', 'sw0'],
	);
});

test.serial('when the kernel drops link events, every device is looked at again', async t => {
	const { controller, monitor } = here(t);
	await controller.up('eth0', {});
	for (const name of ['a', 'b']) await controller.attach({ name, master: 'eth0', owner: 0 }, anyMaster);
	// Nobody hears of what happens now.
	const deaf = monitor.rawListeners('link');
	monitor.removeAllListeners('link');
	deleteLink('ipvt-a');
	ip('ip', 'link', 'set', 'eth0', 'address', '02:00:00:00:00:99');
	await new Promise(setImmediate);
	for (const listener of deaf) monitor.on('link', listener as () => void);
	t.is(controller.slave('a').name, 'a');
	monitor.emit('overrun');
	await controller.serial.run(() => undefined);
	t.throws(() => controller.slave('a'), { code: 'not-found' });
	t.is(controller.slave('b').problem, undefined);
	t.is(controller.master('eth0').mac, '02:00:00:00:00:99');
});

test.serial('what can not be written down is not made', async t => {
	const { controller, folder } = here(t);
	await controller.up('eth0', {});
	const before = listLinks().map(({ name }) => name);
	// In the place of the file that is written first.
	mkdirSync(join(folder, 'state.json.new'));
	const attach = () => controller.attach({ name: 'a', master: 'eth0', owner: 0 }, anyMaster);
	await t.throwsAsync(attach(), { code: 'failed', message: /^can't write .*state\.json: EISDIR$/ });
	t.deepEqual(
		listLinks().map(({ name }) => name),
		before,
	);
	t.deepEqual(controller.listing().slaves, []);
	rmSync(join(folder, 'state.json.new'), { recursive: true });
	t.is((await attach()).name, 'a');
	await controller.state.settled();
	const listing = controller.listing();
	mkdirSync(join(folder, 'state.json.new'));
	for (const change of [
		() => controller.setSlave('a', { add: ['192.0.2.10'], limits: { tx: { rate: 8000 } } }),
		() => controller.setMaster('eth0', { flag: 'private', multicastSlave: 'a' }),
		() => controller.detach('a'),
		() => controller.down('eth0', true),
	]) {
		await t.throwsAsync(change, { message: /^can't write / });
		t.deepEqual(controller.listing(), listing);
	}
	rmSync(join(folder, 'state.json.new'), { recursive: true });
});

test.serial('two slaves of a state file that was edited by hand share no TAP', async t => {
	const { controller } = here(t);
	ip('ip', 'tuntap', 'add', 'dev', 'ipvt-a', 'mode', 'tap', 'vnet_hdr');
	const plan = new Registry();
	const master = plan.planMaster('eth0', { offload: 'none' }, false);
	const slave = plan.planSlave({ name: 'a', master: 'eth0', owner: 0, addresses: ['192.0.2.10'] });
	await controller.adopt({
		masters: [master],
		slaves: [slave, { ...slave, name: 'b', addresses: ['192.0.2.11'] }],
	});
	t.is(controller.slave('a').problem, undefined);
	t.regex(controller.slave('b').problem ?? '', /ipvt-a/);
	await controller.detach('b');
	t.is(controller.slave('a').ifindex, requireLink('ipvt-a').ifindex);
	await controller.down('eth0', true);
});
