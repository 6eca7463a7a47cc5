import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { call } from '../../control/client.js';
import type { Info, Slave } from '../../control/model.js';
import { IpvtapError } from '../../errors.js';
import { makeFolder, track } from '../../lab/cleanup.js';
import { exec, run, toolsEnv } from '../../lab/command.js';
import { buildOtherVersion, type OtherPort } from '../../lab/other-version.js';
import { until } from '../../lab/wait.js';
import { Pins } from '../../offload/tc-bpf/pins.js';
import { type Ground, guestIp, guestIp6, guestMac, MASTER, MASTER_MAC } from '../ground.js';
import { projectFolder } from '../project.js';
import type { Ability, Bandwidth, Peer } from './peer.js';

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

	async limit(guest: number, limits: { tx?: Bandwidth | null; rx?: Bandwidth | null }): Promise<void> {
		await call(this.#socket, 'PATCH', `/v1/slaves/guest${guest}`, { limits });
	}

	async restart(): Promise<void> {
		this.#killDaemon();
		await this.#ipvtap('list');
		await this.#findDaemon();
	}

	/** By a process of its own, since the devices are in another namespace. */
	async downgrade(): Promise<void> {
		const object = await buildOtherVersion();
		const { path } = this.#ground!.host;
		const links = JSON.parse(await this.#ground!.host.exec('ip', ['-j', 'link', 'show'])) as {
			ifname: string;
			ifindex: number;
		}[];
		const indexOf = (name: string): number => links.find(({ ifname }) => ifname === name)!.ifindex;
		const master = indexOf(MASTER);
		const stateDir = this.#env['IPVTAP_STATE_DIR']!;
		const port: OtherPort = {
			master,
			host: { ifindex: indexOf(`ipvp-${MASTER}`), mac: MASTER_MAC, addresses: [] },
			slaves: this.#slaves.map(({ ifindex, mac, addresses }) => ({
				ifindex,
				mac,
				addresses: addresses.map(({ address }) => address),
			})),
		};
		this.#killDaemon();
		const pinned = (Pins.open(stateDir, master)?.names().length ?? 0) > 0;
		const words = JSON.stringify({ object, port, place: pinned ? { stateDir } : 'clsact' });
		await exec('nsenter', [`--net=${path}`, process.execPath, child, words]);
	}

	async counted(guest: number): Promise<number> {
		const { stats } = await call<Slave>(this.#socket, 'GET', `/v1/slaves/guest${guest}`);
		return stats.tx.packets;
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

	#killDaemon(): void {
		if (this.#daemon !== 0) signalTo(this.#daemon);
		this.#daemon = 0;
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

const child = fileURLToPath(new URL('./other-version-child.js', import.meta.url));
const END_MS = 20_000;

function signalTo(pid: number): void {
	try {
		process.kill(pid, 'SIGKILL');
	} catch {
		// It ended in between.
	}
}
