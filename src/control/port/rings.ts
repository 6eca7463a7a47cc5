/** The two rings of a port, and what reads in the place of one that a guest has jammed. */
import { masterRingFilter, slaveRingFilter } from '../../datapath/filter/programs.js';
import type { RingName } from '../../datapath/messages.js';
import type { Link } from '../../sys/netlink/link.js';
import { openReceiver, openRing, type Ring } from '../../sys/packet.js';
import { LONG_FRAME_BYTES, ringSize } from './ring-size.js';

/** Receives from nobody until its filter is set. @throws SysError. */
export function openPortRing(name: RingName, master: Link): Ring {
	return openRing({ ...ringSize(master.mtu), ...sourceOf(name, master) });
}

/** A socket from `openReceiver` (see datapath/forwarder/socket-reader.ts). @throws SysError. */
export function openReplacement(name: RingName, master: Link): number {
	return openReceiver(sourceOf(name, master));
}

function sourceOf(name: RingName, { ifindex }: Link) {
	return name === 'slaves'
		? { ifindex: 0, filter: slaveRingFilter([]), longFrameBytes: LONG_FRAME_BYTES }
		: { ifindex, filter: masterRingFilter([]), longFrameBytes: LONG_FRAME_BYTES };
}
