/** Runs what is given to it one after the other, in order: how two changes never see each other half done. */
export class Serial {
	#last: Promise<unknown> = Promise.resolve();
	#waiting = 0;

	/** How many are running or waiting. */
	get waiting(): number {
		return this.#waiting;
	}

	run<T>(task: () => T | Promise<T>): Promise<T> {
		this.#waiting++;
		const done = this.#last.then(task).finally(() => {
			this.#waiting--;
		});
		this.#last = done.catch(() => undefined);
		return done;
	}
}
