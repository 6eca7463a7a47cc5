/** Requests that can't be met: exit status, what failed and why, what to do, and nothing half made. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import type { Listing } from '../../../src/control/model.js';
import { enterFreshNamespace, run as ip } from '../../helpers/in-namespace.js';
import { refused, Site } from './site.js';

test.before(enterFreshNamespace);

test.serial('a name, an address, a MAC or a device that is in use', async t => {
	const site = new Site(t, ['eth0', 'eth1']);
	ip('ip', 'route', 'add', 'default', 'via', '192.0.2.62', 'dev', 'eth0');
	await site.attach('a', '--ip', '192.0.2.10', '--mac', '52:54:00:00:00:01');
	await site.json('up', 'eth1');
	ip('ip', 'tuntap', 'add', 'ipvt-taken', 'mode', 'tap');
	const before = await site.list();
	const devices = site.devices();
	const attach = (...args: string[]) => site.run('attach', ...args);
	refused(
		t,
		await attach('a', '--master', 'eth0'),
		4,
		"the name 'a' is in use: it is a slave of eth0",
		/ipvtap detach a/,
	);
	refused(
		t,
		await attach('a', '--master', 'eth1'),
		4,
		"the name 'a' is in use: it is a slave of eth0",
		/another name/,
	);
	refused(
		t,
		await attach('eth1', '--master', 'eth0'),
		4,
		"the name 'eth1' is in use: it is a master",
		/another name/,
	);
	refused(
		t,
		await attach('b', '--master', 'eth0', '--ip', '192.0.2.10/32'),
		4,
		"the address 192.0.2.10 is in use: slave 'a' has it",
		/ipvtap set a --ip -192\.0\.2\.10/,
	);
	refused(
		t,
		await attach('b', '--master', 'eth1', '--ip', '192.0.2.10'),
		4,
		"the address 192.0.2.10 is in use: slave 'a' has it",
		/choose another/,
	);
	refused(
		t,
		await attach('b', '--master', 'eth0', '--ip', '192.0.2.1'),
		4,
		"the address 192.0.2.1 is in use: it is the host's own, on eth0",
		/choose an address/,
	);
	refused(
		t,
		await attach('b', '--master', 'eth0', '--ip', '192.0.2.62'),
		4,
		'the address 192.0.2.62 is in use: it is the gateway to 0.0.0.0/0',
		/choose an address/,
	);
	refused(
		t,
		await attach('b', '--master', 'eth0', '--mac', '52-54-00-00-00-01'),
		4,
		"the MAC 52:54:00:00:00:01 is in use: slave 'a' has it",
		/leave it out/,
	);
	refused(
		t,
		await attach('taken', '--master', 'eth0'),
		4,
		/ipvt-taken: a device of that name exists/,
		/ip link delete ipvt-taken/,
	);
	refused(
		t,
		await site.run('set', 'a', '--ip', '+192.0.2.1'),
		4,
		"the address 192.0.2.1 is in use: it is the host's own, on eth0",
		/choose an address/,
	);
	refused(
		t,
		await site.run('run', '--name', 'b', '--ip', '192.0.2.10', '--', 'true'),
		4,
		"the address 192.0.2.10 is in use: slave 'a' has it",
		/choose another/,
	);
	t.deepEqual(
		(await site.list()).slaves.map(({ name, addresses }) => [name, addresses]),
		before.slaves.map(({ name, addresses }) => [name, addresses]),
	);
	t.deepEqual(site.devices(), devices);
	const state = JSON.parse(readFileSync(join(site.stateDir, 'state.json'), 'utf8')) as Listing;
	t.deepEqual(
		[...state.masters, ...state.slaves].map(({ name }) => name),
		['eth0', 'eth1', 'a'],
		'what failed was not written down',
	);
	ip('ip', 'link', 'delete', 'ipvt-taken');
	await site.json('detach', 'a');
});

test.serial('a slave is never called as a master is, nor a master as a slave', async t => {
	const site = new Site(t, ['eth0', 'eth1']);
	await site.attach('eth1');
	refused(
		t,
		await site.run('up', 'eth1'),
		4,
		"'eth1' can't be a master: a slave has that name",
		/ipvtap detach eth1/,
	);
});

test.serial('what is not there is not found', async t => {
	const site = new Site(t);
	await site.attach('web1');
	refused(t, await site.run('show', 'web2'), 3, "no slave or master is named 'web2'", /ipvtap list/);
	refused(t, await site.run('stats', 'web2'), 3, "no slave or master is named 'web2'", /ipvtap list/);
	refused(t, await site.run('detach', 'web2'), 3, "no slave is named 'web2'", /known: web1/);
	refused(
		t,
		await site.run('detach', 'web2', '--qmp', '/nowhere'),
		3,
		"no slave is named 'web2'",
		/known: web1/,
	);
	refused(
		t,
		await site.run('set', 'web2', '--ip', '+192.0.2.9'),
		3,
		"no slave is named 'web2'",
		/known: web1/,
	);
	refused(t, await site.run('set', 'eth9', '--flag', 'vepa'), 3, "no master is named 'eth9'", /known: eth0/);
	refused(t, await site.run('down', 'eth9'), 3, "no master is named 'eth9'", /known: eth0/);
	refused(
		t,
		await site.run('attach', 'a', '--master', 'eth0', '--owner', 'no-such-user'),
		3,
		"no user is named 'no-such-user'",
		/runs QEMU/,
	);
});

test.serial('what this version can not do', async t => {
	const site = new Site(t);
	refused(
		t,
		await site.run('up', 'eth0', '--mode', 'l3s', '--no-host'),
		2,
		"mode l3s can't do without the host: its stack is what frames pass",
		/--mode l3/,
	);
	refused(
		t,
		await site.run('up', 'eth0', '--offload', 'xdp'),
		2,
		"offload 'xdp': there is no such hook",
		/auto, none, tc-bpf, tc-flower, or the absolute path/,
	);
	await site.gone();
	await site.attach('a');
	refused(
		t,
		await site.run('set', 'eth0', '--mode', 'l3s', '--flag', 'vepa'),
		2,
		"mode l3s can't have flag vepa: the host's own routes lead to its guests",
		/--flag bridge/,
	);
});
