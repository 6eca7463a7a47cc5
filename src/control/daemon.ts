/**
 * The daemon's life:
 *
 *     locks taken → state read → devices adopted → socket there → (requests, link events) →
 *     socket gone → slaves and ports taken down → locks free
 *
 * It ends on SIGTERM, SIGINT and SIGHUP, or, started by a command, with its last slave. After a crash everything
 * stays as it was, and the next daemon adopts it.
 */
import { readlinkSync } from 'node:fs';
import type { Server } from 'node:http';
import { type Config, limits, packageVersion } from '../config.js';
import type { Logger } from '../log.js';
import { LinkMonitor } from '../sys/netlink/monitor.js';
import { endProcess } from '../sys/process.js';
import { apiRoutes } from './api/routes.js';
import { createApi } from './api/server.js';
import { Controller } from './controller.js';
import { inTime } from './in-time.js';
import { DaemonBusy, Lock } from './lock.js';
import type { Info } from './model.js';
import { requireCapabilities } from './privileges.js';
import { SocketFile } from './socket-file.js';
import { fileError, makeStateDir } from './state.js';
import { Undo } from './undo.js';

export interface DaemonOptions {
	config: Config;
	log: Logger;
	/** End with the last slave, and when nothing was ever asked for. */
	untilIdle: boolean;
}

export class Daemon {
	readonly info: () => Info;
	/** Resolves when everything is taken down. */
	readonly ended: Promise<void>;
	readonly #log: Logger;
	readonly #controller: Controller;
	readonly #server: Server;
	readonly #socket: SocketFile;
	readonly #release: Undo;
	#resolveEnded: () => void = () => undefined;
	#ending = false;

	/** @throws IpvtapError, with nothing left behind, if it can't run here. */
	static async start({ config, log, untilIdle }: DaemonOptions): Promise<Daemon> {
		requireCapabilities('run the daemon');
		const release = new Undo();
		try {
			makeStateDir(config.stateDir);
			const lock = lockState(config);
			release.push(() => lock.release());
			const socket = await SocketFile.claim(config.socket);
			release.push(() => socket.release());
			const monitor = new LinkMonitor();
			release.push(() => monitor.close());
			monitor.once('error', (error: Error) => crash(log, error));
			const controller = new Controller(config, monitor, log);
			const { state, broken } = controller.state.load();
			if (broken) log.error(broken, 'the state file could not be read and was moved aside');
			await controller.adopt(state);
			controller.estate.sweep();
			const daemon = new Daemon(config, log, controller, socket, release, untilIdle);
			release.push(() => socket.remove());
			await socket.listen(daemon.#server);
			if (untilIdle) daemon.#endWhenIdle(state.slaves.length > 0);
			return daemon;
		} catch (error) {
			await release.run(log);
			throw error;
		}
	}

	private constructor(
		config: Config,
		log: Logger,
		controller: Controller,
		socket: SocketFile,
		release: Undo,
		untilIdle: boolean,
	) {
		this.#log = log;
		this.#controller = controller;
		this.#socket = socket;
		this.#release = release;
		this.info = () => ({
			name: 'ipvtapd',
			version: packageVersion(),
			pid: process.pid,
			socket: config.socket,
			stateDir: config.stateDir,
			netns: readlinkSync('/proc/self/ns/net'),
			untilIdle,
			masters: controller.registry.masters().length,
			slaves: controller.registry.slaves().length,
		});
		this.#server = createApi(apiRoutes(controller, this.info), log);
		this.ended = new Promise(resolve => {
			this.#resolveEnded = resolve;
		});
	}

	/** Takes everything down; may be called again. */
	end(why: string): Promise<void> {
		if (!this.#ending) {
			this.#ending = true;
			this.#log.info({ why }, 'ending');
			void inTime(this.#takeDown(), limits.endMs, 'take everything down').then(this.#resolveEnded, error =>
				crash(this.#log, error),
			);
		}
		return this.ended;
	}

	async #takeDown(): Promise<void> {
		this.#socket.remove();
		const closed = new Promise(resolve => this.#server.close(resolve));
		this.#server.closeIdleConnections();
		await this.#controller.close();
		// Answers that are under way get out; whoever doesn't take theirs by then is cut off.
		const patience = setTimeout(() => this.#server.closeAllConnections(), lastAnswersMs);
		await closed;
		clearTimeout(patience);
		await this.#release.run(this.#log);
	}

	#endWhenIdle(hadSlaves: boolean): void {
		const { registry, serial } = this.#controller;
		let had = hadSlaves;
		const look = (): void => {
			const slaves = registry.slaves().length;
			had ||= slaves > 0;
			if (serial.waiting > 0 || slaves > 0) return;
			if (had || registry.masters().length === 0)
				void this.end(had ? 'the last slave has gone' : 'nothing to do');
		};
		this.#controller.on('changed', look);
		setTimeout(look, limits.idleMs).unref();
	}
}

/** What went wrong is not known to be harmless: leave everything as it is for the next daemon to adopt. */
export function crash(log: Logger, error: unknown): never {
	log.fatal({ err: error }, 'crashed; the next daemon adopts what is there');
	return endProcess(1);
}

function lockState({ stateDir, lockFile, socket }: Config): Lock {
	let lock: Lock | null;
	try {
		lock = Lock.acquire(lockFile, socket);
	} catch (error) {
		throw fileError('take the lock', lockFile, error);
	}
	if (lock) return lock;
	const holder = Lock.holder(lockFile);
	const who = holder ? ` (process ${holder.pid}, socket ${holder.socket})` : '';
	throw new DaemonBusy(
		`can't use the state folder ${stateDir}: another daemon does${who}`,
		'use that daemon, or set IPVTAP_STATE_DIR to another folder',
		holder === null || holder.socket === socket,
	);
}

const lastAnswersMs = 1000;
