/** ipvtap as its users have it, by its command line, in a namespace and with a daemon of its own. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { slavePath } from '../../src/cli/slave-text.js';
import { call } from '../../src/control/client.js';
import type { Info, Listing, Master, Slave, SlaveStats } from '../../src/control/model.js';
import { makeFolder } from '../../src/lab/cleanup.js';
import { type CommandOptions, run, toolsEnv } from '../../src/lab/command.js';
import type { Namespace } from '../../src/lab/namespace.js';
import { until } from '../../src/lab/wait.js';
import { assertNothingLeft, type Snapshot, snapshot } from './leaks.js';

export interface Answer {
	status: number;
	stdout: string;
	stderr: string;
}

export class Product {
	readonly namespace: Namespace;
	readonly folder: string;
	readonly socket: string;
	readonly env: NodeJS.ProcessEnv;
	/** Words that put a command into the namespace. `ip netns exec` gives it mounts of its own, which end with it. */
	prefix: readonly string[];
	/** Attach and look by the socket, where starting a command for each takes seconds. There has to be a daemon. */
	bySocket = false;
	readonly #removeFolder: () => void;
	readonly #before: Snapshot;

	private constructor(namespace: Namespace, name: string, before: Snapshot) {
		this.namespace = namespace;
		this.#before = before;
		this.prefix = namespace.prefix;
		[this.folder, this.#removeFolder] = makeFolder(name);
		this.socket = join(this.folder, 'ipvtap.sock');
		this.env = { ...toolsEnv, IPVTAP_SOCKET: this.socket, IPVTAP_STATE_DIR: join(this.folder, 'state') };
	}

	/** Takes note of what the namespace holds before ipvtap has done anything there. */
	static async at(namespace: Namespace, name = 'product'): Promise<Product> {
		return new Product(namespace, name, await snapshot({ namespace: namespace.name }));
	}

	/** Words that start the command line in the namespace; `env` has to go with them. */
	get words(): string[] {
		return [...this.prefix, bin];
	}

	/** Runs a command to its end, whatever its exit status. */
	async ipvtap(args: readonly string[], options: CommandOptions = {}): Promise<Answer> {
		const [file, ...words] = this.words;
		const { rc, out, err } = await run(file!, [...words, ...args], { env: this.env, ...options });
		return { status: rc, stdout: out, stderr: err };
	}

	/** As `ipvtap`, for what has to succeed. @returns its one JSON document. @throws with its own words. */
	async json<T>(...args: string[]): Promise<T> {
		const { status, stdout, stderr } = await this.ipvtap([...args, '--json']);
		if (status !== 0)
			throw new Error(`ipvtap ${args.join(' ')}: exit status ${status}: ${stderr}${this.log()}`);
		return JSON.parse(stdout) as T;
	}

	up(master: string, ...options: string[]): Promise<Master> {
		return this.json('up', master, ...options);
	}

	attach(name: string, master: string, addresses: readonly string[], ...options: string[]): Promise<Slave> {
		if (this.bySocket && options.length === 0)
			return this.call('PUT', slavePath(name), { master, addresses });
		const ips = addresses.flatMap(address => ['--ip', address]);
		return this.json('attach', name, '--master', master, ...ips, ...options);
	}

	detach(name: string): Promise<unknown> {
		return this.json('detach', name);
	}

	list(): Promise<Listing> {
		return this.bySocket ? this.call('GET', '/v1/list') : this.json('list');
	}

	/** Counters of a slave or of a master. */
	async stats(name: string): Promise<SlaveStats> {
		if (this.bySocket) return (await this.call<Slave>('GET', slavePath(name))).stats;
		return (await this.json<{ stats: SlaveStats }>('stats', name)).stats;
	}

	/** Asks the daemon that answers; starts none. */
	info(): Promise<Info> {
		return this.call('GET', '/v1/info');
	}

	/** Asks the daemon by its socket, and starts none. */
	call<T>(method: string, path: string, body?: unknown): Promise<T> {
		return call<T>(this.socket, method, path, body);
	}

	/** Starts the daemon in the foreground, as a service would, and waits until it answers. */
	async daemon(): Promise<ChildProcess> {
		const [file, ...words] = this.words;
		const child = spawn(file!, [...words, 'daemon'], { env: this.env, stdio: 'ignore' });
		await until('the daemon to answer', 60_000, async () => {
			if (child.exitCode !== null) throw new Error(`the daemon ended with ${child.exitCode}`);
			return this.info().catch(() => undefined);
		});
		return child;
	}

	/** Sends the daemon a signal and waits until its process is gone. @returns milliseconds. */
	async signalDaemon(signal: NodeJS.Signals): Promise<number> {
		return signalled((await this.info()).pid, signal);
	}

	/** The state file's text, or nothing. */
	state(): string {
		try {
			return readFileSync(join(this.folder, 'state', 'state.json'), 'utf8');
		} catch {
			return '';
		}
	}

	/** The end of an auto-started daemon's log. */
	log(): string {
		try {
			return readFileSync(join(this.folder, 'state', 'ipvtapd.log'), 'utf8').slice(-4000);
		} catch {
			return '';
		}
	}

	/** Ends the daemon if there is one. */
	async end(): Promise<void> {
		const daemon = await this.info().catch(() => undefined);
		if (daemon) await signalled(daemon.pid, 'SIGTERM');
	}

	/** @throws AssertionError naming whatever is in the namespace that wasn't there before. */
	assertNothingLeft(): Promise<void> {
		return assertNothingLeft(this.#before, { namespace: this.namespace.name });
	}

	/** Ends the daemon, and removes its folder. */
	async close(): Promise<void> {
		await this.end();
		this.#removeFolder();
	}
}

/** Signals a process, if it hasn't just ended by itself, and waits until it is gone. @returns milliseconds. */
async function signalled(pid: number, signal: NodeJS.Signals): Promise<number> {
	const started = performance.now();
	try {
		process.kill(pid, signal);
	} catch (error) {
		if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
	}
	await until(`the end of the daemon ${pid}`, 15_000, () => !alive(pid));
	return performance.now() - started;
}

/** Whether a process exists and is no zombie. */
export function alive(pid: number): boolean {
	try {
		const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
		return !/\) [ZX] /.test(stat);
	} catch {
		return false;
	}
}

/** Waits for a child's end. @returns its exit status, 128 and more for a signal's number isn't told apart: 255. */
export async function exitOf(child: ChildProcess): Promise<number> {
	if (child.exitCode !== null) return child.exitCode;
	const [code] = (await once(child, 'exit')) as [number | null];
	return code ?? 255;
}

const bin = fileURLToPath(new URL('../../../bin/ipvtap', import.meta.url));
