/**
 * What a guest's NIC lets pass, as its driver has asked for it: QEMU keeps the table, tells with
 * NIC_RX_FILTER_CHANGED that it has changed, and tells so again only after `query-rx-filter` (docs/interop of QEMU,
 * qapi/net.json). One follower keeps one connection for as long as it is open; QEMU serves one client on each
 * monitor, so it must be a monitor that nobody else needs.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { z } from 'zod';
import type { RxFilter } from '../src/datapath/groups.js';
import { asIpvtapError, IpvtapError } from '../src/errors.js';
import { QmpClient } from './qmp/client.js';

export interface RxFilterOptions {
	qmpPath: string;
	/** Which of QEMU's NICs: by its id, or where its user chose another one, by its MAC. */
	device: string;
	mac: string;
	/** The user whose QEMU it must be; undefined: anybody's. */
	uid?: number;
	/** Is told of the filter, and with `undefined` that it is no longer known. */
	tell: (filter: RxFilter | undefined) => void;
	/** Is told, once in a row, why there is no connection. */
	problem: (error: IpvtapError) => void;
}

/** A guest that changes its filter all the time is asked no more often than this. */
const pauseMs = 50;
/** QEMU may be about to start: the first tries come soon after each other. */
const retryMs = 50;
const retryMaxMs = 10_000;

export class RxFilterFollower {
	readonly #options: RxFilterOptions;
	readonly #abort = new AbortController();
	#client: QmpClient | undefined;

	/** Begins at once, and goes on until `close`: what fails is tried again. */
	constructor(options: RxFilterOptions) {
		this.#options = options;
		void this.#run();
	}

	close(): void {
		this.#abort.abort();
		void this.#client?.close();
	}

	async #run(): Promise<void> {
		const { signal } = this.#abort;
		let pause = retryMs;
		let known = false;
		while (!signal.aborted) {
			try {
				await this.#follow(() => {
					known = true;
					pause = retryMs;
				});
			} catch (error) {
				if (signal.aborted) return;
				if (known) this.#options.tell(undefined);
				known = false;
				// The first tries may be too early.
				if (pause * 2 > retryMaxMs && pause < retryMaxMs) this.#options.problem(asIpvtapError(error));
				await delay(pause, undefined, { signal, ref: false }).catch(() => undefined);
				pause = Math.min(pause * 2, retryMaxMs);
			}
		}
	}

	/** Follows the filter for as long as the connection lasts. @throws IpvtapError when it ends. */
	async #follow(heard: () => void): Promise<void> {
		const { qmpPath, uid } = this.#options;
		const { signal } = this.#abort;
		const client = await QmpClient.connect(qmpPath);
		this.#client = client;
		try {
			if (uid !== undefined && client.peerUid !== uid) {
				throw new IpvtapError('permission', `QMP: ${qmpPath} belongs to user ${client.peerUid}`, {
					hint: `the slave belongs to user ${uid}; give the socket of a QEMU of the same user's`,
				});
			}
			while (!signal.aborted) {
				const changed = client.wait(({ event }) => event === 'NIC_RX_FILTER_CHANGED', longestMs);
				const filter = await this.#query(client);
				if (signal.aborted) return;
				heard();
				this.#options.tell(filter);
				await changed.event;
				await delay(pauseMs, undefined, { ref: false });
			}
		} finally {
			this.#client = undefined;
			await client.close();
		}
	}

	async #query(client: QmpClient): Promise<RxFilter> {
		const { device, mac } = this.#options;
		const parsed = answer.safeParse(await client.execute('query-rx-filter'));
		if (!parsed.success)
			throw new IpvtapError('failed', "QEMU's query-rx-filter: its answer is not understood");
		const nics = parsed.data;
		const nic = nics.find(({ name }) => name === device) ?? nics.find(one => one['main-mac'] === mac);
		if (!nic) {
			throw new IpvtapError(
				'not-found',
				`QEMU's query-rx-filter: it has no NIC ${device}, nor one with ${mac}`,
			);
		}
		const all = nic.promiscuous || nic.multicast === 'all' || nic['multicast-overflow'];
		return { all, macs: nic.multicast === 'none' ? [] : nic['multicast-table'] };
	}
}

/** As long as a timer can be. */
const longestMs = 0x7fffffff;

const mac = z
	.string()
	.regex(/^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/i)
	.toLowerCase();

/** qapi/net.json, RxFilterInfo; fields that say nothing about multicast are left out. */
const answer = z
	.array(
		z.object({
			name: z.string(),
			'main-mac': mac,
			promiscuous: z.boolean(),
			multicast: z.enum(['normal', 'none', 'all']),
			'multicast-overflow': z.boolean(),
			'multicast-table': z.array(mac).max(1024),
		}),
	)
	.max(1024);
