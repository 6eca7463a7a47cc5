import { randomBytes } from 'node:crypto';
import { createServer, type Server, type Socket } from 'node:net';
import { IpvtapError } from '../errors.js';

export interface CommandResult {
	/** Exit status. */
	rc: number;
	/** Standard output and standard error, without the final newline, as `$( … )` gives it. */
	out: string;
}

/**
 * The host's end of a guest's serial port: a socket that QEMU connects to, so that its coming up, its
 * first words and its end are events here. The lines spoken are described in guest-init.ts.
 */
export class GuestAgent {
	readonly #hello: Promise<void>;
	readonly #server: Server;
	readonly #listening: Promise<void>;
	/** Drawn anew for each guest, so that no output of a command can look like its end. */
	readonly #token = randomBytes(6).toString('hex');
	#socket: Socket | undefined;
	#received = '';
	#commands = 0;
	#waiting: { marker: string; done: (result: CommandResult) => void } | undefined;
	#last: Promise<unknown> = Promise.resolve();

	constructor(path: string) {
		const { promise, resolve } = withResolvers<void>();
		this.#hello = promise;
		this.#waiting = { marker: 'hello', done: () => resolve() };
		this.#server = createServer(socket => this.#connected(socket));
		this.#listening = new Promise((listening, failed) => {
			this.#server.once('error', failed).listen(path, listening);
		});
	}

	/** Settles when QEMU may be started. */
	ready(): Promise<void> {
		return this.#listening;
	}

	/**
	 * Waits until the guest has said hello.
	 *
	 * @param name the guest's, for the error. @param because more about why it hasn't.
	 * @throws IpvtapError `timed-out` after `timeout` milliseconds.
	 */
	async hello(
		name: string,
		timeout: number,
		because: () => string = () => 'no hello from it',
	): Promise<void> {
		let timer: NodeJS.Timeout | undefined;
		const late = new Promise<never>((_, reject) => {
			timer = setTimeout(() => {
				reject(new IpvtapError('timed-out', `boot guest ${name}: not up after ${timeout} ms: ${because()}`));
			}, timeout).unref();
		});
		await Promise.race([this.#hello, late]).finally(() => clearTimeout(timer));
	}

	/**
	 * Runs a script in the guest's shell, after those asked for before it.
	 *
	 * @throws IpvtapError `timed-out` when the script had to be killed or the guest doesn't answer.
	 */
	run(script: string, timeout: number): Promise<CommandResult> {
		const result = this.#last.then(() => this.#send(script, timeout));
		this.#last = result.catch(() => {});
		return result;
	}

	/** Sends a script whose end nobody waits for. */
	post(script: string): void {
		this.#socket?.write(`none 60 ${Buffer.from(script).toString('base64')}\n`);
	}

	close(): void {
		this.#socket?.destroy();
		this.#server.close();
	}

	async #send(script: string, timeout: number): Promise<CommandResult> {
		const socket = this.#socket;
		if (socket === undefined || socket.destroyed) {
			throw new IpvtapError('failed', 'run a command in the guest: it has ended');
		}
		const marker = `${this.#token}.${++this.#commands}`;
		const { promise, resolve, reject } = withResolvers<CommandResult>();
		const seconds = Math.ceil(timeout / 1000);
		const late = new IpvtapError('timed-out', `run in the guest: no end after ${seconds} s: ${script}`);
		const gone = (): void =>
			reject(new IpvtapError('failed', `run in the guest: it ended during: ${script}`));
		// The guest kills the script itself; past that, the guest hangs.
		const timer = setTimeout(() => reject(late), seconds * 1000 + guestSlackMs);
		socket.once('close', gone);
		try {
			this.#waiting = { marker, done: resolve };
			socket.write(`${marker} ${seconds} ${Buffer.from(script).toString('base64')}\n`);
			const started = performance.now();
			const result = await promise;
			if (result.rc === killed && performance.now() - started >= seconds * 1000) throw late;
			return result;
		} finally {
			clearTimeout(timer);
			socket.off('close', gone);
			this.#waiting = undefined;
		}
	}

	#connected(socket: Socket): void {
		this.#socket = socket;
		// One guest, one connection.
		this.#server.close();
		socket.setEncoding('utf8');
		socket.on('error', () => {});
		socket.on('data', (chunk: string) => {
			this.#received += chunk;
			this.#scan();
		});
	}

	#scan(): void {
		if (this.#waiting === undefined) return;
		const end = new RegExp(`\\n@@${this.#waiting.marker} (\\d+)\\n`).exec(this.#received);
		if (end === null) return;
		const out = this.#received.slice(0, end.index);
		this.#received = this.#received.slice(end.index + end[0].length);
		this.#waiting.done({ rc: Number(end[1]), out: out.endsWith('\n') ? out.slice(0, -1) : out });
	}
}

/** How much longer than a script's own limit a guest on a busy machine may take to say so. */
const guestSlackMs = 10_000;
/** What a shell says of a program ended by SIGKILL: 128 + 9. */
const killed = 137;

interface Resolvers<T> {
	promise: Promise<T>;
	resolve: (value: T) => void;
	reject: (reason: Error) => void;
}

/** Promise.withResolvers, which Node has only since 22. */
function withResolvers<T>(): Resolvers<T> {
	let resolve!: (value: T) => void;
	let reject!: (reason: Error) => void;
	const promise = new Promise<T>((yes, no) => {
		resolve = yes;
		reject = no;
	});
	return { promise, resolve, reject };
}
