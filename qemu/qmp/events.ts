/**
 * QMP's events, given to whoever listens at the time. Nothing is kept: an event that matters must be listened for
 * before the command is sent that causes it, because some come before that command's own reply.
 */
import type { QmpEvent } from './protocol.js';

export type EventListener = (event: QmpEvent) => void;

/** A wait that has begun; it must be ended by `event` settling or by `cancel`. */
export interface EventWait {
	/** The first event that matches; undefined when the time is over first. Rejects when the connection ends. */
	event: Promise<QmpEvent | undefined>;
	cancel(): void;
}

export class EventHub {
	readonly #listeners = new Set<EventListener>();
	readonly #waits = new Set<(error: Error) => void>();

	/** @returns a function that ends the listening. */
	subscribe(listener: EventListener): () => void {
		this.#listeners.add(listener);
		return () => this.#listeners.delete(listener);
	}

	/** Listens from this moment on, for `milliseconds`. */
	wait(matches: (event: QmpEvent) => boolean, milliseconds: number): EventWait {
		let finish: (event: QmpEvent | undefined, error?: Error) => void = () => {};
		const event = new Promise<QmpEvent | undefined>((resolve, reject) => {
			const timer = setTimeout(() => finish(undefined), milliseconds);
			const fail = (error: Error): void => finish(undefined, error);
			const unsubscribe = this.subscribe(candidate => {
				if (matches(candidate)) finish(candidate);
			});
			this.#waits.add(fail);
			finish = (value, error) => {
				clearTimeout(timer);
				unsubscribe();
				this.#waits.delete(fail);
				if (error === undefined) resolve(value);
				else reject(error);
			};
		});
		// A wait may be abandoned because a command failed; then nobody looks at its promise any more.
		event.catch(() => {});
		return { event, cancel: () => finish(undefined) };
	}

	deliver(event: QmpEvent): void {
		for (const listener of [...this.#listeners]) listener(event);
	}

	/** The connection is gone: every wait ends with `error`, every listener is forgotten. */
	end(error: Error): void {
		for (const fail of [...this.#waits]) fail(error);
		this.#listeners.clear();
	}
}
