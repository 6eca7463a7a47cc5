import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer as createHttpServer } from 'node:http';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { call, DaemonAbsent } from '../../../src/control/client.js';

function folder(t: ExecutionContext): string {
	const path = mkdtempSync(join(tmpdir(), 'ipvtap-client-'));
	t.teardown(() => rmSync(path, { recursive: true, force: true }));
	return path;
}

async function listening(t: ExecutionContext, server: Server): Promise<string> {
	const path = join(folder(t), 'a.sock');
	await new Promise<void>(resolve => server.listen(path, resolve));
	t.teardown(() => server.close());
	return path;
}

const ask = (path: string) => call(path, 'GET', '/v1/info');

test('no socket: the daemon is absent', async t => {
	await t.throwsAsync(ask(join(folder(t), 'a.sock')), {
		instanceOf: DaemonAbsent,
		code: 'daemon-unreachable',
		message: /there is no such socket/,
	});
});

test('a socket that nobody listens on: the daemon is absent', async t => {
	const dir = folder(t);
	const path = join(dir, 'a.sock');
	const server = createServer();
	await new Promise<void>(resolve => server.listen(path, resolve));
	// Closing would remove the file; a second name for it stays, as after kill -9.
	const { linkSync } = await import('node:fs');
	linkSync(path, join(dir, 'b.sock'));
	await new Promise(resolve => server.close(resolve));
	await t.throwsAsync(ask(join(dir, 'b.sock')), {
		instanceOf: DaemonAbsent,
		message: /nobody listens there/,
	});
});

for (const [what, make] of [
	['a file', (path: string) => writeFileSync(path, '')],
	['a folder', (path: string) => mkdirSync(path)],
] as const) {
	test(`${what} in the socket's place is not ipvtap's, and no daemon would help`, async t => {
		const path = join(folder(t), 'a.sock');
		make(path);
		const error = await t.throwsAsync(ask(path), {
			code: 'daemon-unreachable',
			message: `${path} is not ipvtap's: it is not a socket`,
		});
		t.false(error instanceof DaemonAbsent);
	});
}

test('another HTTP server is not ipvtap', async t => {
	const path = await listening(
		t,
		createHttpServer((_, response) => response.end('{}')),
	);
	await t.throwsAsync(ask(path), { code: 'daemon-unreachable', message: /another program answers there/ });
});

test('what does not speak HTTP is not ipvtap', async t => {
	const path = await listening(
		t,
		createServer(connection => connection.end('SSH-2.0-nonsense\r\n')),
	);
	const error = await t.throwsAsync(ask(path), {
		code: 'daemon-unreachable',
		message: /another program answers there/,
	});
	t.false(error instanceof DaemonAbsent);
});

test('a server that hangs up: the daemon is going', async t => {
	const path = await listening(
		t,
		createServer(connection => connection.destroy()),
	);
	await t.throwsAsync(ask(path), { instanceOf: DaemonAbsent });
});

for (const [what, status, body] of [
	['no JSON', 200, 'hello'],
	['an error without a code', 500, '{"error":{"message":"x"}}'],
	['an error of another make', 404, '{"fault":"x"}'],
] as const) {
	test(`ipvtap's name with ${what} is not believed`, async t => {
		const server = createHttpServer((_, response) => {
			response.writeHead(status, { server: 'ipvtapd' });
			response.end(body);
		});
		await t.throwsAsync(ask(await listening(t, server)), {
			code: 'daemon-unreachable',
			message: /is not ipvtap's/,
		});
	});
}

test("the daemon's own errors arrive as they are", async t => {
	const error = { code: 'conflict', message: 'the address is in use', hint: 'choose another' };
	const server = createHttpServer((_, response) => {
		response.writeHead(409, { server: 'ipvtapd' });
		response.end(JSON.stringify({ error }));
	});
	await t.throwsAsync(ask(await listening(t, server)), { code: 'conflict', message: error.message });
});
