/**
 * What can go wrong on a QMP connection, in the words of whoever has to put it right.
 *
 *   QmpCommandError          QEMU refused a command; its class and description are kept
 *   unreachable()            no such socket, nobody listens, not ours to open
 *   occupied()               connected, but no greeting: QEMU serves one client at a time
 *   notQmp()                 something else speaks on that socket
 *   connectionLost()         QEMU ended or hung up
 *   tooLate()                QEMU took longer than it was given
 */
import { asIpvtapError, IpvtapError } from '../../src/errors.js';

/** QEMU's five classes (qapi/error.json); only these may be relied on, `description` is for people. */
export type QmpErrorClass =
	| 'GenericError'
	| 'CommandNotFound'
	| 'DeviceNotFound'
	| 'DeviceNotActive'
	| 'KVMMissingCap';

export class QmpCommandError extends IpvtapError {
	readonly command: string;
	/** One of `QmpErrorClass`, or one that a later QEMU has added. */
	readonly errorClass: string;
	readonly description: string;

	constructor(command: string, errorClass: string, description: string) {
		const code = errorClass === ('DeviceNotFound' satisfies QmpErrorClass) ? 'not-found' : 'failed';
		super(code, `QEMU's ${command}: ${description}`);
		this.command = command;
		this.errorClass = errorClass;
		this.description = description;
	}
}

export function unreachable(path: string, cause: unknown): IpvtapError {
	const { code, message } = asIpvtapError(cause);
	if (code === 'conflict') return occupied(path, cause);
	const hint =
		code === 'permission'
			? 'use the account that QEMU runs under'
			: `start QEMU with -qmp unix:${path},server=on,wait=off`;
	return new IpvtapError(code, `QMP: ${message}`, { hint, cause });
}

export function occupied(path: string, cause?: unknown): IpvtapError {
	return new IpvtapError('timed-out', `QMP: connected to ${path}, but QEMU does not greet`, {
		hint: 'is libvirt or another tool connected? QEMU serves one client on each QMP socket: give it a second -qmp',
		cause,
	});
}

export function notQmp(path: string, what: string, cause?: unknown): IpvtapError {
	return new IpvtapError('failed', `QMP: what ${path} speaks is not QMP: ${what}`, {
		hint: "give the path of QEMU's -qmp socket, not that of its -monitor, a serial line or a guest agent",
		cause,
	});
}

export function connectionLost(path: string, during: string, cause?: unknown): IpvtapError {
	return new IpvtapError('failed', `${during}: QEMU has closed its QMP connection ${path}`, {
		hint: 'has the guest just ended?',
		cause,
	});
}

export function tooLate(what: string, milliseconds: number): IpvtapError {
	return new IpvtapError('timed-out', `${what}: no answer from QEMU after ${Math.round(milliseconds)} ms`, {
		hint: 'is the QEMU process stopped, or the machine overloaded?',
	});
}
