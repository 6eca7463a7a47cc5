/** The command's end of the control socket: one request, one answer, or an error that says what to do. */
import { lstatSync, type Stats } from 'node:fs';
import { type IncomingMessage, request } from 'node:http';
import { limits } from '../config.js';
import { IpvtapError, isErrorCode } from '../errors.js';

/** Nobody listens on the socket: the one failure after which starting a daemon is worth a try. */
export class DaemonAbsent extends IpvtapError {
	constructor(path: string, why: string) {
		super('daemon-unreachable', `can't reach the daemon at ${path}: ${why}`, {
			hint: 'start one (sudo ipvtapd), or set IPVTAP_SOCKET to the socket of the one you mean',
		});
	}
}

/**
 * @returns the answer's JSON. @throws the daemon's own IpvtapError, DaemonAbsent, or IpvtapError
 * `daemon-unreachable` (not a socket, not ipvtap's), `permission`, `timed-out`.
 */
export async function call<T>(socket: string, method: string, path: string, body?: unknown): Promise<T> {
	const there = lookAt(socket);
	if (!there) throw new DaemonAbsent(socket, 'there is no such socket');
	if (!there.isSocket() && !there.isSymbolicLink()) throw notOurs(socket, 'it is not a socket');
	const { response, text } = await exchange(socket, method, path, body);
	// The daemon's name in server.ts, which isn't imported here for the sake of a command's start-up time.
	if (response.headers.server !== 'ipvtapd') throw notOurs(socket, 'another program answers there');
	const answer = parse(socket, text);
	if ((response.statusCode ?? 0) < 400) return answer as T;
	throw errorOf(socket, answer);
}

function lookAt(socket: string): Stats | undefined {
	try {
		return lstatSync(socket, { throwIfNoEntry: false });
	} catch (error) {
		if ((error as NodeJS.ErrnoException).code === 'ENOTDIR') return undefined;
		throw transportError(socket, error as NodeJS.ErrnoException);
	}
}

function exchange(
	socket: string,
	method: string,
	path: string,
	body: unknown,
): Promise<{ response: IncomingMessage; text: string }> {
	return new Promise((resolve, reject) => {
		const sent = body === undefined ? '' : JSON.stringify(body);
		const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(sent) };
		// biome-ignore format: one option a line says less
		const outgoing = request({ socketPath: socket, method, path, headers, agent: false, timeout: limits.answerMs }, response => {
			const chunks: Buffer[] = [];
			response.on('data', (chunk: Buffer) => chunks.push(chunk));
			response.on('end', () => resolve({ response, text: Buffer.concat(chunks).toString() }));
			response.on('error', error => reject(transportError(socket, error)));
		});
		outgoing.on('timeout', () => {
			outgoing.destroy(
				new IpvtapError(
					'timed-out',
					`the daemon at ${socket} did not answer in ${limits.answerMs / 1000} s`,
					{
						hint: 'see its log, and whether it still runs; kill -9 does no harm: the next one adopts its slaves',
					},
				),
			);
		});
		outgoing.on('error', error => reject(transportError(socket, error)));
		outgoing.end(sent);
	});
}

function transportError(socket: string, error: NodeJS.ErrnoException): IpvtapError {
	if (error instanceof IpvtapError) return error;
	switch (error.code) {
		case 'ENOENT':
		case 'ECONNREFUSED':
			return new DaemonAbsent(socket, 'nobody listens there');
		case 'ECONNRESET':
		case 'EPIPE':
			return new DaemonAbsent(socket, 'it hung up');
		case 'EACCES':
		case 'EPERM':
			return new IpvtapError('permission', `can't use the socket ${socket}: permission denied`, {
				hint: 'use sudo, or join its group: sudo usermod -aG ipvtap "$USER", then log in again',
				cause: error,
			});
		case 'EAGAIN':
			return new IpvtapError('timed-out', `can't reach the daemon at ${socket}: too many wait for it`, {
				hint: 'try again in a moment; see its log',
				cause: error,
			});
		case 'EPROTOTYPE':
			return notOurs(socket, 'it is a socket of another type');
		default:
			if (error.code?.startsWith('HPE_')) return notOurs(socket, 'another program answers there');
			return new IpvtapError(
				'daemon-unreachable',
				`can't reach the daemon at ${socket}: ${error.code ?? error.message}`,
				{ cause: error },
			);
	}
}

function notOurs(socket: string, why: string): IpvtapError {
	return new IpvtapError('daemon-unreachable', `${socket} is not ipvtap's: ${why}`, {
		hint: 'set IPVTAP_SOCKET to the socket of the daemon you mean, or to a path that is free',
	});
}

function parse(socket: string, text: string): unknown {
	try {
		return JSON.parse(text);
	} catch {
		throw notOurs(socket, 'its answer is not JSON');
	}
}

function errorOf(socket: string, answer: unknown): IpvtapError {
	const { code, message, hint } =
		(answer as { error?: { code?: unknown; message?: unknown; hint?: unknown } }).error ?? {};
	if (!isErrorCode(code) || typeof message !== 'string') throw notOurs(socket, 'its answer makes no sense');
	if (code === 'daemon-unreachable') return new DaemonAbsent(socket, message);
	return new IpvtapError(code, message, typeof hint === 'string' ? { hint } : {});
}
