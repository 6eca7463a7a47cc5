/** What a port is opened with, and what it is told of a slave. */
import type { EdgeLimits } from '../../datapath/limits.js';
import type { Logger } from '../../log.js';
import type { LinkMonitor } from '../../sys/netlink/monitor.js';
import type { AddressEntry, Flag, Mode, Permission } from '../model.js';

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
}

export interface PortSlave {
	name: string;
	ifname: string;
	ifindex: number;
	mac: string;
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
	/** The daemon's own folder. */
	stateDir: string;
	monitor: LinkMonitor;
	log: Logger;
}
