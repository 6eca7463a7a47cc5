import { join } from 'node:path';
import { call } from '../../../src/control/client.js';
import type { Info, Slave } from '../../../src/control/model.js';
import { IpvtapError } from '../../../src/errors.js';
import { makeFolder } from '../../../src/lab/cleanup.js';
import { toolsEnv } from '../../../src/lab/command.js';
import { type Ground, GUESTS, guestIp, guestMac, MASTER, MASTER_MAC } from '../ground.js';
import { projectFolder } from '../project.js';
import type { Peer } from './peer.js';

/** ipvtap as its users have it: by its command line, anti-spoof, host slave and counters on. */
export class IpvtapPeer implements Peer {
	readonly name: string;
	readonly about: string;
	readonly #offload: string;
	readonly #slaves: Slave[] = [];
	#host: Ground['host'] | undefined;
	#env: NodeJS.ProcessEnv = {};
	#socket = '';
	#removeFolder: (() => void) | undefined;
	#daemon: number[] = [];

	/** @param offload as `ipvtap up --offload` takes it. @param env of the daemon's, in addition. */
	constructor(name: string, offload: string, about: string, env: NodeJS.ProcessEnv = {}) {
		this.#env = env;
		this.name = name;
		this.#offload = offload;
		this.about = about;
	}

	async prepare(ground: Ground): Promise<void> {
		const [folder, remove] = makeFolder(`bench-${this.name}`);
		this.#host = ground.host;
		this.#removeFolder = remove;
		this.#socket = join(folder, 'ipvtap.sock');
		this.#env = {
			...toolsEnv,
			...this.#env,
			IPVTAP_SOCKET: this.#socket,
			IPVTAP_STATE_DIR: join(folder, 'state'),
		};
		await this.#ipvtap('up', MASTER, '--offload', this.#offload);
		for (let guest = 0; guest < GUESTS; guest++) {
			const words = ['--master', MASTER, '--mac', guestMac(guest), '--ip', guestIp(guest)];
			// The other peers copy broadcasts without end.
			words.push('--limit', 'slow=none');
			this.#slaves.push((await this.#ipvtap('attach', `guest${guest}`, ...words)) as Slave);
		}
		this.#daemon = [(await call<Info>(this.#socket, 'GET', '/v1/info')).pid];
	}

	guestTap(guest: number): string {
		return `tap:${this.#slaves[guest % GUESTS]?.ifname}`;
	}

	macOnWire(): string {
		return MASTER_MAC;
	}

	pids(): readonly number[] {
		return this.#daemon;
	}

	async close(): Promise<void> {
		// A daemon that was started by the first command is told to take everything down; its namespace ends the rest.
		if (this.#socket !== '') await this.#ipvtap('down', MASTER, '--force').catch(() => undefined);
		this.#removeFolder?.();
	}

	/** @returns the command's JSON document. */
	async #ipvtap(...args: string[]): Promise<unknown> {
		const bin = join(projectFolder, 'bin', 'ipvtap');
		const finished = await this.#host!.run(bin, [...args, '--json'], { env: this.#env });
		if (finished.rc === 0) return JSON.parse(finished.out);
		throw new IpvtapError(
			'failed',
			`ipvtap ${args.join(' ')}: ${finished.err.trim() || finished.out.trim()}`,
		);
	}
}
