/**
 * Opening a slave's TAP as QEMU would: by name, one descriptor for each queue.
 */
import type { Slave } from '../src/control/model.js';
import { IpvtapError } from '../src/errors.js';
import { IFF_PERSIST, openTap, tapFlags } from '../src/sys/tap.js';
import { closeFd } from '../src/sys/unix-socket.js';
import type { Nic } from './netdev.js';

/** What the daemon last knew of the TAP, if it was asked. */
export type TapState = Partial<Pick<Slave, 'state'>>;

/**
 * @returns descriptors that the caller owns; all of them, or none.
 * @throws IpvtapError as `openTap` does; `not-found` when there is no such slave on this machine any more.
 */
export function openQueues(
	slave: Pick<Nic, 'name' | 'ifname' | 'queues'> & TapState,
	options: { vnetHeader?: boolean } = {},
): number[] {
	// A single queue is the kernel's to refuse, and it knows at once. To a multi-queue TAP it adds more for anybody.
	if (slave.queues > 1 && slave.state === 'up') throw inUse(slave);
	const fds: number[] = [];
	try {
		while (fds.length < slave.queues) {
			const fd = openTap(slave.ifname, { multiQueue: slave.queues > 1, ...options });
			fds.push(fd);
			if (fds.length === 1) expectPersistent(slave, fd);
		}
		return fds;
	} catch (error) {
		closeAll(fds);
		throw error;
	}
}

export function closeAll(fds: readonly number[]): void {
	for (const fd of fds) closeFd(fd);
}

function inUse(slave: Pick<Nic, 'name' | 'ifname'>): IpvtapError {
	return new IpvtapError('conflict', `open TAP ${slave.ifname}: ${slave.name} has a QEMU already`, {
		hint: 'end that one first, or choose another name',
	});
}

/**
 * A name that the kernel doesn't know makes it create a TAP, which goes away with its descriptor. A slave's TAP
 * is persistent until `run` has taken it, so persistence tells the two apart.
 */
function expectPersistent(slave: Pick<Nic, 'name' | 'ifname'>, fd: number): void {
	if ((tapFlags(fd).flags & IFF_PERSIST) !== 0) return;
	throw new IpvtapError(
		'not-found',
		`open TAP ${slave.ifname} of ${slave.name}: it is gone, or 'ipvtap run' has it`,
		{ hint: "'ipvtap list' shows what there is" },
	);
}
