import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type RequestListener, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { readHookCall } from '../../../../qemu/libvirt/hook.js';
import { hookScript } from '../../../../qemu/libvirt/hook-script.js';

const xml = `<domain>\n  <a xmlns='https://ipvtap.dev/xmlns/libvirt/1'>\\n%s "$HOME" é</a>\n</domain>`;

/** The script, and a socket where somebody may listen for it. */
function place(
	t: ExecutionContext,
	said = xml,
): { socket: string; run: (...args: string[]) => Promise<string> } {
	const folder = mkdtempSync(join(tmpdir(), 'ipvtap-hook-'));
	t.teardown(() => rmSync(folder, { recursive: true }));
	const socket = join(folder, "it's.sock");
	const script = join(folder, 'hook');
	writeFileSync(script, hookScript(socket), { mode: 0o755 });
	const run = async (...args: string[]): Promise<string> => {
		const child = spawn(script, args);
		let heard = '';
		child.stdout.on('data', (text: Buffer) => t.fail(`stdout is the domain's: ${text}`));
		child.stderr.setEncoding('utf8').on('data', (text: string) => {
			heard += text;
		});
		// What it has no use for, it doesn't read.
		child.stdin.on('error', () => undefined).end(said);
		const [status] = (await once(child, 'close')) as [number];
		return `${heard.replaceAll(socket, 'SOCKET')}${status}`;
	};
	return { socket, run };
}

async function listening(t: ExecutionContext, socket: string, listener: RequestListener): Promise<Server> {
	const server = createServer(listener).listen(socket);
	t.teardown(() => server.close());
	await once(server, 'listening');
	return server;
}

test('what libvirt says arrives as it is, and nothing is said of success', async t => {
	const { socket, run } = place(t);
	const heard: unknown[] = [];
	await listening(t, socket, async (request, response) => {
		let body = '';
		for await (const chunk of request.setEncoding('utf8')) body += chunk;
		heard.push(request.url, readHookCall(body));
		response.writeHead(200, { 'content-type': 'text/plain' }).end();
	});
	t.is(await run('wéb "1" $x', 'release', 'end', 'saved'), '0');
	t.deepEqual(heard, [
		'/v1/libvirt',
		{ name: 'wéb "1" $x', operation: 'release', extra: 'saved', xml: `${xml}\n` },
	]);
});

test('what is refused is said, and stops what it may stop', async t => {
	const { socket, run } = place(t);
	await listening(t, socket, (_, response) => {
		response.writeHead(409, { 'content-type': 'text/plain' }).end("it's %d in use\nhint: choose \\another");
	});
	const said = (operation: string) => `ipvtap: ${operation} web: it's %d in use\nhint: choose \\another\n`;
	for (const operation of ['prepare', 'migrate', 'started'])
		t.is(await run('web', operation, 'begin', '-'), `${said(operation)}1`);
	for (const operation of ['reconnect', 'stopped', 'release'])
		t.is(await run('web', operation, 'end', '-'), `${said(operation)}0`);
	for (const operation of ['start', 'restore', 'attach'])
		t.is(await run('web', operation, 'begin', '-'), '0');
});

test('a domain is ours by what it declares, or by a NIC called as ours are', async t => {
	const nic = (target: string) => `<domain><interface type='ethernet'>${target}</interface></domain>`;
	const operation = ['web', 'prepare', 'begin', '-'];
	const ours = place(t, nic("<target dev='ipvt-web2' managed='no'/>"));
	t.regex(await ours.run(...operation), /there is no such socket/);
	const others = place(t, nic("<target dev='tap7' managed='no'/><alias name='ua-ipvt-x'/>"));
	t.is(await others.run(...operation), '0');
});

test("somebody else's socket", async t => {
	const { socket, run } = place(t);
	await listening(t, socket, (_, response) =>
		response.writeHead(200, { 'content-type': 'text/html' }).end('<p>'),
	);
	t.regex(
		await run('web', 'prepare', 'begin', '-'),
		/^ipvtap: prepare web: SOCKET is not ipvtap's: its answer makes no sense\nhint: .*\n1$/,
	);
});

test('nobody there; `started` waits a moment for a daemon that is being restarted', async t => {
	const { socket, run } = place(t);
	t.regex(
		await run('web', 'prepare', 'begin', '-'),
		/^ipvtap: prepare web: can't reach ipvtapd at SOCKET: there is no such socket\nhint: start the daemon first .*\n1$/,
	);
	const started = run('web', 'started', 'begin', '-');
	await listening(t, socket, (_, response) =>
		response.writeHead(200, { 'content-type': 'text/plain' }).end(),
	);
	t.is(await started, '0');
});

test('a daemon that goes while it is asked', async t => {
	const { socket, run } = place(t);
	await listening(t, socket, request => request.socket.destroy());
	t.regex(
		await run('web', 'reconnect', 'begin', '-'),
		/^ipvtap: reconnect web: can't reach ipvtapd at SOCKET: it went while it was being asked \(curl: \d+\)\nhint: .*\n0$/,
	);
});
