import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { IpvtapError } from '../../errors.js';
import { closed } from '../../lab/command.js';
import type { Namespace } from '../../lab/namespace.js';

/** The processes of a peer, each ready before the next is started. */
export class Processes {
	readonly #running: ChildProcess[] = [];

	get pids(): number[] {
		return this.#running.map(({ pid }) => pid!);
	}

	/**
	 * In a session of its own, as a daemon has: with autogroup the scheduler shares time out between sessions.
	 * @param ready waits until it works; by default until it has said something on stdout.
	 * @throws IpvtapError `failed` when it ends instead.
	 */
	async start(
		namespace: Namespace,
		file: string,
		args: readonly string[],
		options: { env?: NodeJS.ProcessEnv; ready?: () => Promise<unknown> } = {},
	): Promise<void> {
		const { env, ready } = options;
		const said: Buffer[] = [];
		const child = namespace.spawn(file, args, {
			// Some, vde_switch among them, end with their standard input.
			stdio: ['pipe', 'pipe', 'pipe'],
			detached: true,
			...(env === undefined ? {} : { env }),
		});
		child.stderr!.on('data', (chunk: Buffer) => said.push(chunk));
		const ended = closed(child, file).then(code => {
			const words = Buffer.concat(said).toString().trim().slice(-1000);
			throw new IpvtapError('failed', `start ${file}: exit status ${code}: ${words || 'no message'}`);
		});
		ended.catch(() => {});
		await Promise.race([ready === undefined ? once(child.stdout!, 'data') : ready(), ended]);
		child.stdout!.resume();
		this.#running.push(child);
	}

	/** Ends them all, the last one first. */
	async end(signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
		for (const child of this.#running.splice(0).reverse()) {
			if (child.exitCode !== null || child.signalCode !== null) continue;
			const ended = once(child, 'exit');
			child.kill(signal);
			await ended;
		}
	}
}
