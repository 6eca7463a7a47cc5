/** What the frame threads of a port are given to share, and how they are told of a ring. */
import { COUNTERS_BYTES } from '../../datapath/counters.js';
import { DOORBELL_WORDS, type RingSetup, type SharedSetup } from '../../datapath/messages.js';
import { NEIGHBOURS_MAX } from '../../datapath/routing/neighbours.js';
import { BACKLOG_CONTROL_WORDS } from '../../datapath/slowpath/backlog.js';
import { openEvent } from '../../sys/fd.js';
import type { Ring } from '../../sys/packet.js';

/** @param backlogAddress of BACKLOG_BYTES. @throws SysError. */
export function sharedSetup(backlogAddress: bigint, backlogFrames: number): SharedSetup {
	return {
		backlogAddress,
		backlogControl: new SharedArrayBuffer(BACKLOG_CONTROL_WORDS * 4),
		backlogFrames,
		forwarderCounters: new SharedArrayBuffer(COUNTERS_BYTES),
		slowPathCounters: new SharedArrayBuffer(COUNTERS_BYTES),
		doorbells: new SharedArrayBuffer(DOORBELL_WORDS * 4),
		forwarderEvent: openEvent(),
		slowPathEvent: openEvent(),
		neighboursUsed: new SharedArrayBuffer(NEIGHBOURS_MAX),
		// Guests must not be able to foresee it, or they could choose addresses that collide.
		seed: crypto.getRandomValues(new Int32Array(1))[0] as number,
	};
}

export function ringSetup({ fd, mapping, slotSize, slots, sendSlots }: Ring): RingSetup {
	return { fd, address: mapping.address, slotSize, slots, sendSlots };
}
