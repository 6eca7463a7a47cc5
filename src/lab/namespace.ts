import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process';
import { IpvtapError } from '../errors.js';
import { ownPrefix, sweepOwn, track } from './cleanup.js';
import { type CommandOptions, exec, type Finished, run, toolsEnv } from './command.js';
import { until } from './wait.js';

/** How long programs in a namespace get to end by themselves when it is deleted. */
const graceMs = 3000;

/**
 * A throwaway network namespace, `ipvtap-<pid>-<name>`. It goes, with every process in it, at `delete()`,
 * at the end of this process, and when this process is killed.
 */
export class Namespace {
	/** As `ip netns` lists it. */
	readonly name: string;
	/** The file that setns(2) and `nsenter --net=` take. */
	readonly path: string;
	#deleted = false;

	private constructor(name: string) {
		this.name = name;
		this.path = `/run/netns/${name}`;
	}

	/**
	 * Makes the namespace with its loopback up.
	 *
	 * @throws IpvtapError `permission` without root, `conflict` when this process already has one of this name.
	 */
	static async create(name: string): Promise<Namespace> {
		if (process.geteuid?.() !== 0) {
			throw new IpvtapError('permission', `make the network namespace ${name}: only root can`, {
				hint: 'run it with sudo',
			});
		}
		const namespace = new Namespace(ownPrefix + name);
		if (own.has(namespace.name)) throw new IpvtapError('conflict', `make ${namespace.name}: it exists`);
		if (own.size === 0) forgetOwn = track(sweepOwn);
		own.add(namespace.name);
		try {
			await exec('ip', ['netns', 'add', namespace.name]);
			await namespace.ip('link set lo up');
		} catch (error) {
			await namespace.delete();
			throw error;
		}
		return namespace;
	}

	/** Words in front of a command that make it run inside. The command sees a /sys of this namespace. */
	get prefix(): readonly string[] {
		return ['ip', 'netns', 'exec', this.name];
	}

	/** Runs a program inside to its end, whatever its exit status. */
	run(file: string, args: readonly string[] = [], options: CommandOptions = {}): Promise<Finished> {
		return run('ip', ['netns', 'exec', this.name, file, ...args], options);
	}

	/** Runs a program inside that has to succeed, and gives back its standard output. */
	exec(file: string, args: readonly string[] = [], options: CommandOptions = {}): Promise<string> {
		return exec('ip', ['netns', 'exec', this.name, file, ...args], options);
	}

	/** Starts a program inside that runs on; it is ended with the namespace at the latest. */
	spawn(file: string, args: readonly string[] = [], options: SpawnOptions = {}): ChildProcess {
		const child = spawn('ip', ['netns', 'exec', this.name, file, ...args], {
			env: toolsEnv,
			...options,
		});
		// Callers that care listen too; without this, a missing program would end this process.
		child.on('error', () => {});
		return child;
	}

	/** Carries out lines of ip(8), such as `link add br0 type bridge`, in one go; the first failure ends it. */
	async ip(...lines: readonly string[]): Promise<void> {
		await exec('ip', ['-n', this.name, '-batch', '-'], { input: lines.join('\n') });
	}

	/** Sets kernel settings of the namespace, by their names under /proc/sys with dots. */
	async sysctl(settings: Readonly<Record<string, string | number>>): Promise<void> {
		const lines = Object.entries(settings).map(
			([name, value]) => `echo ${value} > /proc/sys/${name.replaceAll('.', '/')}`,
		);
		await this.exec('sh', ['-e'], { input: lines.join('\n') });
	}

	/** The processes inside. */
	async pids(): Promise<number[]> {
		const { out } = await run('ip', ['netns', 'pids', this.name]);
		return out.split('\n').filter(Boolean).map(Number);
	}

	/** Ends every process inside, asking first, and removes the namespace with its devices. */
	async delete(): Promise<void> {
		if (this.#deleted) return;
		this.#deleted = true;
		await endProcesses(this);
		await run('ip', ['netns', 'delete', this.name]);
		own.delete(this.name);
		if (own.size === 0) forgetOwn?.();
	}
}

/** Names of those of this process that still exist. */
const own = new Set<string>();
let forgetOwn: (() => void) | undefined;

async function endProcesses(namespace: Namespace): Promise<void> {
	for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
		const gone = async (): Promise<boolean> => (await namespace.pids()).length === 0;
		for (const pid of await namespace.pids()) signalTo(pid, signal);
		try {
			await until(`the end of the processes in ${namespace.name}`, graceMs, gone);
			return;
		} catch (error) {
			if (signal === 'SIGKILL') throw error;
		}
	}
}

function signalTo(pid: number, signal: NodeJS.Signals): void {
	try {
		process.kill(pid, signal);
	} catch {
		// It ended in between.
	}
}
