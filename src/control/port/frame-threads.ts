/**
 * The two frame threads of a port, seen from control: starting them with what they share, telling them of
 * changes, hearing of addresses, stopping them. A thread that dies takes the port with it: TC goes on dropping
 * what guests send, so a failure closes rather than opens.
 */
import { EventEmitter } from 'node:events';
import { MessageChannel, type MessagePort, Worker } from 'node:worker_threads';
import type { BookChange, BookOrigin } from '../../datapath/address-book.js';
import type { Counters } from '../../datapath/counters.js';
import { FRAME_MARK } from '../../datapath/filter/programs.js';
import type { RxFilter } from '../../datapath/groups.js';
import {
	type Command,
	DOORBELL_SLOW_PATH,
	type ForwarderSetup,
	type JammedReport,
	type Report,
	type RingName,
	type SharedSetup,
	type SlowPathSetup,
	type StateChange,
} from '../../datapath/messages.js';
import { BACKLOG_BYTES } from '../../datapath/slowpath/backlog.js';
import { asIpvtapError, IpvtapError } from '../../errors.js';
import { closeFd, signalEvent } from '../../sys/fd.js';
import { type Mapping, mapShared, unmap } from '../../sys/memory.js';
import { closeRing, openSender, type Ring } from '../../sys/packet.js';
import { ringSetup, sharedSetup } from './frame-setup.js';
import { Journal } from './journal.js';

/**
 * How long the forwarder looks on after the last frame before it sleeps. Waking a sleeping processor costs more
 * than this: request/response is 1.9 times faster with it, and 200 µs gain nothing more (docs/performance.md).
 */
const SPIN_MICROSECONDS = 50;

export interface FrameThreadsOptions {
	slavesRing: Ring;
	masterRing: Ring;
	backlogFrames: number;
}

export interface AddressReport {
	edge: number;
	address: string;
	origin: BookOrigin;
	change: BookChange;
	/** Milliseconds since 1970. */
	expires?: number;
}

export interface DuplicateReport {
	edge: number;
	address: string;
	/** Of the other machine. */
	mac: string;
}

export type GroupsReport = Extract<Report, { kind: 'groups' }>;

type Request = Command extends infer C ? (C extends { id: number } ? Omit<C, 'id'> : never) : never;

export class FrameThreads extends EventEmitter<{
	address: [AddressReport];
	duplicate: [DuplicateReport];
	groups: [GroupsReport];
	failed: [IpvtapError];
	jammed: [RingName];
	resolve: [address: string];
}> {
	/** A byte per neighbour, set by who sends to it. */
	readonly neighboursUsed: Uint8Array;
	/** One block per thread. */
	readonly counters: readonly Counters[];
	/** What the threads know, for whoever wants to know what they would do. */
	readonly journal = new Journal();
	readonly #options: FrameThreadsOptions;
	readonly #backlog: Mapping;
	readonly #shared: SharedSetup;
	readonly #senders: number[];
	/** Sockets that read in the place of a ring that jammed. */
	readonly #receivers: number[] = [];
	readonly #commands: MessagePort;
	readonly #workers: Worker[];
	readonly #ended: Promise<void>[];
	readonly #waiting = new Map<number, { resolve: () => void; reject: (error: IpvtapError) => void }>();
	#nextId = 1;
	#stopping = false;

	/** Takes the rings over: they are closed with the threads. */
	constructor(options: FrameThreadsOptions) {
		super();
		this.#options = options;
		this.#backlog = mapShared(BACKLOG_BYTES);
		this.#shared = sharedSetup(this.#backlog.address, options.backlogFrames);
		this.counters = [
			new Float64Array(this.#shared.forwarderCounters),
			new Float64Array(this.#shared.slowPathCounters),
		];
		this.neighboursUsed = new Uint8Array(this.#shared.neighboursUsed);
		this.#senders = [openSender(), openSender(FRAME_MARK)];
		const control = new MessageChannel();
		const forwarder = new MessageChannel();
		this.#commands = control.port1;
		this.#commands.on('message', (report: Report) => this.#hear(report));
		const forwarderSetup: ForwarderSetup = {
			shared: this.#shared,
			slaves: ringSetup(options.slavesRing),
			master: ringSetup(options.masterRing),
			sender: this.#senders[0] as number,
			spinMicroseconds: SPIN_MICROSECONDS,
			changes: forwarder.port1,
		};
		const slowPathSetup: SlowPathSetup = {
			shared: this.#shared,
			sender: this.#senders[1] as number,
			commands: control.port2,
			forwarder: forwarder.port2,
		};
		this.#workers = [
			startWorker('../../datapath/forwarder/worker.js', forwarderSetup, forwarder.port1),
			startWorker('../../datapath/slowpath/worker.js', slowPathSetup, control.port2, forwarder.port2),
		];
		this.#workers[0]?.on('message', ({ ring }: JammedReport) => this.emit('jammed', ring));
		this.#ended = this.#workers.map(worker => this.#watch(worker));
	}

	/** Passes a change on; resolves when the slow path has taken it. */
	change(change: StateChange): Promise<void> {
		return this.#request({ kind: 'change', change });
	}

	/** @throws IpvtapError `conflict` if the host or another slave has the address by right. */
	assign(edge: number, address: string): Promise<void> {
		return this.#request({ kind: 'assign', edge, address });
	}

	release(edge: number, address: string): Promise<void> {
		return this.#request({ kind: 'release', edge, address });
	}

	setHostAddresses(addresses: string[]): Promise<void> {
		return this.#request({ kind: 'host-addresses', addresses });
	}

	/**
	 * What the host knows of the LAN: no guest may claim a gateway's address, or one outside of the prefixes
	 * (`192.0.2.0/24`). Of a family that has none, any may be claimed.
	 */
	async setNetwork(gateways: string[], prefixes: string[]): Promise<void> {
		await this.#request({ kind: 'gateways', addresses: gateways });
		await this.#request({ kind: 'prefixes', prefixes });
	}

	/** Gives back what a slave had learned, or been leased until `expires` (milliseconds since 1970), if it is still free. */
	restore(edge: number, address: string, expires?: number): Promise<void> {
		return this.#request({ kind: 'restore', edge, address, ...(expires === undefined ? {} : { expires }) });
	}

	/** Lets go on what a guest has said from an address that it has claimed: everybody else knows that it is its own. */
	ready(address: string): Promise<void> {
		return this.#request({ kind: 'ready', address });
	}

	/** Says whether there is a guest behind a slave's TAP. */
	setLive(edge: number, live: boolean): Promise<void> {
		return this.#request({ kind: 'live', edge, live });
	}

	/** Makes every address known to the LAN again. */
	announce(): Promise<void> {
		return this.#request({ kind: 'announce' });
	}

	/** @param milliseconds that a learned address is believed in. */
	setAge(milliseconds: number): Promise<void> {
		return this.#request({ kind: 'age', milliseconds });
	}

	/** A guest has the slave's TAP open, from now on or no more. */
	setGuest(edge: number, present: boolean): Promise<void> {
		return this.#request({ kind: 'guest', edge, present });
	}

	/** What QEMU says of the groups that a guest's NIC lets pass, or that it says nothing any more. */
	setRxFilter(edge: number, filter: RxFilter | undefined): Promise<void> {
		return this.#request({ kind: 'rx-filter', edge, ...(filter === undefined ? {} : { filter }) });
	}

	/** Has a socket from `openReceiver` read in a ring's place; it is closed with the threads. */
	async replaceRing(ring: RingName, fd: number): Promise<void> {
		this.#receivers.push(fd);
		await this.#request({ kind: 'replace-ring', ring, fd });
	}

	/** Stops both threads and gives back what they shared, the rings included. */
	async stop(): Promise<void> {
		if (this.#stopping) return;
		this.#stopping = true;
		this.#send({ kind: 'stop' });
		await Promise.all(this.#ended);
		this.#commands.close();
		const { forwarderEvent, slowPathEvent } = this.#shared;
		for (const fd of [...this.#senders, ...this.#receivers, forwarderEvent, slowPathEvent]) closeFd(fd);
		closeRing(this.#options.slavesRing);
		closeRing(this.#options.masterRing);
		unmap(this.#backlog);
	}

	#request(request: Request): Promise<void> {
		if (this.#stopping) return Promise.reject(new IpvtapError('failed', 'port: it is being closed'));
		return new Promise((resolve, reject) => this.#waiting.set(this.#send(request), { resolve, reject }));
	}

	#send(request: Request): number {
		const id = this.#nextId++;
		this.journal.told(request);
		this.#commands.postMessage({ ...request, id });
		Atomics.store(new Int32Array(this.#shared.doorbells), DOORBELL_SLOW_PATH, 1);
		signalEvent(this.#shared.slowPathEvent);
		return id;
	}

	#hear(report: Report): void {
		this.journal.heard(report);
		if (report.kind === 'address') {
			this.emit('address', report);
			return;
		}
		if (report.kind === 'resolve') {
			this.emit('resolve', report.address);
			return;
		}
		if (report.kind === 'duplicate') {
			this.emit('duplicate', report);
			return;
		}
		if (report.kind === 'groups') {
			this.emit('groups', report);
			return;
		}
		// The rest is the journal's alone.
		if (report.kind !== 'reply') return;
		const waiting = this.#waiting.get(report.id);
		this.#waiting.delete(report.id);
		if (report.error === undefined) waiting?.resolve();
		else waiting?.reject(new IpvtapError('conflict', report.error, { hint: 'see: ipvtap list' }));
	}

	#watch(worker: Worker): Promise<void> {
		worker.once('error', error => this.#fail(asIpvtapError(error)));
		return new Promise(resolve =>
			worker.once('exit', () => {
				if (!this.#stopping) this.#fail(new IpvtapError('failed', 'port: a frame thread has ended'));
				resolve();
			}),
		);
	}

	#fail(error: IpvtapError): void {
		for (const { reject } of this.#waiting.values()) reject(error);
		this.#waiting.clear();
		if (!this.#stopping) this.emit('failed', error);
	}
}

function startWorker(path: string, workerData: object, ...transferList: MessagePort[]): Worker {
	return new Worker(new URL(path, import.meta.url), { workerData, transferList });
}
