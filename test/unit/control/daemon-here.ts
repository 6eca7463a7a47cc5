/**
 * The real daemon's API in this process, on a real socket. Nobody here may make devices, and nobody asks: what
 * needs a port is in test/integration/cli.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { createConnection } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import { readConfig } from '../../../src/config.js';
import { apiRoutes } from '../../../src/control/api/routes.js';
import { createApi } from '../../../src/control/api/server.js';
import { Controller } from '../../../src/control/controller.js';
import { createLog } from '../../../src/log.js';
import { LinkMonitor } from '../../../src/sys/netlink/monitor.js';

export interface Here {
	socket: string;
	controller: Controller;
	/** Sends bytes as they are; resolves with all that came back when the server hangs up. */
	raw(bytes: string | Uint8Array): Promise<string>;
}

export async function daemonHere(t: ExecutionContext, requestMs = 2000): Promise<Here> {
	const folder = mkdtempSync(join(tmpdir(), 'ipvtap-api-'));
	const config = readConfig({ IPVTAP_SOCKET: join(folder, 'a.sock'), IPVTAP_STATE_DIR: folder });
	const log = createLog({ IPVTAP_LOG: 'silent' });
	const monitor = new LinkMonitor();
	const controller = new Controller(config, monitor, log);
	const info = () => ({
		name: 'ipvtapd' as const,
		version: '0',
		pid: process.pid,
		socket: config.socket,
		stateDir: folder,
		netns: '',
		untilIdle: false,
		masters: 0,
		slaves: 0,
	});
	const server = createApi(apiRoutes(controller, info), log, requestMs);
	await new Promise<void>(resolve => server.listen(config.socket, resolve));
	t.teardown(async () => {
		await controller.close();
		await monitor.close();
		server.closeAllConnections();
		await new Promise(resolve => server.close(resolve));
		rmSync(folder, { recursive: true });
	});
	return { socket: config.socket, controller, raw: bytes => exchange(config.socket, bytes) };
}

function exchange(socket: string, bytes: string | Uint8Array): Promise<string> {
	return new Promise((resolve, reject) => {
		const connection = createConnection(socket, () => connection.write(bytes));
		let answer = '';
		connection.on('data', chunk => {
			answer += chunk.toString();
		});
		connection.on('close', () => resolve(answer));
		connection.on('error', (error: NodeJS.ErrnoException) => {
			if (error.code !== 'ECONNRESET' && error.code !== 'EPIPE') reject(error);
		});
	});
}
