import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, fstatSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { IpvtapError } from '../../../src/errors.js';
import { descriptorOf, peerCredentials } from '../../../src/sys/peer-credentials.js';
import {
	closeFd,
	connectUnix,
	duplicateFd,
	receiveWithFd,
	sendWithFd,
} from '../../../src/sys/unix-socket.js';

const folder = mkdtempSync(join(tmpdir(), 'ipvtap-unix-'));
test.after.always(() => rmSync(folder, { recursive: true }));

/** A connected pair: our raw descriptor, and the server's, taken off libuv's hands. */
async function pair(name: string): Promise<{ client: number; server: number; close(): void }> {
	const listener = net.createServer({ pauseOnConnect: true }).listen(join(folder, name));
	await once(listener, 'listening');
	const client = connectUnix(join(folder, name));
	const [accepted] = (await once(listener, 'connection')) as [net.Socket];
	const server = duplicateFd(descriptorOf(accepted));
	return {
		client,
		server,
		close() {
			closeFd(client);
			closeFd(server);
			accepted.destroy();
			listener.close();
		},
	};
}

test.serial('descriptors arrive as the same open files, close-on-exec', async t => {
	const { client, server, close } = await pair('rights');
	const paths = ['a', 'b', 'c'].map(name => join(folder, name));
	const sent = paths.map(path => {
		writeFileSync(path, path);
		return openSync(path, 'r');
	});
	for (const count of [1, 2, 3]) {
		sendWithFd(client, Buffer.from(`take ${count}`), sent.slice(0, count));
		const { payload, fds } = receiveWithFd(server);
		t.is(Buffer.from(payload).toString(), `take ${count}`);
		t.deepEqual(
			fds.map(fd => fstatSync(fd).ino),
			sent.slice(0, count).map(fd => fstatSync(fd).ino),
		);
		for (const fd of fds) {
			t.regex(readFileSync(`/proc/self/fdinfo/${fd}`, 'utf8'), /flags:\s*02\d{6}/);
			closeFd(fd);
		}
	}
	for (const fd of sent) closeSync(fd);
	close();
});

test.serial('253 descriptors go in one message, one more is refused', async t => {
	const { client, server, close } = await pair('many');
	const fd = openSync('/dev/null', 'r');
	sendWithFd(client, Buffer.from('x'), Array(253).fill(fd));
	const { fds } = receiveWithFd(server, 16, 253);
	t.is(fds.length, 253);
	fds.forEach(closeFd);
	t.throws(() => sendWithFd(client, Buffer.from('x'), Array(254).fill(fd)), { code: 'EINVAL' });
	closeSync(fd);
	close();
});

test.serial('more descriptors than expected are closed, not leaked', async t => {
	const { client, server, close } = await pair('surplus');
	const fd = openSync('/dev/null', 'r');
	const next = duplicateFd(fd);
	closeFd(next);
	sendWithFd(client, Buffer.from('x'), Array(9).fill(fd));
	t.throws(() => receiveWithFd(server, 16, 1), { instanceOf: IpvtapError, message: /more than 1/ });
	const again = duplicateFd(fd);
	t.is(again, next);
	closeFd(again);
	closeSync(fd);
	close();
});

test.serial('a full socket is waited for, and not for ever', async t => {
	const { client, server, close } = await pair('full');
	const error = t.throws(() => sendWithFd(client, Buffer.alloc(1 << 20), [], 100), {
		instanceOf: IpvtapError,
	});
	t.is((error as IpvtapError).code, 'timed-out');
	t.throws(() => receiveWithFd(client, 16, 1, 50), { instanceOf: IpvtapError, code: 'timed-out' });
	t.true(receiveWithFd(server).payload.length > 0);
	close();
});

test.serial('a long payload goes whole, its descriptor once', async t => {
	const listener = net.createServer().listen(join(folder, 'long2'));
	await once(listener, 'listening');
	const reader = spawn(process.execPath, [
		'--input-type=module',
		'-e',
		`
		import { connectUnix, receiveWithFd } from ${JSON.stringify(new URL('../../../src/sys/unix-socket.js', import.meta.url).href)};
		const fd = connectUnix(${JSON.stringify(join(folder, 'long2'))});
		let bytes = 0, fds = 0;
		for (;;) {
			const got = receiveWithFd(fd, 65536, 4, 5000);
			if (got.payload.length === 0) break;
			bytes += got.payload.length; fds += got.fds.length;
		}
		console.log(bytes, fds);`,
	]);
	const [socket] = (await once(listener, 'connection')) as [net.Socket];
	const fd = duplicateFd(descriptorOf(socket));
	sendWithFd(fd, Buffer.alloc(4 << 20), [0], 5000);
	closeFd(fd);
	socket.destroy();
	const [output] = (await once(reader.stdout, 'data')) as [Buffer];
	t.is(String(output).trim(), `${4 << 20} 1`);
	listener.close();
});

test.serial('afterwards the descriptor serves a net.Socket', async t => {
	const path = join(folder, 'echo');
	const listener = net.createServer(socket => socket.pipe(socket)).listen(path);
	await once(listener, 'listening');
	const fd = connectUnix(path);
	sendWithFd(fd, Buffer.from('first '), []);
	const socket = new net.Socket({ fd });
	socket.end('second');
	let echoed = '';
	for await (const chunk of socket) echoed += String(chunk);
	t.is(echoed, 'first second');
	listener.close();
});

test.serial('the other side is known by its process, user and group', async t => {
	const path = join(folder, 'who');
	const listener = net.createServer().listen(path);
	await once(listener, 'listening');
	const source = `require('net').connect(${JSON.stringify(path)}); setTimeout(() => {}, 60000)`;
	const child = spawn(process.execPath, ['-e', source]);
	const [socket] = (await once(listener, 'connection')) as [net.Socket];
	const fd = descriptorOf(socket);
	t.deepEqual(peerCredentials(fd), { pid: child.pid!, uid: process.getuid!(), gid: process.getgid!() });
	child.kill();
	socket.destroy();
	t.throws(() => descriptorOf(socket), { instanceOf: IpvtapError });
	const file = openSync('/dev/null', 'r');
	t.throws(() => peerCredentials(file), { code: 'ENOTSOCK' });
	closeSync(file);
	listener.close();
});

test.serial('who can not be reached is told apart', async t => {
	const stale = join(folder, 'stale');
	const listener = net.createServer().listen({ path: stale, backlog: 1 });
	await once(listener, 'listening');
	// The listener doesn't get a turn to accept while we fill its queue.
	const fds: number[] = [];
	const full = t.throws(
		() => {
			for (let i = 0; i < 10; i++) fds.push(connectUnix(stale));
		},
		{ instanceOf: IpvtapError, message: /its queue is full/ },
	);
	t.is((full as IpvtapError).code, 'conflict');
	fds.forEach(closeFd);
	listener.close();
	t.throws(() => connectUnix(join(folder, 'nothing')), { instanceOf: IpvtapError, code: 'not-found' });
	t.throws(() => connectUnix(`${folder}/${'x'.repeat(200)}`), { instanceOf: IpvtapError, code: 'usage' });
	t.throws(() => sendWithFd(0, new Uint8Array(0), []), { instanceOf: IpvtapError, code: 'usage' });
	writeFileSync(join(folder, 'file'), '');
	t.throws(() => connectUnix(join(folder, 'file')), { message: /nobody listens/ });
});
