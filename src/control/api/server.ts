/**
 * HTTP and JSON over the control socket. Everything here distrusts the client: bodies are bounded, slow clients
 * are cut off, and whatever goes wrong ends in `{"error":{"code","message","hint"}}` with a fitting status.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { limits } from '../../config.js';
import { asIpvtapError, type ErrorCode, IpvtapError } from '../../errors.js';
import type { Logger } from '../../log.js';
import { quote } from '../names.js';
import { type Actor, identify } from './access.js';

export interface ApiRequest {
	/** What stood for `:name` in the route's path, decoded; empty if there was none. */
	name: string;
	query: URLSearchParams;
	/** Parsed JSON, or text where the route takes that. */
	body: unknown;
	actor: Actor;
	/** Whether the client has hung up: nobody will hear the answer. */
	isGone: () => boolean;
}

export interface ApiResponse {
	status?: number;
	/** A string is sent as it is, anything else as JSON. */
	body: unknown;
	type?: string;
}

export interface Route {
	method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
	/** `/v1/slaves/:name`; only the last part may be a parameter. */
	path: string;
	/** Takes text of that many bytes instead of JSON. */
	textBytes?: number;
	handle: (request: ApiRequest) => ApiResponse | Promise<ApiResponse>;
}

/** Sent with every answer: how a command knows that a socket is ipvtap's. */
export const serverName = 'ipvtapd';

/** @param requestMs how long a client may take over its request. */
export function createApi(routes: Route[], log: Logger, requestMs: number = limits.requestMs): Server {
	const server = createServer(
		{
			maxHeaderSize: 8 * 1024,
			headersTimeout: requestMs,
			requestTimeout: requestMs,
			keepAliveTimeout: requestMs,
			connectionsCheckingInterval: requestMs / 4,
		},
		(request, response) => {
			answer(routes, request)
				.then(result => send(response, result))
				.catch((error: unknown) => sendError(response, request, error, log));
		},
	);
	server.maxConnections = limits.connections;
	// Who takes nothing of an answer for so long is cut off too. No answer is worked on that long.
	server.setTimeout(6 * requestMs);
	server.on('clientError', refuse);
	return server;
}

async function answer(routes: Route[], request: IncomingMessage): Promise<ApiResponse> {
	const actor = await identify(request.socket);
	const url = target(request);
	const matches = routes
		.map(route => ({ route, name: match(route.path, url.pathname) }))
		.filter(one => one.name !== null);
	const found = matches.find(one => one.route.method === request.method);
	if (!found)
		throw matches.length > 0
			? wrongMethod(
					request,
					matches.map(one => one.route.method),
				)
			: noRoute(url);
	const body = await readBody(request, found.route.textBytes);
	const isGone = () => request.socket.destroyed;
	return found.route.handle({ name: found.name ?? '', query: url.searchParams, body, actor, isGone });
}

/** `//x` is a path too, and names no host. */
function target({ url = '/' }: IncomingMessage): URL {
	try {
		return new URL(url.startsWith('/') ? `http://ipvtap${url}` : url);
	} catch {
		throw new IpvtapError('usage', `bad request: ${quote(url)} is not a path`);
	}
}

/** @returns what stands for `:name`, '' if the route has none, null if the path is another's. */
function match(route: string, path: string): string | null {
	if (!route.endsWith('/:name')) return route === path ? '' : null;
	const prefix = route.slice(0, -':name'.length);
	if (!path.startsWith(prefix) || path.length === prefix.length) return null;
	const rest = path.slice(prefix.length);
	if (rest.includes('/')) return null;
	try {
		return decodeURIComponent(rest);
	} catch {
		throw new IpvtapError('usage', `bad request: ${quote(rest)} is not a well-formed part of a path`);
	}
}

async function readBody(request: IncomingMessage, textBytes?: number): Promise<unknown> {
	const bytes = await readBytes(request, textBytes ?? limits.requestBodyBytes);
	if (textBytes === undefined && bytes.length === 0) return {};
	try {
		const text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
		return textBytes === undefined ? JSON.parse(text) : text;
	} catch (cause) {
		const wanted = textBytes === undefined ? 'JSON' : 'text in UTF-8';
		throw new IpvtapError('usage', `bad request: the body is not ${wanted}`, { cause });
	}
}

/** What is more than allowed is read all the same, and thrown away: a client hears an answer when it has finished. */
function readBytes(request: IncomingMessage, most: number): Promise<Buffer> {
	return new Promise((resolve, reject) => {
		const chunks: Buffer[] = [];
		let length = 0;
		request.on('data', (chunk: Buffer) => {
			length += chunk.length;
			if (length <= most) chunks.push(chunk);
			else reject(new StatusError(413, `bad request: more than ${most} bytes`));
		});
		request.on('end', () => resolve(Buffer.concat(chunks)));
		request.on('error', reject);
	});
}

function send(
	response: ServerResponse,
	{ status = 200, body, type = 'application/json' }: ApiResponse,
): void {
	const text = typeof body === 'string' ? body : `${JSON.stringify(body)}\n`;
	response.writeHead(status, {
		server: serverName,
		'content-type': type,
		'content-length': Buffer.byteLength(text),
	});
	response.end(text);
}

function sendError(response: ServerResponse, request: IncomingMessage, thrown: unknown, log: Logger): void {
	// The client went away in the middle of its request: there is nobody to tell.
	if (request.destroyed && !request.complete) return;
	const error = asIpvtapError(thrown);
	const status = thrown instanceof StatusError ? thrown.status : statusOf[error.code];
	if (!(thrown instanceof IpvtapError))
		log.error({ err: thrown, method: request.method, url: request.url }, 'request failed');
	if (response.headersSent || response.destroyed) return;
	// What is left of a body that we don't want to read would be taken for the next request.
	if (!request.complete) response.setHeader('connection', 'close');
	if (thrown instanceof StatusError && thrown.allow) response.setHeader('allow', thrown.allow);
	if (request.headers.accept === 'text/plain')
		send(response, { status, body: errorText(error), type: 'text/plain' });
	else send(response, { status, body: errorBody(error) });
}

/** For what node's parser refuses; there is no response object then, only the socket. */
function refuse(error: NodeJS.ErrnoException, socket: Socket): void {
	if (!socket.writable || error.code === 'ECONNRESET') {
		socket.destroy();
		return;
	}
	const [status, code, why] = parserErrors[error.code ?? ''] ?? ([400, 'usage', 'it is not HTTP'] as const);
	const body = `${JSON.stringify(errorBody(new IpvtapError(code, `bad request: ${why}`)))}\n`;
	const head = [
		`HTTP/1.1 ${status} Refused`,
		`Server: ${serverName}`,
		'Content-Type: application/json',
		`Content-Length: ${Buffer.byteLength(body)}`,
		'Connection: close',
	];
	socket.end(`${head.join('\r\n')}\r\n\r\n${body}`, () => socket.destroy());
}

export function errorBody({ code, message, hint }: IpvtapError): { error: object } {
	return { error: { code, message, ...(hint === undefined ? {} : { hint }) } };
}

/** As commands show it, for scripts that hand it on. */
function errorText({ message, hint }: IpvtapError): string {
	return `${message}${hint === undefined ? '' : `\nhint: ${hint}`}`;
}

class StatusError extends IpvtapError {
	constructor(
		readonly status: number,
		message: string,
		readonly allow?: string,
	) {
		super('usage', message, { hint: 'see docs/cli.md, "The API"' });
	}
}

function noRoute(url: URL): StatusError {
	return new StatusError(404, `bad request: there is no ${quote(url.pathname)}`);
}

function wrongMethod(request: IncomingMessage, allowed: string[]): StatusError {
	const allow = allowed.join(', ');
	return new StatusError(
		405,
		`bad request: ${request.method} is not for ${quote(request.url ?? '')}, only ${allow}`,
		allow,
	);
}

const statusOf: Record<ErrorCode, number> = {
	failed: 500,
	usage: 400,
	'not-found': 404,
	conflict: 409,
	permission: 403,
	'daemon-unreachable': 503,
	'timed-out': 504,
};

const parserErrors: Record<string, [status: number, code: ErrorCode, why: string] | undefined> = {
	HPE_HEADER_OVERFLOW: [431, 'usage', 'its head is longer than 8 KB'],
	ERR_HTTP_REQUEST_TIMEOUT: [408, 'timed-out', "it wasn't complete in time"],
};
