import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { call } from '../../control/client.js';
import type { Info, Slave } from '../../control/model.js';
import { IpvtapError } from '../../errors.js';
import { makeFolder, track } from '../../lab/cleanup.js';
import { run, toolsEnv } from '../../lab/command.js';
import { until } from '../../lab/wait.js';
import { Pins } from '../../offload/tc-bpf/pins.js';
import { type Ground, guestIp, guestIp6, guestMac, MASTER, MASTER_MAC } from '../ground.js';
import { projectFolder } from '../project.js';
import type { Ability, Peer } from './peer.js';

/** ipvtap as its users have it: anti-spoof, host slave and counters on. */
export class IpvtapPeer implements Peer {
	readonly name: string;
	readonly about: string;
	readonly lacks: readonly Ability[];
	readonly attachMs: number[] = [];
	readonly #up: readonly string[];
	readonly #slaves: Slave[] = [];
	#ground: Ground | undefined;
	#env: NodeJS.ProcessEnv = {};
	#socket = '';
	#removeFolder: (() => void) | undefined;
	#sweepPins: (() => void) | undefined;
	#forgetPins: (() => void) | undefined;
	#daemon = 0;

	/** @param up words for `ipvtap up`. */
	constructor(name: string, up: readonly string[], about: string, lacks: readonly Ability[] = []) {
		this.name = name;
		this.#up = up;
		this.about = about;
		this.lacks = lacks;
	}

	async prepare(ground: Ground): Promise<void> {
		const [folder, remove] = makeFolder(`bench-${this.name}`);
		this.#ground = ground;
		this.#removeFolder = remove;
		this.#socket = join(folder, 'ipvtap.sock');
		const state = join(folder, 'state');
		// Should a signal end this process, nobody takes the master down.
		this.#sweepPins = () => Pins.sweep(state, () => false);
		this.#forgetPins = track(this.#sweepPins);
		this.#env = {
			...toolsEnv,
			IPVTAP_SOCKET: this.#socket,
			IPVTAP_STATE_DIR: state,
		};
		await this.#ipvtap('up', MASTER, ...this.#up);
		// By the API: a thousand commands would measure the start of Node.
		for (let guest = 0; guest < ground.guests; guest++) {
			const from = performance.now();
			const slave = await call<Slave>(this.#socket, 'PUT', `/v1/slaves/guest${guest}`, {
				master: MASTER,
				mac: guestMac(guest),
				addresses: [guestIp(guest), guestIp6(guest)],
				// The other peers copy broadcasts without end.
				limits: { slow: null },
			});
			this.attachMs.push(performance.now() - from);
			this.#slaves.push(slave);
		}
		await this.#findDaemon();
	}

	guestEdge(guest: number): string {
		return `tap:${this.#slaves[guest]?.ifname}`;
	}

	macOnWire(): string {
		return MASTER_MAC;
	}

	pids(): readonly number[] {
		return this.#daemon === 0 ? [] : [this.#daemon];
	}

	async detach(guest: number): Promise<void> {
		await call(this.#socket, 'DELETE', `/v1/slaves/guest${guest}`);
	}

	async limit(guest: number, on: boolean): Promise<void> {
		const limits = on ? { tx: PLENTY, rx: PLENTY } : { tx: null, rx: null };
		await call(this.#socket, 'PATCH', `/v1/slaves/guest${guest}`, { limits });
	}

	async restart(): Promise<void> {
		process.kill(this.#daemon, 'SIGKILL');
		await this.#ipvtap('list');
		await this.#findDaemon();
	}

	async close(): Promise<void> {
		if (this.#socket !== '') await this.#ipvtap('down', MASTER, '--force').catch(() => undefined);
		await this.#endDaemon();
		this.#sweepPins?.();
		this.#forgetPins?.();
		this.#removeFolder?.();
	}

	/** It ends by itself; a thousand slaves may keep it busy for longer than anybody wants to wait. */
	async #endDaemon(): Promise<void> {
		if (this.#daemon === 0) return;
		const gone = (): boolean => !existsSync(`/proc/${this.#daemon}`);
		await until('the end of the daemon', END_MS, gone).catch(() => signalTo(this.#daemon));
		await until('the end of the daemon', END_MS, gone);
	}

	async #findDaemon(): Promise<void> {
		this.#daemon = (await call<Info>(this.#socket, 'GET', '/v1/info')).pid;
	}

	/**
	 * With the machine's mounts, unlike `ip netns exec`: what is pinned there outlives the daemon, as it does for users.
	 * @returns the command's JSON document.
	 */
	async #ipvtap(...args: string[]): Promise<unknown> {
		const bin = join(projectFolder, 'bin', 'ipvtap');
		const words = [`--net=${this.#ground!.host.path}`, bin, ...args, '--json'];
		const finished = await run('nsenter', words, { env: this.#env, timeout: 120_000 });
		if (finished.rc === 0) return JSON.parse(finished.out);
		throw new IpvtapError(
			'failed',
			`ipvtap ${args.join(' ')}: ${finished.err.trim() || finished.out.trim()}`,
		);
	}
}

const END_MS = 20_000;
/** Bits a second, and bytes: as much as may be asked for. */
const PLENTY = { rate: 1e12, burst: 1 << 30 };

function signalTo(pid: number): void {
	try {
		process.kill(pid, 'SIGKILL');
	} catch {
		// It ended in between.
	}
}
