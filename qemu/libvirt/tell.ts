/** The hook's request to the daemon: as src/control/client.ts, with nothing to load but what one request needs. */
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { IpvtapError, isErrorCode } from '../../src/errors.js';

const socketPath = process.env.IPVTAP_SOCKET || '/run/ipvtap/ipvtap.sock';
const retryMs = 50;

/**
 * @param options.patienceMs how long to try again where nobody listens.
 * @throws IpvtapError: the daemon's own, or `daemon-unreachable`.
 */
export async function tell(
	method: string,
	path: string,
	body?: unknown,
	{ patienceMs = 0 }: { patienceMs?: number } = {},
): Promise<void> {
	const sent = body === undefined ? '' : JSON.stringify(body);
	for (const until = performance.now() + patienceMs; ; ) {
		try {
			const { status, text } = await exchange(method, path, sent);
			if (status < 400) return;
			throw told(text);
		} catch (error) {
			if (error instanceof IpvtapError) throw error;
			if (performance.now() >= until) throw unreachable(error as NodeJS.ErrnoException);
			// There is nothing to wait for but a socket that isn't there.
			await sleep(retryMs);
		}
	}
}

/** HTTP/1.0, where the answer ends with the connection: node:http alone would take the time of the rest of the hook. */
function exchange(method: string, path: string, body: string): Promise<{ status: number; text: string }> {
	return new Promise((resolve, reject) => {
		const socket = connect(socketPath);
		let answer = '';
		socket.setEncoding('utf8');
		socket.on('data', (chunk: string) => {
			answer += chunk;
		});
		socket.on('end', () => {
			const status = /^HTTP\/1\.\d (\d{3}) /.exec(answer)?.[1];
			if (status === undefined) reject(reset());
			else resolve({ status: Number(status), text: answer.slice(answer.indexOf('\r\n\r\n') + 4) });
		});
		socket.on('error', reject);
		const type = 'content-type: application/json';
		const length = `content-length: ${Buffer.byteLength(body)}`;
		socket.write(`${method} ${path} HTTP/1.0\r\n${type}\r\n${length}\r\n\r\n${body}`);
	});
}

/** The daemon went while it was being asked. */
function reset(): NodeJS.ErrnoException {
	return Object.assign(new Error('the connection was closed without an answer'), { code: 'ECONNRESET' });
}

function told(text: string): IpvtapError {
	try {
		const { code, message, hint } = (
			JSON.parse(text) as { error: { code: unknown; message: string; hint?: string } }
		).error;
		return new IpvtapError(isErrorCode(code) ? code : 'failed', message, hint === undefined ? {} : { hint });
	} catch {
		return new IpvtapError('daemon-unreachable', `${socketPath} is not ipvtap's: its answer makes no sense`);
	}
}

function unreachable(cause: NodeJS.ErrnoException): IpvtapError {
	const why =
		cause.code === 'ENOENT'
			? 'there is no such socket'
			: `nobody listens there (${cause.code ?? cause.message})`;
	return new IpvtapError('daemon-unreachable', `can't reach ipvtapd at ${socketPath}: ${why}`, {
		hint: 'start the daemon first (sudo ipvtapd), and let it start before libvirt at boot; see: ipvtap libvirt status',
		cause,
	});
}
