/**
 * vhost-net, the kernel's shortcut between a TAP and a guest's queues. `vhost=on` may be said only where it works:
 * QEMU 7.2 (Debian 12) aborts on a failed assertion where /dev/vhost-net doesn't open, at start-up and, worse, on
 * `netdev_add` in a running guest.
 */
import { closeSync, constants, openSync } from 'node:fs';
import { IpvtapError } from '../src/errors.js';

const vhostPath = '/dev/vhost-net';

/** Whether this process may open /dev/vhost-net for reading and writing; opening it has no other effect. */
export function vhostAvailable(path = vhostPath): boolean {
	try {
		closeSync(openVhost(path));
		return true;
	} catch {
		return false;
	}
}

/** A descriptor for one queue. The caller closes it. @throws IpvtapError `permission`, `failed`. */
export function openVhost(path = vhostPath): number {
	try {
		return openSync(path, constants.O_RDWR);
	} catch (cause) {
		const code = cause instanceof Error && 'code' in cause ? String(cause.code) : String(cause);
		const denied = code === 'EACCES' || code === 'EPERM';
		throw new IpvtapError(denied ? 'permission' : 'failed', `open ${path}: ${code}`, {
			hint: denied
				? 'join the group kvm, or go without vhost'
				: 'sudo modprobe vhost_net, or go without vhost',
			cause,
		});
	}
}
