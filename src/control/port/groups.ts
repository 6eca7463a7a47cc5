/**
 * The groups of a port's slaves, seen from control: hears from the slow path what each wants, has the card listen to
 * that, and has QEMU tell for as long as a guest is there what its NIC lets pass.
 */
import { qemuIds } from '../../../qemu/ids.js';
import { RxFilterFollower } from '../../../qemu/rx-filter.js';
import type { RxFilter } from '../../datapath/groups.js';
import type { IpvtapError } from '../../errors.js';
import type { Logger } from '../../log.js';
import type { FrameThreads } from './frame-threads.js';
import type { Listening, SlaveGroups } from './listening.js';

export interface FollowedSlave {
	name: string;
	mac: string;
	/** A monitor of its QEMU's that nobody else uses, and whose QEMU that must be (undefined: anybody's). */
	rxFilter?: { qmpPath: string; uid?: number };
}

export class PortGroups {
	readonly #threads: FrameThreads;
	readonly #listening: Listening;
	readonly #log: Logger;
	readonly #slaves = new Set<number>();
	readonly #followers = new Map<number, RxFilterFollower>();
	#closed = false;

	/** Takes `listening` over. */
	constructor(threads: FrameThreads, listening: Listening, log: Logger) {
		this.#threads = threads;
		this.#listening = listening;
		this.#log = log;
		threads.on('groups', report => {
			// One that has gone meanwhile may still be reported.
			if (this.#slaves.has(report.edge)) listening.set(report);
		});
	}

	/** A slave begins; until more is known it may want anything. */
	add(edge: number): void {
		this.#slaves.add(edge);
		this.#listening.add(edge);
	}

	remove(edge: number): void {
		this.#unfollow(edge);
		this.#slaves.delete(edge);
		this.#listening.remove(edge);
	}

	addAddress(address: string): void {
		this.#listening.addAddress(address);
	}

	removeAddress(address: string): void {
		this.#listening.removeAddress(address);
	}

	/** The slave's guest has come: it is asked. Or it has gone: what it said is forgotten. */
	async setLive(slave: FollowedSlave & { edge: number; live: boolean }): Promise<void> {
		const { edge, live } = slave;
		this.#unfollow(edge);
		await this.#threads.setGuest(edge, live);
		if (live) this.#follow(slave);
		else await this.#threads.setRxFilter(edge, undefined);
	}

	of(edge: number): SlaveGroups {
		return this.#listening.groups(edge);
	}

	close(): void {
		this.#closed = true;
		for (const edge of [...this.#followers.keys()]) this.#unfollow(edge);
		this.#listening.close();
	}

	#follow({ name, mac, edge, rxFilter }: FollowedSlave & { edge: number }): void {
		if (!rxFilter || this.#closed || !this.#slaves.has(edge)) return;
		const tell = (filter: RxFilter | undefined) => {
			this.#threads.setRxFilter(edge, filter).catch(error => {
				if (!this.#closed)
					this.#log.warn({ slave: name, err: error }, 'the slow path was not told of an rx-filter');
			});
		};
		const problem = ({ message }: IpvtapError) =>
			this.#log.warn({ slave: name }, `its groups are known from reports alone: ${message}`);
		const options = { ...rxFilter, device: qemuIds(name).device, mac, tell, problem };
		this.#followers.set(edge, new RxFilterFollower(options));
	}

	#unfollow(edge: number): void {
		this.#followers.get(edge)?.close();
		this.#followers.delete(edge);
	}
}
