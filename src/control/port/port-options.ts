/** What a port is told when it opens, and while it runs. */
import type { EdgeLimits } from '../../datapath/limits.js';
import type { Logger } from '../../log.js';
import type { LinkMonitor } from '../../sys/netlink/monitor.js';
import type { AddressEntry, Flag, Mode, Permission } from '../model.js';
import type { SavedSettings } from './forwarding-plan.js';
import type { FollowedSlave } from './groups.js';

export interface PortOptions {
	mode: Mode;
	flag: Flag;
	offload: string;
	/** Whether the host gets a slave of its own. */
	host: boolean;
	/** Frames that may wait for the slow path. */
	backlogFrames: number;
	/** Seconds that a learned address is believed in without a sign of its guest. */
	ageing: number;
	/** Name of the slave that gets multicast in `l3` and `l3s`; it may come later. */
	multicastSlave?: string;
	/** The host slave's device when the port was last open. */
	hostInterface?: string | null;
	/** Settings of the host that a port before this one has changed and not restored. */
	settings?: SavedSettings;
}

/** What can be changed while frames flow; `multicastSlave` null: nobody. */
export type PortChange = Partial<Pick<PortOptions, 'mode' | 'flag' | 'offload' | 'ageing'>> & {
	multicastSlave?: string | null;
};

export interface PortSlave extends FollowedSlave {
	ifname: string;
	ifindex: number;
	/** Whether the guest may claim addresses by using them. */
	learn: boolean;
	/** What it may say that other guests may not. */
	allow: readonly Permission[];
	/** Static addresses. */
	addresses: string[];
	/** Whether somebody has the TAP open. */
	live: boolean;
	/** What it had learned, or been leased, when the port was last open. */
	remembered?: readonly AddressEntry[];
	/** Left out: none. */
	limits?: EdgeLimits;
	/** False: registered and kept from the host, but closed to traffic until `openSlave`. */
	open?: boolean;
}

export interface PortContext {
	monitor: LinkMonitor;
	log: Logger;
	/** Where what outlives the daemon belongs to it. */
	stateDir: string;
	/** Whether another open port has the host slave of that name: its master may have been renamed since. */
	isTaken: (hostInterface: string) => boolean;
	/** Remembers the host's settings as they were, beyond this process's end; an empty object once they are so again. */
	saveSettings: (master: string, settings: SavedSettings) => void;
}
