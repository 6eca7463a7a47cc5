/**
 * Writes down what guests have learned and been leased, so that a daemon that starts after a crash gives it back:
 * a guest that is only being talked to would otherwise be gone until it speaks itself.
 */
import type { Logger } from '../log.js';
import type { Controller } from './controller.js';

/** A thousand guests that boot at once are a few writes and not a thousand, ms. */
const SETTLE_MS = 500;

export class AddressMemory {
	readonly #controller: Controller;
	readonly #log: Logger;
	#timer: NodeJS.Timeout | undefined;

	constructor(controller: Controller, log: Logger) {
		this.#controller = controller;
		this.#log = log;
		controller.estate.on('address', this.#onAddress);
	}

	close(): void {
		clearTimeout(this.#timer);
		this.#controller.estate.off('address', this.#onAddress);
	}

	readonly #onAddress = (): void => {
		this.#timer ??= setTimeout(() => {
			this.#timer = undefined;
			this.#controller.serial
				.run(() => this.#write())
				.catch((error: unknown) =>
					this.#log.error({ err: error }, 'learned addresses were not written down'),
				);
		}, SETTLE_MS);
	};

	#write(): void {
		const { registry, estate } = this.#controller;
		let changed = false;
		for (const slave of registry.slaves()) {
			const port = estate.problems.has(slave.name) ? undefined : estate.port(slave.master)?.port;
			if (!port) continue;
			const remembered = port.addresses(slave.name).filter(({ origin }) => origin !== 'static');
			if (JSON.stringify(remembered) === JSON.stringify(slave.remembered ?? [])) continue;
			registry.changeSlave(slave.name, { remembered });
			changed = true;
		}
		if (changed) this.#controller.save();
	}
}
