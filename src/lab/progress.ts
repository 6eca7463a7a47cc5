import type { Writable } from 'node:stream';

/**
 * Says what is being done while it is done: on a terminal a single line that turns and is replaced by the
 * time taken, elsewhere a line when each step begins.
 */
export class Progress {
	readonly #output: Writable;
	readonly #onTerminal: boolean;

	constructor(output: Writable) {
		this.#output = output;
		this.#onTerminal = 'isTTY' in output && output.isTTY === true;
	}

	/** Writes lines as they are. */
	say(text: string): void {
		this.#output.write(text);
	}

	async step<T>(text: string, action: () => Promise<T>): Promise<T> {
		if (!this.#onTerminal) {
			this.#output.write(`${text} ...\n`);
			return action();
		}
		const started = performance.now();
		let turn = 0;
		const draw = (): void => {
			this.#output.write(`\r${clearLine}${frames[turn++ % frames.length]} ${text} (${seconds(started)})`);
		};
		draw();
		const timer = setInterval(draw, turnMs);
		// A signal may end the process in the middle; the shell's prompt then begins a line of its own.
		const leaveLine = (): void => void this.#output.write('\n');
		process.once('exit', leaveLine);
		try {
			const result = await action();
			this.#output.write(`\r${clearLine}  ${text} (${seconds(started)})\n`);
			return result;
		} catch (error) {
			this.#output.write(`\r${clearLine}`);
			throw error;
		} finally {
			clearInterval(timer);
			process.off('exit', leaveLine);
		}
	}
}

/** Erase to the end of the line (ECMA-48, EL). */
const clearLine = '\u001b[K';
const frames = '|/-\\';
const turnMs = 100;

function seconds(since: number): string {
	return `${((performance.now() - since) / 1000).toFixed(1)} s`;
}
