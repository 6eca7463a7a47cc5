/**
 * The control socket as a file: claimed by at most one daemon, replaced only if it is a socket that nobody
 * listens on, and there for others only once it answers, with its final mode and group.
 */
import { chmodSync, chownSync, lstatSync, mkdirSync, renameSync, rmSync } from 'node:fs';
import { createConnection, type Server } from 'node:net';
import { dirname } from 'node:path';
import { limits } from '../config.js';
import { IpvtapError } from '../errors.js';
import { DaemonBusy, Lock } from './lock.js';
import { accessGroup, groupId } from './users.js';

export class SocketFile {
	readonly #path: string;
	readonly #lock: Lock;
	/** Of our socket, once it listens. */
	#inode: number | undefined;

	private constructor(path: string, lock: Lock) {
		this.#path = path;
		this.#lock = lock;
	}

	/** @throws IpvtapError `conflict` for a live daemon or what isn't a socket, `permission`. */
	static async claim(path: string): Promise<SocketFile> {
		const lock = lockBeside(path);
		try {
			const there = lstatSync(path, { throwIfNoEntry: false });
			if (there && !there.isSocket()) {
				throw inTheWay(path, 'it exists and is not a socket', 'look at it, and remove it if it is of no use');
			}
			if (there && (await isAnswering(path))) {
				throw inTheWay(path, 'another program listens there', 'end that program');
			}
			return new SocketFile(path, lock);
		} catch (error) {
			lock.release();
			throw error;
		}
	}

	/** The server listens under another name first: rename(2) puts the socket in place at one stroke. */
	async listen(server: Server): Promise<void> {
		const fresh = `${this.#path}.new`;
		rmSync(fresh, { force: true });
		await new Promise<void>((resolve, reject) => {
			server.once('error', reject);
			server.listen({ path: fresh, backlog: limits.connections }, () => {
				server.off('error', reject);
				resolve();
			});
		});
		const group = await groupId(accessGroup);
		if (group !== null) chownSync(fresh, -1, group);
		chmodSync(fresh, 0o660);
		this.#inode = lstatSync(fresh).ino;
		renameSync(fresh, this.#path);
	}

	/** Nobody finds the daemon any more; the claim stays, and so does what somebody has put in the socket's place. */
	remove(): void {
		const there = lstatSync(this.#path, { throwIfNoEntry: false });
		if (there?.isSocket() && there.ino === this.#inode) rmSync(this.#path, { force: true });
	}

	release(): void {
		this.#lock.release();
	}
}

function lockBeside(path: string): Lock {
	let lock: Lock | null;
	try {
		// What was made for the socket is for the group too, whatever the umask; what was there is left as it was.
		if (mkdirSync(dirname(path), { recursive: true }) !== undefined) chmodSync(dirname(path), 0o755);
		lock = Lock.acquire(`${path}.lock`, path);
	} catch (error) {
		const { code } = error as NodeJS.ErrnoException;
		throw new IpvtapError('permission', `can't make the socket ${path}: ${code}`, {
			hint: 'run it as root, or set IPVTAP_SOCKET to a path of your own',
			cause: error,
		});
	}
	if (lock) return lock;
	const holder = Lock.holder(`${path}.lock`);
	throw new DaemonBusy(
		`can't listen on ${path}: a daemon is there already${holder ? ` (process ${holder.pid})` : ''}`,
		'use that one, or set IPVTAP_SOCKET to another path',
		true,
	);
}

function inTheWay(path: string, why: string, remedy: string): IpvtapError {
	return new IpvtapError('conflict', `can't listen on ${path}: ${why}`, {
		hint: `${remedy}, or set IPVTAP_SOCKET to another path`,
	});
}

function isAnswering(path: string): Promise<boolean> {
	return new Promise(resolve => {
		const probe = createConnection(path);
		probe.once('connect', () => {
			probe.destroy();
			resolve(true);
		});
		// EAGAIN: somebody listens, and has more to do than accept us.
		probe.once('error', (error: NodeJS.ErrnoException) => resolve(error.code === 'EAGAIN'));
	});
}
