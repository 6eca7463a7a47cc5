import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { createConnection } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import test from 'ava';
import { createApi } from '../../../src/control/api/server.js';
import { call } from '../../../src/control/client.js';
import type { Listing } from '../../../src/control/model.js';
import { until } from '../../../src/lab/wait.js';
import { createLog } from '../../../src/log.js';
import { daemonHere } from './daemon-here.js';

const nothing: Listing = { masters: [], slaves: [] };

test('what there is can be asked for', async t => {
	const { socket } = await daemonHere(t);
	t.like(await call(socket, 'GET', '/v1/info'), { name: 'ipvtapd', pid: process.pid });
	t.deepEqual(await call(socket, 'GET', '/v1/list'), nothing);
	t.deepEqual(await call(socket, 'GET', '/v1/masters'), []);
	t.deepEqual(await call(socket, 'GET', '/v1/slaves'), []);
	t.deepEqual(await call(socket, 'GET', '/v1/stats'), nothing);
});

test('curl can use the socket', async t => {
	const { socket } = await daemonHere(t);
	const curl = (...args: string[]) =>
		promisify(execFile)('curl', ['-s', '-i', '--unix-socket', socket, ...args]);
	const { stdout } = await curl('http://ipvtap/v1/slaves/web1');
	t.regex(stdout, /^HTTP\/1\.1 404 Not Found\r\n/);
	t.regex(stdout, /\r\nserver: ipvtapd\r\n/i);
	const error = {
		code: 'not-found',
		message: "no slave is named 'web1'",
		hint: 'there is none yet; see: ipvtap attach --help',
	};
	t.deepEqual(JSON.parse(stdout.split('\r\n\r\n')[1] ?? ''), { error });
	t.regex((await curl('http://ipvtap/metrics')).stdout, /content-type: text\/plain; version=0\.0\.4/i);
});

for (const [method, path, body, status, message] of [
	['GET', '/v1/nothing', '', 404, "there is no '/v1/nothing'"],
	['GET', '/', '', 404, "there is no '/'"],
	['GET', '/v1/slaves/', '', 404, "there is no '/v1/slaves/'"],
	['GET', '/v1/slaves/a/b', '', 404, "there is no '/v1/slaves/a/b'"],
	['GET', '/v1/slaves/%ff', '', 400, "'%ff' is not a well-formed part of a path"],
	['GET', '/v1/slaves/..%2f..%2fetc', '', 404, "no slave is named '../../etc'"],
	['GET', '//', '', 404, "there is no '//'"],
	['GET', '//x/v1/info', '', 404, "there is no '//x/v1/info'"],
	['GET', 'http://[/v1/info', '', 400, "'http://[/v1/info' is not a path"],
	['GET', '*', '', 400, "'*' is not a path"],
	['POST', '/v1/slaves/a', '', 405, "POST is not for '/v1/slaves/a', only GET, PUT, PATCH, DELETE"],
	['DELETE', '/v1/info', '', 405, "DELETE is not for '/v1/info', only GET"],
	['POST', '/v1/trace', '{}', 400, 'from: invalid input: expected string'],
	['POST', '/v1/trace', '{"from":"a","frame":"525"}', 400, 'frame: it is not whole bytes in hex'],
	['POST', '/v1/trace', '{"from":"a","type":"x"}', 400, 'type: invalid option'],
	['POST', '/v1/trace', '{"from":"a","to":"b","x":1}', 400, "unknown 'x'"],
	['POST', '/v1/trace', '{"from":"a","to":"b","dport":65536}', 400, 'dport: too big'],
	['POST', '/v1/trace', '{"from":"a","to":"b"}', 404, "no slave is named 'a'"],
	['POST', '/v1/trace', '{"from":"wire","to":"b"}', 404, 'trace from the wire: there is no master'],
	['POST', '/v1/libvirt', '', 400, 'it begins with no name of a domain'],
	['POST', '/v1/libvirt', '../web\nprepare\n-\n', 400, 'it begins with no name of a domain'],
	['POST', '/v1/libvirt', 'web\nprepare\n-\n\xff', 400, 'the body is not text in UTF-8'],
	[
		'POST',
		'/v1/libvirt',
		'web\nprepare\n-\n<domain',
		500,
		"read the domain's XML: line 1: '<' begins no element",
	],
	['GET', '/v1/trace', '', 405, "GET is not for '/v1/trace', only POST"],
	['PUT', '/v1/slaves/a', '{', 400, 'the body is not JSON'],
	['PUT', '/v1/slaves/a', '\xff', 400, 'the body is not JSON'],
	['PUT', '/v1/slaves/a', '[]', 400, 'the body: invalid input: expected object, received array'],
	['PUT', '/v1/slaves/a', 'null', 400, 'the body: invalid input: expected object, received null'],
	['PUT', '/v1/slaves/a', '{"master":"eth0","mode":"l2"}', 400, "the body: unknown 'mode'"],
	['PUT', '/v1/slaves/a', '{"master":"eth0","__proto__":{"x":1}}', 400, "the body: unknown '__proto__'"],
	['PUT', '/v1/slaves/a', '{"master":7}', 400, 'master: invalid input: expected string, received number'],
	['PUT', '/v1/slaves/a', '{"master":"eth0","queues":0}', 400, 'queues: too small'],
	['PUT', '/v1/slaves/a', '{"master":"eth0","queues":1.5}', 400, 'queues: invalid input: expected int'],
	[
		'PUT',
		'/v1/slaves/a',
		'{"master":"eth0","addresses":"1.2.3.4"}',
		400,
		'addresses: invalid input: expected array',
	],
	['PUT', '/v1/slaves/a', '{"master":"eth0","addresses":["1.2.3.4",5]}', 400, 'addresses.1: invalid input'],
	['PUT', '/v1/slaves/a', '{"master":"eth0","owner":"no-such-user"}', 404, "no user is named 'no-such-user'"],
	['PUT', '/v1/slaves/a', '{"master":"eth0","owner":-1}', 400, 'owner: '],
	['PUT', '/v1/slaves/a%20b', '{"master":"eth0"}', 400, "'a b' can't be a slave's name: it has ' ' in it"],
	[
		'PUT',
		'/v1/slaves/a',
		'{"master":"an-interface-too-long"}',
		400,
		"can't be an interface's name: it has 21 bytes",
	],
	['PUT', '/v1/slaves/a', '{"master":"eth0","mac":"x"}', 400, "'x' can't be a guest's MAC"],
	['PUT', '/v1/slaves/a', '{"master":"eth0","addresses":["10.0.0.0/8"]}', 400, 'it is a network'],
	['PUT', '/v1/masters/eth0', '{"mode":"l4"}', 400, 'mode: invalid option: expected one of "l2"|"l3"|"l3s"'],
	['PUT', '/v1/masters/eth0', '{"mode":"l3s","host":false}', 400, "mode l3s can't do without the host"],
	['PUT', '/v1/masters/eth0', '{"offload":"xdp"}', 400, "offload 'xdp': there is no such hook"],
	['PUT', '/v1/masters/eth0', '{"backlogFrames":0}', 400, 'backlogFrames: too small'],
	['PATCH', '/v1/masters/eth0', '{"host":false}', 400, "the body: unknown 'host'"],
	['PATCH', '/v1/masters/eth0', '{"flag":"vepa"}', 404, "no master is named 'eth0'"],
	['PATCH', '/v1/slaves/a', '{"add":[]}', 404, "no slave is named 'a'"],
	['PATCH', '/v1/slaves/a', '{"addresses":[],"add":[]}', 400, 'addresses excludes add and remove'],
	['PATCH', '/v1/slaves/a', '{"alias":"net0","limits":{}}', 400, 'alias excludes everything else'],
	['PUT', '/v1/slaves/a', '{"limits":{"tx":"1gbit"}}', 400, 'limits.tx: invalid input: expected object'],
	['PUT', '/v1/slaves/a', '{"limits":{"tx":{"rate":100}}}', 400, 'limits.tx.rate: too small'],
	['PUT', '/v1/slaves/a', '{"limits":{"rx":{"rate":1e6,"burst":1500}}}', 400, 'limits.rx.burst: too small'],
	['PUT', '/v1/slaves/a', '{"limits":{"slow":{"burst":5}}}', 400, 'limits.slow.rate: invalid input'],
	['PATCH', '/v1/slaves/a', '{"limits":{"mtu":null}}', 400, "limits: unknown 'mtu'"],
	['PATCH', '/v1/slaves/a', '{"limits":{"tx":null}}', 404, "no slave is named 'a'"],
	['DELETE', '/v1/slaves/a', '', 404, "no slave is named 'a'"],
	['DELETE', '/v1/masters/a', '', 404, "no master is named 'a'"],
] as const) {
	test(`${method} ${path} ${body} is answered with ${status}`, async t => {
		const { raw, controller } = await daemonHere(t);
		const bytes = Buffer.from(body, 'latin1');
		const head = `${method} ${path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: ${bytes.length}\r\n\r\n`;
		const answer = await raw(Buffer.concat([Buffer.from(head), bytes]));
		t.is(answer.split(' ')[1], String(status), answer);
		const { error } = JSON.parse(answer.split('\r\n\r\n')[1] ?? '') as {
			error: { code: string; message: string };
		};
		t.true(error.message.includes(message), error.message);
		t.truthy(error.code);
		t.deepEqual(controller.listing(), nothing);
		t.is(controller.estate.problems.size, 0);
	});
}

for (const [what, bytes, status] of [
	['what is not HTTP', '\0\0\0\0\r\n\r\n', 400],
	['TLS', '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n', 400],
	['a head too long', `GET /v1/info HTTP/1.1\r\nHost: x\r\nX: ${'x'.repeat(9000)}\r\n\r\n`, 431],
	[
		'a body too long',
		`PUT /v1/slaves/a HTTP/1.1\r\nHost: x\r\nContent-Length: 70000\r\n\r\n${' '.repeat(70_000)}`,
		413,
	],
	[
		'a chunked body too long',
		`PUT /v1/slaves/a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n11170\r\n${' '.repeat(70_000)}\r\n0\r\n\r\n`,
		413,
	],
	[
		'two lengths',
		'PUT /v1/slaves/a HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}',
		400,
	],
] as const) {
	test(`${what} is answered with ${status}, and the connection closed`, async t => {
		const { raw, socket } = await daemonHere(t);
		const answer = await raw(bytes);
		t.is(answer.split(' ')[1], String(status), answer);
		t.truthy((JSON.parse(answer.split('\r\n\r\n')[1] ?? '') as { error: { code: string } }).error.code);
		t.deepEqual(await call(socket, 'GET', '/v1/list'), nothing);
	});
}

test('a client that is slow is cut off, with its head or with its body', async t => {
	const { raw } = await daemonHere(t, 200);
	const began = performance.now();
	t.regex(await raw('GET /v1/info HT'), /^HTTP\/1\.1 408 /);
	t.regex(
		await raw('PUT /v1/slaves/a HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n{'),
		/^HTTP\/1\.1 408 |^$/,
	);
	t.true(performance.now() - began < 5000);
});

test('a client that goes away in the middle harms nobody', async t => {
	const { socket } = await daemonHere(t);
	for (let round = 0; round < 20; round++) {
		await new Promise<void>(resolve => {
			const connection = createConnection(socket, () => {
				connection.write('PUT /v1/slaves/a HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{', () =>
					connection.destroy(),
				);
			});
			connection.on('close', () => resolve());
		});
	}
	t.deepEqual(await call(socket, 'GET', '/v1/list'), nothing);
});

test('a hundred clients at once are all answered', async t => {
	const { socket } = await daemonHere(t);
	const answers = await Promise.all(Array.from({ length: 100 }, () => call(socket, 'GET', '/v1/list')));
	t.true(answers.every(answer => JSON.stringify(answer) === JSON.stringify(nothing)));
});

test('a daemon that is ending takes no more orders', async t => {
	const { socket, controller } = await daemonHere(t);
	await controller.close();
	await t.throwsAsync(call(socket, 'PUT', '/v1/masters/eth0', {}), {
		code: 'daemon-unreachable',
		message: /the daemon is ending/,
	});
});

test('a client that takes no answers is cut off', async t => {
	const socket = join(mkdtempSync(join(tmpdir(), 'ipvtap-api-')), 'a.sock');
	t.teardown(() => rmSync(dirname(socket), { recursive: true }));
	const handle = () => ({ body: 'x'.repeat(1 << 20) });
	const server = createApi([{ method: 'GET', path: '/', handle }], createLog({ IPVTAP_LOG: 'silent' }), 200);
	await new Promise<void>(resolve => server.listen(socket, resolve));
	const connections = () => promisify(server.getConnections.bind(server))();
	const client = createConnection(socket);
	client.on('error', () => undefined);
	client.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n');
	await until('the client to be there', 20_000, async () => (await connections()) === 1);
	await until('the client to be cut off', 20_000, async () => (await connections()) === 0);
	client.destroy();
	await new Promise(resolve => server.close(resolve));
	t.pass();
});
