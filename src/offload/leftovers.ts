/** What daemons that were killed have left behind of offloads, for ports that nobody has any more. */
import { Pins } from './tc-bpf/pins.js';

/** @param isKept whether there is a port, or will be one, on the master with this ifindex. */
export function sweepLeftovers(stateDir: string, isKept: (master: number) => boolean): void {
	Pins.sweep(stateDir, isKept);
}
