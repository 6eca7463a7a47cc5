/** What the tests with a real QEMU share: a namespace with a TAP, a QEMU without a guest, and a look inside both. */
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Nic } from '../../../qemu/netdev.js';
import { QmpClient } from '../../../qemu/qmp/client.js';
import { makeFolder } from '../../../src/lab/cleanup.js';
import { Namespace } from '../../../src/lab/namespace.js';
import { until } from '../../../src/lab/wait.js';
import { type Call, type Outcome, outcomeMark } from './driver.js';
import { openFiles } from './open-files.js';

/** A machine without a guest: the CPU is stopped, so it is up in 50 ms and needs no memory to speak of. */
export const idleQemu = (machine = 'q35', ...args: string[]): string[] => [
	...['qemu-system-x86_64', '-M', machine, '-accel', 'tcg', '-m', '16', '-S'],
	...['-nodefaults', '-no-user-config', '-display', 'none', ...args],
];

export class Site {
	readonly namespace: Namespace;
	readonly folder: string;
	readonly #removeFolder: () => void;
	readonly #children: ChildProcess[] = [];
	#calls = 0;

	private constructor(namespace: Namespace, folder: string, removeFolder: () => void) {
		this.namespace = namespace;
		this.folder = folder;
		this.#removeFolder = removeFolder;
	}

	/** Runs `body` in a place of its own, of which nothing is left afterwards. */
	static async with(name: string, body: (site: Site) => Promise<void>): Promise<void> {
		const [folder, removeFolder] = makeFolder(name);
		const site = new Site(await Namespace.create(name), folder, removeFolder);
		try {
			await body(site);
		} finally {
			for (const child of site.#children) child.kill('SIGKILL');
			await site.namespace.delete();
			site.#removeFolder();
		}
	}

	/** A slave's TAP, as the daemon makes it: persistent, with vnet headers. */
	async slave(name: string, { queues = 1, mtu = 1500 } = {}): Promise<Nic> {
		const ifname = `ipvt-${name}`;
		await this.namespace.ip(
			`tuntap add dev ${ifname} mode tap vnet_hdr${queues > 1 ? ' multi_queue' : ''}`,
			`link set ${ifname} mtu ${mtu} up`,
		);
		return { name, ifname, mac: '52:54:00:00:00:07', mtu, queues };
	}

	async hasDevice(ifname: string): Promise<boolean> {
		return (await this.namespace.run('ip', ['link', 'show', 'dev', ifname])).rc === 0;
	}

	/** Whether somebody holds the TAP open: only then has it a carrier. */
	async isHeld(ifname: string): Promise<boolean> {
		return (await this.namespace.exec('ip', ['link', 'show', 'dev', ifname])).includes('LOWER_UP');
	}

	/** Starts a call of the product in the namespace. */
	start(call: Call): Running {
		return new Running(this.spawn(this.words(call)));
	}

	/** The command line that carries out a call. */
	words(call: Call): string[] {
		const file = `${this.folder}/call-${this.#calls++}.json`;
		writeFileSync(file, JSON.stringify(call));
		return [process.execPath, driverPath, file];
	}

	async call(call: Call): Promise<Outcome> {
		const running = this.start(call);
		await running.exited;
		return running.outcome;
	}

	spawn(words: readonly string[]): ChildProcess {
		const child = this.namespace.spawn(words[0]!, words.slice(1), { stdio: ['pipe', 'pipe', 'pipe'] });
		this.#children.push(child);
		return child;
	}

	/** Starts a QEMU without a guest and waits until its QMP socket answers. */
	async idleQemu(machine: string, ...args: string[]): Promise<IdleQemu> {
		const qmp = `${this.folder}/${this.#children.length}.qmp`;
		const child = this.spawn(idleQemu(machine, ...args, '-qmp', `unix:${qmp},server=on,wait=off`));
		const words: Buffer[] = [];
		child.stderr?.on('data', (chunk: Buffer) => words.push(chunk));
		await answering(qmp);
		return new IdleQemu(child, qmp);
	}
}

/** A call of the product that goes on. */
export class Running {
	readonly child: ChildProcess;
	/** Settles with the exit status, 128 + n for a signal. */
	readonly exited: Promise<number>;
	out = '';
	err = '';

	constructor(child: ChildProcess) {
		this.child = child;
		child.stdout?.on('data', (chunk: Buffer) => {
			this.out += chunk.toString();
		});
		child.stderr?.on('data', (chunk: Buffer) => {
			this.err += chunk.toString();
		});
		this.exited = once(child, 'close').then(([code, signal]) => code ?? (signal === 'SIGKILL' ? 137 : 255));
	}

	/** Waits until the called program has printed a word. */
	async printed(word: string): Promise<void> {
		await until(`'${word}' to be printed: ${this.out}${this.err}`, 10_000, () => this.out.includes(word));
	}

	get outcome(): Outcome {
		const line = `${this.out}${this.err}`.split('\n').find(text => text.startsWith(outcomeMark));
		if (line === undefined) throw new Error(`no outcome: ${this.out}${this.err}`);
		return JSON.parse(line.slice(outcomeMark.length)) as Outcome;
	}
}

/** A QEMU to plug into. */
export class IdleQemu {
	readonly qmp: string;
	readonly child: ChildProcess;

	constructor(child: ChildProcess, qmp: string) {
		this.child = child;
		this.qmp = qmp;
	}

	get pid(): number {
		return this.child.pid!;
	}

	get alive(): boolean {
		return this.child.exitCode === null && this.child.signalCode === null;
	}

	taps(): number {
		return tapsOf(this.pid);
	}

	/** What it has open when it has noticed that nobody is connected to its QMP socket any more. */
	async files(): Promise<string[]> {
		// An accepted socket belongs to the namespace of whoever connected: this test's, or the site's.
		const sockets = (pid: number | 'self'): string[][] =>
			readFileSync(`/proc/${pid}/net/unix`, 'utf8')
				.split('\n')
				.map(line => line.split(' '));
		const connected = (): boolean =>
			[...sockets('self'), ...sockets(this.pid)].some(
				words => words.at(-1) === this.qmp && words[3] !== listening,
			);
		await until('QEMU to close its QMP connections', 20_000, () => !connected());
		return openFiles(this.pid);
	}
}

/** __SO_ACCEPTCON of linux/net.h among the flags in /proc/net/unix; what has been accepted has the same path. */
const listening = '00010000';

/** QEMU's own list of NICs and backends. */
export async function networkOf(qmp: string): Promise<string> {
	return String(await ask(qmp, 'human-monitor-command', { 'command-line': 'info network' }));
}

/** One command on a connection of its own. */
export async function ask(qmp: string, command: string, args?: Record<string, unknown>): Promise<unknown> {
	const client = await QmpClient.connect(qmp);
	try {
		return await client.execute(command, args);
	} finally {
		await client.close();
	}
}

export async function answering(qmp: string): Promise<void> {
	await until(`an answer on ${qmp}`, 10_000, async () => {
		try {
			await ask(qmp, 'query-status');
			return true;
		} catch {
			return false;
		}
	});
}

export function tapsOf(pid: number): number {
	return openFiles(pid).filter(file => file.startsWith('tap ')).length;
}

/** As ps(1) shows it: R, S, T, Z … */
export function stateOf(pid: number): string {
	const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
	return stat.slice(stat.lastIndexOf(')') + 2, stat.lastIndexOf(')') + 3);
}

export function childOf(pid: number): number | undefined {
	const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim();
	return children === '' ? undefined : Number(children.split(' ')[0]);
}

const driverPath = fileURLToPath(new URL('./driver.js', import.meta.url));
