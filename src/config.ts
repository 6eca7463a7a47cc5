/**
 * Where a daemon lives and how much it takes in. Everything comes from the environment, so that any number of
 * independent daemons can run side by side, and every bound of the control plane stands here with its reason.
 */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import { IpvtapError } from './errors.js';

export interface Config {
	/** Control socket. */
	socket: string;
	/** Folder of the state file, the lock and an auto-started daemon's log. */
	stateDir: string;
	stateFile: string;
	lockFile: string;
	logFile: string;
	/** May a command start a daemon when none answers? */
	autostart: boolean;
}

export const limits = {
	/** sun_path holds 107 bytes and a NUL (unix(7)); `.new` is put behind it while the socket is being made. */
	socketPathBytes: 103,
	/** A request with 64 addresses stays below 4 KB. */
	requestBodyBytes: 64 * 1024,
	/** A domain with a hundred disks and NICs has some 100 KB. */
	domainXmlBytes: 1024 * 1024,
	/** A client that hasn't sent its whole request by then is cut off. */
	requestMs: 10_000,
	/** Each command makes one, for some milliseconds; a thousand may be started at once. */
	connections: 2000,
	/** How long a command waits for the daemon's answer. Opening a port takes well under a second. */
	answerMs: 30_000,
	/**
	 * How long the daemon waits for a port's frame threads. They answer in milliseconds; with the programs that the kernel
	 * verifies, opening a port has taken 10 s on an emulated processor with others at work beside it. Less than `answerMs`.
	 */
	portMs: 25_000,
	/** How long the daemon takes to take everything down before it gives up and leaves it to the next one. */
	endMs: 30_000,
	/** How long a command waits for a daemon that it started: some 0.3 s, and 10 s where a port takes that. */
	startMs: 30_000,
	/** An auto-started daemon that nobody gave anything to do ends after this; its command asks within milliseconds. */
	idleMs: 2_000,
	/** `run` opens its TAP at once; one that nobody opened by then belongs to a `run` that died. */
	claimMs: 30_000,
	/** The same for a libvirt domain: between its hook and QEMU, libvirt may label its disks on a slow server. */
	domainClaimMs: 300_000,
	/** A failed port is opened again after this, then twice this, up to `reopenMaxMs`. */
	reopenMs: 1_000,
	reopenMaxMs: 30_000,
	/** The log of an auto-started daemon is moved aside once, at this size. */
	logBytes: 4 * 1024 * 1024,
	addressesPerSlave: 64,
	/** MAX_TAP_QUEUES of the kernel's drivers/net/tun.c. */
	queues: 256,
} as const;

const defaultSocket = '/run/ipvtap/ipvtap.sock';

/**
 * Reads `IPVTAP_SOCKET`, `IPVTAP_STATE_DIR` and `IPVTAP_AUTOSTART` (`never`: commands don't start a daemon).
 * A socket of one's own gets a state folder of its own too, so that one variable is enough for a second daemon.
 * @throws IpvtapError `usage` for a path that no socket address can hold.
 */
export function readConfig(env: NodeJS.ProcessEnv = process.env, uid = process.getuid?.() ?? 0): Config {
	const socket = resolve(env.IPVTAP_SOCKET || defaultSocket);
	if (Buffer.byteLength(socket) > limits.socketPathBytes) {
		throw new IpvtapError(
			'usage',
			`IPVTAP_SOCKET: '${socket}' is longer than ${limits.socketPathBytes} bytes`,
			{
				hint: 'choose a shorter path: a Unix socket address holds no more',
			},
		);
	}
	const stateDir = resolve(env.IPVTAP_STATE_DIR || join(stateBase(env, uid), stateFolder(socket)));
	return {
		socket,
		stateDir,
		stateFile: join(stateDir, 'state.json'),
		lockFile: join(stateDir, 'lock'),
		logFile: join(stateDir, 'ipvtapd.log'),
		autostart: env.IPVTAP_AUTOSTART !== 'never',
	};
}

/** Of this package, from its package.json. */
export function packageVersion(): string {
	const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8');
	return (JSON.parse(text) as { version: string }).version;
}

function stateBase(env: NodeJS.ProcessEnv, uid: number): string {
	if (uid === 0) return '/var/lib/ipvtap';
	return join(env.XDG_STATE_HOME || join(env.HOME || '/', '.local/state'), 'ipvtap');
}

function stateFolder(socket: string): string {
	if (socket === defaultSocket) return '';
	const hash = createHash('sha256').update(socket).digest('hex').slice(0, 8);
	return `${basename(socket).replace(/\.sock$/, '')}-${hash}`;
}
