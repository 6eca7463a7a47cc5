/** What daemons that were killed have left behind of offloads, where nobody goes on with it. */
import { listLinks } from '../sys/netlink/link.js';
import { detachFilters } from './tc-bpf/attachments.js';
import { Pins } from './tc-bpf/pins.js';
import { sweepRules } from './tc-flower/rules.js';

/** @param isKept whether there is a port, or will be one, on the master with this ifindex. */
export function sweepLeftovers(stateDir: string, isKept: (master: number) => boolean): void {
	Pins.sweep(stateDir, isKept);
	for (const { ifindex } of listLinks()) if (!isKept(ifindex)) sweepRules(stateDir, ifindex);
}

/** The port on this master does without: it has all frames, and nobody else must. */
export function dropLeftovers(stateDir: string, master: number): void {
	Pins.sweep(stateDir, other => other !== master);
	detachFilters(master);
}
