/** Places where nothing can be done: no rights, no TAPs, somebody else's socket, a dead daemon, no QEMU. */
import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { createServer as createHttpServer } from 'node:http';
import { createServer, type Server } from 'node:net';
import { join } from 'node:path';
import test from 'ava';
import { until } from '../../../src/lab/wait.js';
import { enterFreshNamespace } from '../../helpers/in-namespace.js';
import { ended, ipvtap, type Outcome, refused, Site } from './site.js';

test.before(enterFreshNamespace);

test.serial('no root', async t => {
	const site = new Site(t);
	const hint = /sudo.*group: sudo usermod -aG ipvtap/;
	const without = (capability: string) => [
		'setpriv',
		`--bounding-set=-${capability}`,
		`--inh-caps=-${capability}`,
	];
	const why = "can't start the daemon: it needs";
	refused(
		t,
		await site.exec([...without('net_admin'), ipvtap, 'up', 'eth0']),
		5,
		`${why} CAP_NET_ADMIN`,
		hint,
	);
	refused(t, await site.exec([...without('net_raw'), ipvtap, 'up', 'eth0']), 5, `${why} CAP_NET_RAW`, hint);
	const nobody = ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups'];
	refused(
		t,
		await site.exec([...nobody, ipvtap, 'up', 'eth0']),
		5,
		`${why} CAP_NET_ADMIN and CAP_NET_RAW`,
		hint,
	);
	refused(
		t,
		await site.exec([...nobody, ipvtap, 'daemon']),
		5,
		"can't run the daemon: it needs CAP_NET_ADMIN and CAP_NET_RAW",
		hint,
	);
	t.is((await site.exec([...nobody, ipvtap, 'list'])).status, 0);
});

test.serial('no /dev/net/tun', async t => {
	const site = new Site(t);
	const without = ['unshare', '--mount', 'sh', '-c', 'mount -t tmpfs none /dev/net && exec "$@"', 'sh'];
	for (const command of [
		['up', 'eth0'],
		['attach', 'a', '--master', 'eth0'],
		['run', '--master', 'eth0', '--', 'true'],
	]) {
		refused(
			t,
			await site.exec([...without, ipvtap, ...command]),
			5,
			"can't make TAPs: there is no /dev/net/tun",
			/modprobe tun.*--device \/dev\/net\/tun/,
		);
		await site.gone();
	}
});

test.serial('a socket that is not ours', async t => {
	const site = new Site(t);
	const path = join(site.folder, 'other.sock');
	const run = (...args: string[]) =>
		site.exec([ipvtap, ...args], { IPVTAP_SOCKET: path, IPVTAP_STATE_DIR: join(site.folder, 'other') });
	const serve = (server: Server) => new Promise<void>(resolve => server.listen(path, resolve));
	const hint = /set IPVTAP_SOCKET/;

	writeFileSync(path, 'precious');
	refused(t, await run('up', 'eth0'), 6, `${path} is not ipvtap's: it is not a socket`, hint);
	refused(t, await run('list'), 6, `${path} is not ipvtap's: it is not a socket`, hint);
	refused(t, await run('daemon'), 4, `can't listen on ${path}: it exists and is not a socket`, hint);
	t.is((await site.exec(['cat', path])).stdout, 'precious');
	await site.exec(['rm', path]);

	for (const server of [
		createServer(connection =>
			connection
				.on('error', () => undefined)
				.resume()
				.end('220 mail.example ESMTP\r\n'),
		),
		createHttpServer((_, response) => response.end('[]')),
	]) {
		await serve(server);
		refused(t, await run('list'), 6, `${path} is not ipvtap's: another program answers there`, hint);
		refused(
			t,
			await run('attach', 'a', '--master', 'eth0'),
			6,
			`${path} is not ipvtap's: another program answers there`,
			hint,
		);
		refused(t, await run('daemon'), 4, `can't listen on ${path}: another program listens there`, hint);
		await new Promise(resolve => server.close(resolve));
	}
	t.deepEqual(site.devices(), []);
});

test.serial('places that can not be', async t => {
	const site = new Site(t);
	const at = (socket: string, stateDir: string) =>
		site.exec([ipvtap, 'up', 'eth0'], { IPVTAP_SOCKET: socket, IPVTAP_STATE_DIR: stateDir });
	writeFileSync(join(site.folder, 'file'), '');
	refused(
		t,
		await at(`/${'x'.repeat(103)}`, site.stateDir),
		2,
		/IPVTAP_SOCKET: .* is longer than 103 bytes/,
		/shorter path/,
	);
	refused(
		t,
		await at(site.socket, join(site.folder, 'file')),
		5,
		/can't write .*ipvtapd\.log: /,
		/IPVTAP_STATE_DIR/,
	);
	refused(
		t,
		await at(join(site.folder, 'file', 'x', 'a.sock'), site.stateDir),
		5,
		/can't (start the daemon: can't )?make the socket|can't reach/,
		/IPVTAP_SOCKET/,
	);
	// A folder that no file can be made in, for root too.
	refused(
		t,
		await site.exec([ipvtap, 'daemon'], { IPVTAP_STATE_DIR: '/proc' }),
		1,
		"can't take the lock /proc/lock: ENOENT",
		/is it writable/,
	);
	mkdirSync(join(site.folder, 'd.sock'));
	refused(
		t,
		await at(join(site.folder, 'd.sock'), site.stateDir),
		6,
		/is not ipvtap's: it is not a socket$/,
		/IPVTAP_SOCKET/,
	);
});

test.serial('a daemon that is dead, or that nobody may start', async t => {
	const site = new Site(t);
	await site.attach('a');
	await site.crash();
	const never = { IPVTAP_AUTOSTART: 'never' };
	refused(
		t,
		await site.exec([ipvtap, 'list'], never),
		6,
		`can't reach the daemon at ${site.socket}: nobody listens there`,
		/sudo ipvtapd/,
	);
	refused(t, await site.exec([ipvtap, 'up', 'eth0'], never), 6, /can't reach the daemon/, /sudo ipvtapd/);
	const nobody = ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups'];
	refused(
		t,
		await site.exec([...nobody, ipvtap, 'list']),
		5,
		/can't (use the socket .*: permission denied|start the daemon: it needs)/,
		/sudo/,
	);
	t.is((await site.run('detach', 'a')).status, 0);
});

test.serial('a daemon that hangs, and one whose socket somebody has taken away', async t => {
	const site = new Site(t);
	await site.attach('a');
	process.kill(site.pid() as number, 'SIGSTOP');
	const waiting = site.run('list');
	const env = { IPVTAP_SOCKET: join(site.folder, 'b.sock'), IPVTAP_STATE_DIR: join(site.folder, 'b') };
	const other = site.start([ipvtap, 'daemon'], env);
	await until('the other daemon', 20_000, () => existsSync(env.IPVTAP_SOCKET));
	rmSync(env.IPVTAP_SOCKET);
	refused(
		t,
		await site.exec([ipvtap, 'list'], env),
		6,
		`can't reach the daemon at ${env.IPVTAP_SOCKET}: there is no such socket; can't use the state folder ` +
			`${env.IPVTAP_STATE_DIR}: another daemon does (process ${other.pid}, socket ${env.IPVTAP_SOCKET})`,
		/kill -9/,
	);
	// What is in its place now is not the daemon's to remove, and keeps it from nothing.
	mkdirSync(env.IPVTAP_SOCKET);
	other.kill();
	t.is((await ended(other)).status, 0);
	t.true(existsSync(env.IPVTAP_SOCKET));
	refused(t, await waiting, 7, `the daemon at ${site.socket} did not answer in 30 s`, /its log/);
	process.kill(site.pid() as number, 'SIGCONT');
	await until('the daemon', 20_000, async () => (await site.run('list')).status === 0);
});

test.serial('a QMP socket that is absent, dead, or speaks nonsense', async t => {
	const site = new Site(t);
	const path = join(site.folder, 'qmp');
	const plug = () => site.run('attach', 'a', '--master', 'eth0', '--qmp', path);
	const says = async (text: string): Promise<Outcome> => {
		const server = createServer(connection =>
			connection
				.on('error', () => undefined)
				.resume()
				.write(text),
		);
		await new Promise<void>(resolve => server.listen(path, resolve));
		const outcome = await plug();
		await new Promise(resolve => server.close(resolve));
		return outcome;
	};
	for (const outcome of [await plug(), await says('hello\r\n'), await says('{"QMP":'), await says('')]) {
		t.true([1, 3, 7].includes(outcome.status ?? 0), outcome.stderr);
		t.regex(outcome.stderr, /^error: .*qmp.*\n/);
		t.is(outcome.stdout, '');
		await site.gone();
		t.deepEqual(site.devices(), []);
	}
	await site.attach('a');
	const unplug = await site.run('detach', 'a', '--qmp', path);
	t.is(unplug.status, 3, unplug.stderr);
	t.is((await site.list()).slaves.length, 1, 'the slave is still there');
});
