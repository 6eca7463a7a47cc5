import { chmodSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import type { Slave } from '../../../src/control/model.js';
import { until } from '../../../src/lab/wait.js';
import { enterFreshNamespace } from '../../helpers/in-namespace.js';
import { bin, ipvtap, type Outcome, Site } from './site.js';

test.before(enterFreshNamespace);

const group = 61234;
const member = ['setpriv', '--reuid=61001', '--regid=61001', `--groups=${group}`];
const other = ['setpriv', '--reuid=61002', '--regid=61002', `--groups=${group}`];
const stranger = ['setpriv', '--reuid=61003', '--regid=61003', '--clear-groups'];

/** A daemon that sees a group `ipvtap`, which this machine need not have. */
async function daemonWithGroup(t: ExecutionContext): Promise<Site> {
	const site = new Site(t);
	const file = join(site.folder, 'group');
	writeFileSync(file, `root:x:0:\nipvtap:x:${group}:\n`);
	site.start(['unshare', '--mount', 'sh', '-c', `mount --bind ${file} /etc/group && exec ${bin}/ipvtapd`]);
	await until(
		'the daemon',
		20_000,
		() => site.pid() !== undefined && statSync(site.socket, { throwIfNoEntry: false }) !== undefined,
	);
	return site;
}

function denied(t: ExecutionContext, { status, stderr }: Outcome, message: RegExp): void {
	t.is(status, 5, stderr);
	t.regex(stderr, message);
	t.regex(stderr, /\nhint: .*sudo/);
}

test.serial('the socket is for root and the group', async t => {
	const site = await daemonWithGroup(t);
	const { uid, gid, mode } = statSync(site.socket);
	t.deepEqual([uid, gid, mode & 0o7777], [0, group, 0o660]);
	await site.json('up', 'eth0');
	t.is((await site.exec([...member, ipvtap, 'list'])).status, 0);
	denied(
		t,
		await site.exec([...stranger, ipvtap, 'list']),
		/^error: can't use the socket \S+: permission denied\n/,
	);
	// The mode is not all that keeps strangers out.
	chmodSync(site.socket, 0o666);
	denied(t, await site.exec([...stranger, ipvtap, 'list']), /^error: user 61003 may not use this daemon\n/);
});

test.serial('a member of the group may have slaves of its own, and touch no others', async t => {
	const site = await daemonWithGroup(t);
	const as = (who: string[], ...args: string[]) => site.exec([...who, ipvtap, ...args]);
	denied(t, await as(member, 'up', 'eth0'), /^error: user 61001 may not bring eth0 up as a master\n/);
	denied(
		t,
		await as(member, 'attach', 'a', '--master', 'eth0'),
		/^error: user 61001 may not bring eth0 up as a master\n/,
	);
	t.deepEqual(await site.list(), { masters: [], slaves: [] });
	await site.json('up', 'eth0');
	t.is((await as(member, 'attach', 'mine', '--master', 'eth0')).status, 0);
	t.is((await site.json<Slave>('show', 'mine')).owner, 61001);
	denied(
		t,
		await as(member, 'attach', 'b', '--master', 'eth0', '--owner', '61002'),
		/^error: user 61001 may not give the slave 'b' to somebody else: /,
	);
	denied(
		t,
		await as(member, 'attach', 'c', '--master', 'eth0', '--allow', 'dhcp-server'),
		/^error: user 61001 may not allow the slave 'c' to be a dhcp-server\n/,
	);
	denied(
		t,
		await as(member, 'set', 'mine', '--allow', 'router'),
		/^error: user 61001 may not allow the slave 'mine' to be a router\n/,
	);
	t.is((await as(member, 'set', 'mine', '--allow', 'none')).status, 0);
	// What is a domain's may have what is kept for the domain.
	const body = JSON.stringify({ master: 'eth0', domain: { name: 'web', uuid: 'u' } });
	const curl = ['curl', '-qsS', '--unix-socket', site.socket, '-X', 'PUT', '-d', body];
	const asked = await site.exec([...member, ...curl, 'http://ipvtap/v1/slaves/d']);
	t.regex(asked.stdout, /user 61001 may not plug anything into the domain 'web'/);
	await site.attach('roots');
	denied(
		t,
		await as(member, 'detach', 'roots'),
		/^error: user 61001 may not detach the slave 'roots': it belongs to user 0\n/,
	);
	denied(
		t,
		await as(other, 'detach', 'mine'),
		/^error: user 61002 may not detach the slave 'mine': it belongs to user 61001\n/,
	);
	denied(
		t,
		await as(other, 'set', 'mine', '--ip', '+192.0.2.9'),
		/^error: user 61002 may not change the slave 'mine'/,
	);
	denied(
		t,
		await as(member, 'set', 'eth0', '--flag', 'vepa'),
		/^error: user 61001 may not change the master eth0\n/,
	);
	denied(
		t,
		await as(member, 'down', 'eth0', '--force'),
		/^error: user 61001 may not take the master eth0 down\n/,
	);
	t.is((await as(other, 'show', 'mine')).status, 0);
	t.is((await as(member, 'set', 'mine', '--ip', '+192.0.2.9')).status, 0);
	t.is((await as(member, 'detach', 'mine')).status, 0);
	t.is((await site.run('detach', 'roots')).status, 0);
});
