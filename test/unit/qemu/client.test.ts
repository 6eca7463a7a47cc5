/**
 * The client against servers on real sockets that do what QEMU does, and what it never should.
 * What QEMU itself does is in test/integration/qemu.
 */
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { QmpClient } from '../../../qemu/qmp/client.js';
import { QmpCommandError } from '../../../qemu/qmp/errors.js';
import { IpvtapError } from '../../../src/errors.js';
import { type Answer, after, type Command, done, greeting, serve } from './qmp-server.js';

const folder = mkdtempSync(join(tmpdir(), 'ipvtap-qmp-'));
test.after.always(() => rmSync(folder, { recursive: true, force: true }));
let sockets = 0;

const withServer = (first: string, answer: Answer, body: (path: string) => Promise<void>): Promise<void> =>
	serve(join(folder, `${sockets++}.sock`), first, answer, body);

test('a command returns what QEMU returns', async t => {
	await withServer(
		greeting,
		after(({ id }) => `{"return": {"a": [1]}, "id": "${id}"}`),
		async path => {
			const client = await QmpClient.connect(path);
			t.is(client.version, '9.2.0');
			t.deepEqual(await client.execute('query-version'), { a: [1] });
			await client.close();
		},
	);
});

test('a refusal keeps its class and its words', async t => {
	const refuse = after(({ id }) => `{"error": {"class": "DeviceNotFound", "desc": "no x"}, "id": "${id}"}`);
	await withServer(greeting, refuse, async path => {
		const client = await QmpClient.connect(path);
		const error = await t.throwsAsync(client.execute('device_del', { id: 'x' }), {
			instanceOf: QmpCommandError,
		});
		t.like(error, {
			code: 'not-found',
			errorClass: 'DeviceNotFound',
			description: 'no x',
			command: 'device_del',
		});
		await client.close();
	});
});

test('commands go out one at a time, in order', async t => {
	const seen: string[] = [];
	let open = 0;
	const slowly = after((command, socket) => {
		seen.push(command.execute);
		t.is(++open, 1);
		setImmediate(() => {
			open--;
			socket.write(done(command));
			socket.write('\n');
		});
		return '';
	});
	await withServer(greeting, slowly, async path => {
		const client = await QmpClient.connect(path);
		await Promise.all(['a', 'b', 'c'].map(command => client.execute(command)));
		t.deepEqual(seen, ['a', 'b', 'c']);
		await client.close();
	});
});

test('an event before the reply is not missed, a reply to something else is dropped', async t => {
	const event = '{"event": "DEVICE_DELETED", "data": {"device": "n"}}';
	const noisy = after(command => `${event}\n{"return": 7, "id": "other"}\n{"return": 8}\n${done(command)}`);
	await withServer(greeting, noisy, async path => {
		const client = await QmpClient.connect(path);
		const wait = client.wait(({ data: { device } }) => device === 'n', 5000);
		t.deepEqual(await client.execute('device_del', { id: 'n' }), {});
		t.is((await wait.event)?.event, 'DEVICE_DELETED');
		await client.close();
	});
});

test('a wait that nothing ends is over in time, and can be cancelled', async t => {
	await withServer(greeting, done, async path => {
		const client = await QmpClient.connect(path);
		t.is(await client.wait(() => true, 20).event, undefined);
		const wait = client.wait(() => true, 60_000);
		wait.cancel();
		t.is(await wait.event, undefined);
		await client.close();
	});
});

test('a late reply is not taken for the next one', async t => {
	let first: Command | undefined;
	const late = after(command => {
		if (first === undefined) {
			first = command;
			return '';
		}
		return `{"return": "late", "id": "${first.id}"}\n{"return": "mine", "id": "${command.id}"}`;
	});
	await withServer(greeting, late, async path => {
		const client = await QmpClient.connect(path);
		const error = await t.throwsAsync(client.execute('slow', {}, { timeoutMs: 20 }), {
			instanceOf: IpvtapError,
		});
		t.is(error.code, 'timed-out');
		t.is(await client.execute('quick'), 'mine');
		await client.close();
	});
});

const hangUp = (_: Command, socket: Socket): string => {
	socket.end();
	return '';
};

/** How a connection can go wrong: what the server says, and what must come of it. */
const failures: [what: string, first: string, answer: Answer, code: string, message: RegExp][] = [
	['no greeting', '', done, 'timed-out', /does not greet/],
	['half a greeting', greeting.slice(0, 20), done, 'timed-out', /does not greet/],
	['the human monitor', "QEMU 7.2.22 monitor - type 'help'\r\n(qemu) ", done, 'failed', /not QMP.*monitor/],
	['a prompt', 'login: ', done, 'failed', /not QMP.*login/],
	['bytes', '\u0000\u00ff\u0001', done, 'failed', /not QMP/],
	['JSON that is no greeting', '{"hello": 1}\n', done, 'failed', /not QMP/],
	['a reply for a greeting', '{"return": {}}\n', done, 'failed', /without a greeting/],
	['a line without end', '{'.repeat(3 << 20), done, 'failed', /more than 1048576 bytes/],
	['two greetings', greeting + greeting, done, 'failed', /greets twice/],
	[
		'refused capabilities',
		greeting,
		({ id }) => `{"error":{"class":"GenericError","desc":"no"},"id":"${id}"}`,
		'failed',
		/qmp_capabilities: no/,
	],
	['silence on capabilities', greeting, () => '', 'timed-out', /qmp_capabilities/],
	['nonsense on capabilities', greeting, () => 'no!', 'failed', /not QMP/],
	[
		'a complaint about what we said',
		greeting,
		() => '{"error":{"class":"GenericError","desc":"JSON"}}',
		'failed',
		/understand us/,
	],
	['an end on capabilities', greeting, hangUp, 'failed', /closed/],
];

for (const [what, first, answer, code, message] of failures) {
	test(`connect: ${what}`, async t => {
		await withServer(first, answer, async path => {
			// Short only where the end of the time is what is tested: the machine may be busy.
			const greetingMs = /greet$/.test(message.source) ? 200 : 20_000;
			const commandMs = code === 'timed-out' ? 200 : 20_000;
			const connecting = QmpClient.connect(path, { greetingMs, commandMs });
			const error = await t.throwsAsync(connecting, { instanceOf: IpvtapError, message });
			t.is(error.code, code as IpvtapError['code']);
			t.notRegex(error.message, /[\n\r]/);
		});
	});
}

const absent: [what: string, make: (path: string) => void, code: string][] = [
	['nothing there', () => {}, 'not-found'],
	['a file', path => writeFileSync(path, ''), 'not-found'],
	['a socket nobody listens on', path => leaveSocket(path), 'not-found'],
];

for (const [what, make, code] of absent) {
	test(`connect: ${what}`, async t => {
		const path = join(folder, `absent-${sockets++}.sock`);
		make(path);
		const error = await t.throwsAsync(QmpClient.connect(path), { instanceOf: IpvtapError });
		t.is(error.code, code as IpvtapError['code']);
		t.regex(error.hint ?? '', /-qmp unix:/);
	});
}

test('connect: a path that no socket can have', async t => {
	const error = await t.throwsAsync(QmpClient.connect('x'.repeat(108)), { instanceOf: IpvtapError });
	t.is(error.code, 'usage');
});

test('the end of QEMU ends commands and waits, with one error', async t => {
	const die = after(hangUp);
	await withServer(greeting, die, async path => {
		const client = await QmpClient.connect(path);
		const wait = client.wait(() => true, 60_000);
		const command = await t.throwsAsync(client.execute('device_del', { id: 'x' }), {
			message: /device_del: QEMU has closed/,
		});
		t.is(await t.throwsAsync(wait.event), command);
		t.is(await t.throwsAsync(client.execute('stop')), command);
		t.is(await t.throwsAsync(client.wait(() => true, 60_000).event), command);
		await client.close();
	});
});

test('close closes: the server sees the end of every connection, good or bad', async t => {
	// Not by counting descriptors: other test files run in this process too.
	const ends: Promise<unknown>[] = [];
	const watching: Answer = (command, socket) => {
		ends.push(once(socket, 'end'));
		return ends.length > 5 ? 'nonsense' : done(command);
	};
	await withServer(greeting, watching, async path => {
		for (let round = 0; round < 5; round++) await (await QmpClient.connect(path)).close();
		for (let round = 0; round < 5; round++) await t.throwsAsync(QmpClient.connect(path));
		t.is(ends.length, 10);
		await Promise.all(ends);
	});
});

/** A socket file whose listener has died without removing it, as after `kill -9`. */
function leaveSocket(path: string): void {
	const script = `require('net').createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, 'SIGKILL'))`;
	spawnSync(process.execPath, ['-e', script]);
}
