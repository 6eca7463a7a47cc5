/**
 * One daemon per state folder, and one per socket: whoever holds the lock file. The kernel frees it when its
 * holder dies, so there is no stale lock to argue about; whoever ends in order also takes the file away.
 */
import {
	closeSync,
	fstatSync,
	ftruncateSync,
	openSync,
	readFileSync,
	statSync,
	unlinkSync,
	writeSync,
} from 'node:fs';
import { IpvtapError } from '../errors.js';
import { tryLock } from '../sys/file-lock.js';

/** Another daemon has the place. If it is the one that is meant, waiting for its socket is all there is to do. */
export class DaemonBusy extends IpvtapError {
	readonly worthWaiting: boolean;

	constructor(message: string, hint: string, worthWaiting: boolean) {
		super('conflict', message, { hint });
		this.worthWaiting = worthWaiting;
	}
}

/** What a holder wrote into its lock file; for messages and for `worthWaiting` only. */
export interface Holder {
	pid: number;
	socket: string;
}

export class Lock {
	readonly #path: string;
	readonly #fd: number;

	private constructor(path: string, fd: number) {
		this.#path = path;
		this.#fd = fd;
	}

	/**
	 * @param socket that its holder serves. @returns null if another process holds it.
	 * @throws the error of open(2), with its `code`.
	 */
	static acquire(path: string, socket: string): Lock | null {
		for (;;) {
			const fd = openSync(path, 'a+', 0o600);
			if (!tryLock(fd)) {
				closeSync(fd);
				return null;
			}
			// The last holder may have taken the file away between our open and our lock: then ours is nobody's.
			if (isFileAt(path, fd)) {
				ftruncateSync(fd);
				writeSync(fd, `${process.pid} ${socket}\n`);
				return new Lock(path, fd);
			}
			closeSync(fd);
		}
	}

	/** @returns null if it hasn't written anything yet, or is gone. */
	static holder(path: string): Holder | null {
		try {
			const [, pid, socket] = /^(\d+) (.*)\n/.exec(readFileSync(path, 'utf8')) ?? [];
			return pid === undefined || socket === undefined ? null : { pid: Number(pid), socket };
		} catch {
			return null;
		}
	}

	release(): void {
		if (isFileAt(this.#path, this.#fd)) unlinkSync(this.#path);
		closeSync(this.#fd);
	}
}

function isFileAt(path: string, fd: number): boolean {
	const there = statSync(path, { throwIfNoEntry: false });
	const here = fstatSync(fd);
	return there !== undefined && there.ino === here.ino && there.dev === here.dev;
}
