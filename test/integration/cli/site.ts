/**
 * Where the command line is tried for real: this test process's own network namespace, with masters made of veth
 * pairs, and a socket and a state folder for each test. At its end no daemon, device or file may be left.
 */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { ExecutionContext } from 'ava';
import { Lock } from '../../../src/control/lock.js';
import type { Listing, Slave } from '../../../src/control/model.js';
import { until } from '../../../src/lab/wait.js';
import { listLinks } from '../../../src/sys/netlink/link.js';
import { run as ip } from '../../helpers/in-namespace.js';

export interface Outcome {
	status: number | null;
	stdout: string;
	stderr: string;
}

export const bin = fileURLToPath(new URL('../../../../bin', import.meta.url));
export const ipvtap = `${bin}/ipvtap`;

export class Site {
	readonly folder = mkdtempSync(join(tmpdir(), 'ipvtap-it-'));
	readonly socket = join(this.folder, 'a.sock');
	readonly stateDir = join(this.folder, 'state');
	readonly env: NodeJS.ProcessEnv = {
		...process.env,
		IPVTAP_SOCKET: this.socket,
		IPVTAP_STATE_DIR: this.stateDir,
	};
	readonly #children: ChildProcess[] = [];

	/** A place with an interface `eth0`, up, whose other end is `sw0`; 192.0.2.1 and 2001:db8::1 are the host's. */
	constructor(t: ExecutionContext, masters = ['eth0']) {
		chmodSync(this.folder, 0o755);
		ip('ip', 'link', 'set', 'lo', 'up');
		for (const [index, master] of masters.entries()) this.addMaster(master, index);
		t.teardown(() => this.#clear(masters));
	}

	addMaster(name: string, index = 0): void {
		ip('ip', 'link', 'add', name, 'type', 'veth', 'peer', 'name', peerOf(name));
		ip('ip', 'link', 'set', peerOf(name), 'up');
		ip('ip', 'link', 'set', name, 'up');
		ip('ip', 'address', 'add', `192.0.2.${1 + index * 64}/26`, 'dev', name);
		ip('ip', 'address', 'add', `2001:db8:${index}::1/64`, 'dev', name, 'nodad');
	}

	/** Runs `ipvtap` to its end. */
	run(...args: string[]): Promise<Outcome> {
		return this.exec([ipvtap, ...args]);
	}

	/** Runs `ipvtap` with --json; must succeed. */
	async json<T>(...args: string[]): Promise<T> {
		const { status, stdout, stderr } = await this.run(...args, '--json');
		if (status !== 0) throw new Error(`ipvtap ${args.join(' ')}: ${status}: ${stderr}`);
		return JSON.parse(stdout) as T;
	}

	list(): Promise<Listing> {
		return this.json<Listing>('list');
	}

	attach(name: string, ...args: string[]): Promise<Slave> {
		return this.attachTo('eth0', name, ...args);
	}

	attachTo(master: string, name: string, ...args: string[]): Promise<Slave> {
		return this.json<Slave>('attach', name, '--master', master, ...args);
	}

	exec(command: string[], env: NodeJS.ProcessEnv = {}): Promise<Outcome> {
		return ended(this.start(command, env));
	}

	/** Starts a program; it is killed at the end of the test if it still runs. */
	start([file = '', ...args]: string[], env: NodeJS.ProcessEnv = {}): ChildProcess {
		const child = spawn(file, args, { env: { ...this.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
		this.#children.push(child);
		return child;
	}

	/** Process id of the daemon, if one runs. */
	pid(): number | undefined {
		return Lock.holder(`${this.socket}.lock`)?.pid;
	}

	/** Resolves when the daemon has ended and taken its files away. */
	async gone(): Promise<void> {
		await until(
			'the end of the daemon',
			20_000,
			() => !existsSync(this.socket) && !existsSync(join(this.stateDir, 'lock')),
		);
	}

	/** `kill -9`: nothing is taken down. */
	async crash(): Promise<void> {
		const pid = this.pid();
		if (pid === undefined) throw new Error('there is no daemon to crash');
		process.kill(pid, 'SIGKILL');
		await until('the death of the daemon', 20_000, () => !isAlive(pid));
	}

	/** Messages of the auto-started daemon. */
	log(): { level: string; msg: string }[] {
		const path = join(this.stateDir, 'ipvtapd.log');
		const lines = existsSync(path) ? readFileSync(path, 'utf8').trim().split('\n') : [];
		return lines
			.filter(line => line.startsWith('{'))
			.map(line => JSON.parse(line) as { level: string; msg: string });
	}

	logged(msg: string): number {
		return this.log().filter(line => line.msg === msg).length;
	}

	/** Names of the devices that ipvtap made. */
	devices(): string[] {
		return listLinks()
			.map(({ name }) => name)
			.filter(name => name.startsWith('ipv'));
	}

	async #clear(masters: string[]): Promise<void> {
		const pid = this.pid();
		if (pid !== undefined && isAlive(pid)) {
			process.kill(pid, 'SIGTERM');
			await this.gone();
		} else if (pid === undefined) {
			// It may be about to end: the lock of its socket goes before that of its state.
			await this.gone();
		}
		for (const child of this.#children) child.kill('SIGKILL');
		assert.deepEqual(this.devices(), [], 'no device is left');
		const left = existsSync(this.stateDir) ? readdirSync(this.stateDir) : [];
		assert.deepEqual(
			left.filter(name => !name.startsWith('ipvtapd.log') && !name.includes('.broken-')),
			[],
			'no state is left',
		);
		assert.ok(!existsSync(this.socket), 'the socket is left');
		assert.ok(!existsSync(`${this.socket}.lock`), 'the lock is left');
		assert.deepEqual(
			this.log().filter(({ level }) => level === 'fatal'),
			[],
		);
		for (const name of masters)
			if (listLinks().some(link => link.name === peerOf(name))) ip('ip', 'link', 'delete', peerOf(name));
		rmSync(this.folder, { recursive: true });
	}
}

export async function ended(child: ChildProcess): Promise<Outcome> {
	const said = { stdout: '', stderr: '' };
	for (const stream of ['stdout', 'stderr'] as const) {
		child[stream]?.setEncoding('utf8').on('data', (text: string) => {
			said[stream] += text;
		});
	}
	const [status] = (await once(child, 'close')) as [number | null];
	return { status, ...said };
}

export function isAlive(pid: number): boolean {
	try {
		// A zombie has a state, but no command line.
		return readFileSync(`/proc/${pid}/cmdline`, 'utf8') !== '';
	} catch {
		return false;
	}
}

/** The end that stands for the wire: `sw0` of `eth0`. */
export function peerOf(master: string): string {
	return `sw${master.replace(/^\D+/, '')}`;
}

/** A command that failed as it should: exit status, what failed and why, what to do, and no more. */
export function refused(
	t: ExecutionContext,
	outcome: Outcome,
	status: number,
	error: string | RegExp,
	hint: RegExp,
): void {
	const [first = '', second = '', ...rest] = outcome.stderr.trimEnd().split('\n');
	t.is(outcome.status, status, outcome.stderr);
	t.regex(
		first,
		typeof error === 'string'
			? new RegExp(`^error: ${error.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')}$`)
			: error,
	);
	t.regex(second, /^hint: /);
	t.regex(second, hint);
	t.deepEqual(rest, []);
}
