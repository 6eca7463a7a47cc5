/** The victim's business, and those it has to do with. */
import type { ChildProcess } from 'node:child_process';
import { on } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { Namespace } from '../../../src/lab/namespace.js';

export interface Paced {
	asked: number;
	answered: number;
}

export interface Raced {
	trips: number;
	lost: number;
}

export class Pulse {
	readonly #child: ChildProcess;
	readonly #lines: AsyncIterator<[string]>;

	private constructor(child: ChildProcess) {
		this.#child = child;
		this.#lines = on(createInterface({ input: child.stdout! }), 'line') as AsyncIterator<[string]>;
	}

	/** @param servers addresses with an echo server each. */
	static async start(guest: Namespace, servers: readonly string[]): Promise<Pulse> {
		const child = guest.spawn(process.execPath, [program('pulse-program.js'), ...servers], {
			stdio: ['pipe', 'pipe', 'inherit'],
		});
		const pulse = new Pulse(child);
		await pulse.#lines.next();
		return pulse;
	}

	pace(): void {
		this.#child.stdin!.write('pace\n');
	}

	rest(): Promise<Paced> {
		return this.#ask('rest');
	}

	race(milliseconds: number): Promise<Raced> {
		return this.#ask(`race ${milliseconds}`);
	}

	async #ask<T>(command: string): Promise<T> {
		this.#child.stdin!.write(`${command}\n`);
		return JSON.parse((await this.#lines.next()).value[0]) as T;
	}
}

/** Starts an echo server, which ends with its namespace, and waits until it listens. */
export async function serveEcho(namespace: Namespace): Promise<void> {
	const child = namespace.spawn(process.execPath, [program('echo-program.js')], {
		stdio: ['ignore', 'pipe', 'inherit'],
	});
	await on(createInterface({ input: child.stdout! }), 'line').next();
}

export function program(name: string): string {
	return fileURLToPath(new URL(name, import.meta.url));
}
