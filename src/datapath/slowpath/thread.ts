/**
 * The slow path's thread: takes frames off the backlog, sends what comes of them, listens to control, and sleeps
 * until there is a frame, a command, or something due. What it decides is in slowpath.ts.
 */
import { receiveMessageOnPort } from 'node:worker_threads';
import { readMonotonicMs } from '../../sys/clock.js';
import { clearEvent, PollSet, signalEvent } from '../../sys/fd.js';
import { viewOf } from '../../sys/memory.js';
import { applyChange } from '../apply-change.js';
import type { Counters } from '../counters.js';
import {
	type Command,
	DOORBELL_FORWARDER,
	DOORBELL_SLOW_PATH,
	type ForwarderMessage,
	type Report,
	type SlowPathSetup,
	type StateChange,
} from '../messages.js';
import { PortState } from '../port-state.js';
import { type Region, regionOf, TransmitBatch } from '../transmit.js';
import { BACKLOG_BYTES, Backlog } from './backlog.js';
import { SlowPath } from './slowpath.js';

const BATCH = 256;
/** `poll` counts in 32 bits; whoever wakes early looks again. */
const LONGEST_SLEEP_MS = 0x7fffffff;

export class SlowPathThread {
	readonly #setup: SlowPathSetup;
	readonly #state: PortState;
	readonly #region: Region;
	readonly #backlog: Backlog;
	readonly #transmit: TransmitBatch;
	readonly #counters: Counters;
	readonly #doorbells: Int32Array;
	readonly #slowPath: SlowPath;
	#stopped = false;

	constructor(setup: SlowPathSetup) {
		const { shared } = setup;
		this.#setup = setup;
		this.#state = new PortState(shared.seed, readMonotonicMs, new Uint8Array(shared.neighboursUsed));
		const bytes = viewOf(shared.backlogAddress, BACKLOG_BYTES);
		this.#region = regionOf({ address: shared.backlogAddress, length: BACKLOG_BYTES, bytes });
		this.#backlog = new Backlog(this.#region, new Int32Array(shared.backlogControl), shared.backlogFrames);
		this.#counters = new Float64Array(shared.slowPathCounters);
		this.#transmit = new TransmitBatch(setup.sender, BATCH, this.#counters, {
			clock: this.#state.limits.clock,
			rx: this.#state.limits.rx,
			others: new Float64Array(shared.forwarderCounters),
		});
		this.#doorbells = new Int32Array(shared.doorbells);
		this.#slowPath = new SlowPath({
			state: this.#state,
			counters: this.#counters,
			sink: this.#transmit,
			// Whatever is done to the machine's clock, this one goes on evenly.
			now: () => performance.timeOrigin + performance.now(),
			change: change => this.#change(change),
			report: report => this.#report(report),
		});
	}

	/** Works until told to stop. */
	run(): void {
		const event = this.#setup.shared.slowPathEvent;
		const poll = new PollSet(event);
		while (!this.#stopped) {
			if (Atomics.load(this.#doorbells, DOORBELL_SLOW_PATH) !== 0) {
				this.#listen();
				continue;
			}
			const worked = this.#work();
			const due = this.#slowPath.tick();
			this.#transmit.flush();
			if (worked) continue;
			this.#backlog.setSleeping(true);
			// Whoever queued or rang before it could see us asleep has not signalled: look once more.
			if (!this.#backlog.peek() && Atomics.load(this.#doorbells, DOORBELL_SLOW_PATH) === 0) {
				poll.wait(due === Number.POSITIVE_INFINITY ? -1 : Math.min(Math.ceil(due), LONGEST_SLEEP_MS));
				clearEvent(event);
			}
			this.#backlog.setSleeping(false);
		}
		this.#transmit.close();
		this.#slowPath.close();
		this.#setup.commands.close();
		this.#setup.forwarder.close();
	}

	/** @returns whether there was anything to do. */
	#work(): boolean {
		let count = 0;
		while (count < BATCH && this.#backlog.peek()) {
			count++;
			this.#slowPath.handle(this.#region, this.#backlog.at, this.#backlog.length, this.#backlog.ingress);
			this.#transmit.flush();
			this.#backlog.shift(this.#counters);
		}
		return count > 0;
	}

	#listen(): void {
		Atomics.store(this.#doorbells, DOORBELL_SLOW_PATH, 0);
		for (;;) {
			const received = receiveMessageOnPort(this.#setup.commands) as { message: Command } | undefined;
			if (!received) return;
			const { message } = received;
			const error = this.#obey(message);
			this.#transmit.flush();
			this.#report({ kind: 'reply', id: message.id, ...(error === undefined ? {} : { error }) });
		}
	}

	#obey(command: Command): string | undefined {
		switch (command.kind) {
			case 'replace-ring':
				this.#tellForwarder({ kind: 'replace-ring', ring: command.ring, fd: command.fd });
				return undefined;
			case 'stop':
				this.#stopped = true;
				this.#tellForwarder({ kind: 'stop' });
				return undefined;
			default:
				return this.#slowPath.obey(command);
		}
	}

	#change(change: StateChange): void {
		applyChange(change, this.#state, this.#transmit);
		this.#tellForwarder({ kind: 'change', change });
	}

	#tellForwarder(message: ForwarderMessage): void {
		this.#setup.forwarder.postMessage(message);
		Atomics.store(this.#doorbells, DOORBELL_FORWARDER, 1);
		signalEvent(this.#setup.shared.forwarderEvent);
	}

	#report(report: Report): void {
		this.#setup.commands.postMessage(report);
	}
}
