/**
 * ipvtap-helper: the other side of QEMU's `-netdev tap,br=NAME,helper=…` (net/tap.c, qemu-bridge-helper.c), and of
 * session libvirt's `bridge_helper`. QEMU starts it with one end of a socket pair:
 *
 *   ipvtap-helper --use-vnet --fd=N --br=NAME
 *
 * and waits for one byte with one descriptor, then for exit status 0. A helper that ends well without having sent
 * anything makes QEMU take descriptor 0 for the TAP, so every other end must have another status. QEMU stands
 * still meanwhile, a running guest included, hence the deadline.
 */
import { fstatSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { asIpvtapError, exitStatus, IpvtapError } from '../src/errors.js';
import { sendWithFd } from '../src/sys/unix-socket.js';
import type { Nic } from './netdev.js';
import { closeAll, openQueues } from './taps.js';

/** What the helper has to be told about the slave called NAME. */
export type HelperSlave = Pick<Nic, 'name' | 'ifname' | 'queues'>;

export interface HelperOptions {
	/** Asks the daemon. @throws IpvtapError `not-found`, `daemon-unreachable` … */
	lookup(name: string): Promise<HelperSlave>;
	/** Where complaints go, line by line; default: standard error, which is QEMU's. */
	say?(line: string): void;
	/** Milliseconds for the lookup; default 5000. */
	timeoutMs?: number;
}

/**
 * @param argv without the interpreter and the script.
 * @returns the exit status: 0 only when QEMU has the TAP. It never throws.
 */
export async function helperMain(argv: readonly string[], options: HelperOptions): Promise<number> {
	// Should the event loop run dry before there is an answer, Node would end with 0.
	process.exitCode = exitStatus.failed;
	try {
		const { name, socketFd, vnetHeader } = parse(argv);
		const slave = await inTime(lookUp(name, options), options.timeoutMs ?? defaultTimeoutMs);
		handOver(slave, socketFd, vnetHeader);
		return 0;
	} catch (error) {
		const { code, message, hint } = asIpvtapError(error);
		const say = options.say ?? (line => process.stderr.write(`${line}\n`));
		say(`ipvtap-helper: ${message}`);
		if (hint !== undefined) say(`hint: ${hint}`);
		return exitStatus[code];
	}
}

interface Order {
	name: string;
	/** Our end of QEMU's socket pair. */
	socketFd: number;
	/** QEMU wants a virtio_net_hdr in front of each frame. */
	vnetHeader: boolean;
}

function parse(argv: readonly string[]): Order {
	const { fd, br, 'use-vnet': vnetHeader } = parseOptions(argv);
	if (fd === undefined || br === undefined) {
		throw new IpvtapError('usage', `--${fd === undefined ? 'fd' : 'br'} is missing`, { hint: usageHint });
	}
	if (!/^\d{1,9}$/.test(fd) || !isSocket(Number(fd))) {
		throw new IpvtapError('usage', `--fd=${fd}: that is no socket of QEMU's`, { hint: usageHint });
	}
	return { name: br, socketFd: Number(fd), vnetHeader: vnetHeader === true };
}

function parseOptions(argv: readonly string[]): { fd?: string; br?: string; 'use-vnet'?: boolean } {
	try {
		const options = {
			fd: { type: 'string' },
			br: { type: 'string' },
			'use-vnet': { type: 'boolean' },
		} as const;
		return parseArgs({ args: [...argv], options, strict: true }).values;
	} catch (cause) {
		throw new IpvtapError('usage', cause instanceof Error ? cause.message : String(cause), {
			hint: usageHint,
			cause,
		});
	}
}

function isSocket(fd: number): boolean {
	try {
		return fstatSync(fd).isSocket();
	} catch {
		return false;
	}
}

async function lookUp(name: string, options: HelperOptions): Promise<HelperSlave> {
	try {
		return await options.lookup(name);
	} catch (error) {
		const { code, message } = asIpvtapError(error);
		if (code !== 'not-found' || name !== qemuDefaultBridge) throw error;
		throw new IpvtapError(code, message, { hint: 'say which slave: -netdev tap,…,br=NAME', cause: error });
	}
}

async function inTime<T>(work: Promise<T>, milliseconds: number): Promise<T> {
	let timer: NodeJS.Timeout | undefined;
	const late = new Promise<never>((_, reject) => {
		timer = setTimeout(() => {
			reject(
				new IpvtapError('timed-out', `no answer from ipvtapd after ${milliseconds} ms`, {
					hint: 'is it overloaded? see: ipvtap list',
				}),
			);
		}, milliseconds);
	});
	try {
		return await Promise.race([work, late]);
	} finally {
		clearTimeout(timer);
	}
}

function handOver(slave: HelperSlave, socketFd: number, vnetHeader: boolean): void {
	if (slave.queues !== 1) {
		throw new IpvtapError('usage', `${slave.name} has ${slave.queues} queues, and a helper hands over one`, {
			hint: `let QEMU open the TAP by name: ipvtap attach ${slave.name} --format qemu`,
		});
	}
	const fds = openQueues(slave, { vnetHeader });
	try {
		sendWithFd(socketFd, new Uint8Array(1), fds);
	} finally {
		closeAll(fds);
	}
}

/** What QEMU asks for when the user gave no `br=`. */
const qemuDefaultBridge = 'br0';
const usageHint =
	'QEMU starts this program by itself: -netdev tap,id=n0,br=NAME,helper=/path/of/ipvtap-helper';
const defaultTimeoutMs = 5000;
