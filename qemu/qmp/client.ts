/**
 * One connection to a QEMU's monitor.
 *
 *   connect ─ greeting ─ qmp_capabilities ─▶ ready ─ execute …, events … ─▶ closed
 *        └── no greeting, nonsense, refusal ──────────────────────────────────┘
 *
 * Whatever breaks the protocol ends the connection and every wait on it, with one and the same error. Commands go
 * out one at a time: QEMU runs them in order anyway, and keeps no more than the descriptors of the last message, so
 * a `getfd` must have been answered before anything else is sent.
 */
import { Socket } from 'node:net';
import { IpvtapError } from '../../src/errors.js';
import { peerCredentials } from '../../src/sys/peer-credentials.js';
import { connectUnix, sendWithFd } from '../../src/sys/unix-socket.js';
import { connectionLost, notQmp, occupied, QmpCommandError, tooLate, unreachable } from './errors.js';
import { EventHub, type EventListener, type EventWait } from './events.js';
import type { QmpEvent, QmpMessage } from './protocol.js';
import { excerpt, formatCommand, LineReader, ProtocolError, parseMessage } from './protocol.js';

export interface ConnectOptions {
	/** Milliseconds that QEMU has to greet; it needs 20 to 40 after its start, and none later. */
	greetingMs?: number;
	/** Milliseconds that QEMU has for a command, unless `execute` is told otherwise. */
	commandMs?: number;
}

export interface ExecuteOptions {
	timeoutMs?: number;
	/** Descriptors that travel with the command (`getfd`); they stay open here. */
	fds?: number[];
}

export class QmpClient {
	readonly #path: string;
	readonly #fd: number;
	readonly #socket: Socket;
	readonly #commandMs: number;
	readonly #events = new EventHub();
	readonly #lines = new LineReader();
	readonly #closed: Promise<void>;
	#version: string | undefined;
	/** What is to be answered next; there is never more than one. */
	#awaited: Awaited | undefined;
	/** Settles when the command before has its answer. */
	#turn: Promise<unknown> = Promise.resolve();
	#sent = 0;
	/** Why no more can be said on this connection. */
	#end: IpvtapError | undefined;

	private constructor(path: string, fd: number, commandMs: number) {
		this.#path = path;
		this.#fd = fd;
		this.#commandMs = commandMs;
		this.#socket = new Socket({ fd });
		this.#closed = new Promise(resolve => this.#socket.once('close', () => resolve()));
		this.#socket.on('data', chunk => this.#read(chunk));
		this.#socket.on('error', cause => this.#fail(connectionLost(path, this.#doing(), cause)));
		this.#socket.on('end', () => this.#fail(connectionLost(path, this.#doing())));
	}

	/**
	 * @throws IpvtapError `not-found` (no socket, nobody listens), `permission`, `timed-out` (no greeting, or
	 * somebody else is connected), `failed` (not QMP, closed, refused), `usage` (path too long).
	 */
	static async connect(path: string, options: ConnectOptions = {}): Promise<QmpClient> {
		const client = new QmpClient(path, connectTo(path), options.commandMs ?? defaultCommandMs);
		try {
			await client.#answer("QEMU's greeting", '', options.greetingMs ?? defaultGreetingMs, () =>
				occupied(path),
			);
			await client.execute('qmp_capabilities');
			return client;
		} catch (error) {
			await client.close();
			throw error;
		}
	}

	/** QEMU's, as `7.2.22`. */
	get version(): string {
		return this.#version ?? '';
	}

	/**
	 * Runs a command and gives back what it returns.
	 * @throws QmpCommandError when QEMU refuses it; IpvtapError `timed-out`, `failed` (the connection ended).
	 */
	execute(command: string, args?: Record<string, unknown>, options: ExecuteOptions = {}): Promise<unknown> {
		const result = this.#turn.then(() => this.#run(command, args, options));
		this.#turn = result.catch(() => {});
		return result;
	}

	/** The user that QEMU ran as when it began to listen. @throws SysError when the connection has ended. */
	get peerUid(): number {
		return peerCredentials(this.#fd).uid;
	}

	/** @returns a function that ends the listening. */
	subscribe(listener: EventListener): () => void {
		return this.#events.subscribe(listener);
	}

	/** Begins to wait for an event; call it before the command that brings the event about. */
	wait(matches: (event: QmpEvent) => boolean, milliseconds: number): EventWait {
		const wait = this.#events.wait(matches, milliseconds);
		if (this.#end !== undefined) this.#events.end(this.#end);
		return wait;
	}

	/** Ends the connection; afterwards its descriptor is closed. */
	async close(): Promise<void> {
		this.#fail(new IpvtapError('failed', `${this.#doing()}: the QMP connection was closed`));
		await this.#closed;
	}

	async #run(
		command: string,
		args: Record<string, unknown> | undefined,
		{ timeoutMs = this.#commandMs, fds = [] }: ExecuteOptions,
	): Promise<unknown> {
		const what = `QEMU's ${command}`;
		const id = `ipvtap-${++this.#sent}`;
		const answer = this.#answer(what, id, timeoutMs, () => tooLate(what, timeoutMs));
		if (this.#end === undefined) this.#send(formatCommand(command, args, id), fds);
		const message = await answer;
		if (message.kind === 'error') {
			throw new QmpCommandError(command, message.errorClass, message.description);
		}
		return message.kind === 'return' ? message.value : undefined;
	}

	/** The message that answers `id`, or the greeting, which has none. */
	async #answer(
		what: string,
		id: string,
		milliseconds: number,
		late: () => IpvtapError,
	): Promise<QmpMessage> {
		if (this.#end !== undefined) throw this.#end;
		let timer: NodeJS.Timeout | undefined;
		try {
			return await new Promise<QmpMessage>((settle, fail) => {
				timer = setTimeout(() => fail(late()), milliseconds);
				this.#awaited = { what, id, settle, fail };
			});
		} finally {
			clearTimeout(timer);
			this.#awaited = undefined;
		}
	}

	/** Descriptors go around libuv, and must not overtake what it still has to write. */
	#send(line: Buffer, fds: number[]): void {
		if (fds.length === 0) {
			this.#socket.write(line);
		} else if (this.#socket.writableLength > 0) {
			this.#fail(tooLate(this.#doing(), this.#commandMs));
		} else {
			try {
				sendWithFd(this.#fd, line, fds);
			} catch (cause) {
				this.#fail(connectionLost(this.#path, this.#doing(), cause));
			}
		}
	}

	#read(chunk: Buffer): void {
		try {
			for (const line of this.#lines.push(chunk)) {
				const message = parseMessage(line);
				if (message !== undefined && this.#end === undefined) this.#receive(message);
			}
			// A prompt has no end of line: don't wait for one where it can't become an object any more.
			const { unfinished } = this.#lines;
			if (/^\s*[^\s{]/.test(unfinished)) throw new ProtocolError(`it says ${excerpt(unfinished)}`);
		} catch (error) {
			if (!(error instanceof ProtocolError)) throw error;
			this.#fail(notQmp(this.#path, error.message, error));
		}
	}

	/** @throws ProtocolError */
	#receive(message: QmpMessage): void {
		if (message.kind === 'greeting') {
			if (this.#version !== undefined) throw new ProtocolError('it greets twice');
			this.#version = message.version;
			this.#awaited?.settle(message);
		} else if (this.#version === undefined) {
			throw new ProtocolError('it begins without a greeting');
		} else if (message.kind === 'event') {
			this.#events.deliver(message);
		} else if (message.kind === 'error' && message.id === undefined) {
			// QEMU leaves the id out where it couldn't parse what it got: nothing that was sent can be relied on.
			throw new ProtocolError(`it doesn't understand us: ${message.description}`);
		} else if (message.id === this.#awaited?.id) {
			// Any other id belongs to a command whose time was over.
			this.#awaited?.settle(message);
		}
	}

	/** Ends the connection, once; everybody who waits on it is told why. */
	#fail(error: IpvtapError): void {
		if (this.#end !== undefined) return;
		this.#end = error;
		this.#awaited?.fail(error);
		this.#events.end(error);
		this.#socket.destroy();
	}

	#doing(): string {
		return this.#awaited?.what ?? 'QMP';
	}
}

interface Awaited {
	what: string;
	id: string;
	settle(message: QmpMessage): void;
	fail(error: IpvtapError): void;
}

function connectTo(path: string): number {
	try {
		return connectUnix(path);
	} catch (cause) {
		throw unreachable(path, cause);
	}
}

const defaultGreetingMs = 3000;
const defaultCommandMs = 5000;
