/** Steps back, for when a later step fails: the last one first, each whatever becomes of the others. */
import type { Logger } from '../log.js';

export class Undo {
	readonly #steps: (() => unknown)[] = [];

	push(step: () => unknown): void {
		this.#steps.push(step);
	}

	async run(log: Logger): Promise<void> {
		for (const step of this.#steps.reverse()) {
			try {
				await step();
			} catch (error) {
				log.error({ err: error }, 'a step back failed');
			}
		}
	}
}
