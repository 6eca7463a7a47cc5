/**
 * The XMIT offload hook: what keeps frames of the fast path from ever reaching the forwarder. A hook is told of a port
 * as the frame threads are told, change by change, and decides as `forward` does (docs/offload.md has the law). What it
 * doesn't take it leaves to the forwarder, once.
 *
 *     blueprint        XmitOffload      can it be had here?
 *     attachment       OffloadedPort    one port of it: told of masters, slaves and addresses, asked for counters
 *
 * What a method throws takes the offload off the port, not the port down: the forwarder goes on without it. Methods
 * may return promises; one port's are called one after another.
 */
import type { Wanted } from '../datapath/groups.js';
import type { EdgeLimits } from '../datapath/limits.js';
import type { FlagName, ModeName } from '../datapath/port-state.js';
import type { Way } from '../datapath/routing/routing.js';
import type { DropReason } from '../datapath/verdict.js';

export type MaybePromise<T> = T | Promise<T>;

export interface XmitOffload {
	/** As `show` names it: `tc-bpf`. */
	readonly name: string;
	/**
	 * @param mode whose rules it would have to follow.
	 * @returns what is missing here, in words (`TCX needs kernel ≥ 6.6`), or undefined if it can be had.
	 */
	probe(mode: ModeName): MaybePromise<string | undefined>;
	/** Makes an offload for one port; nothing is attached before the first `setPort`. */
	open(context: OffloadContext): MaybePromise<OffloadedPort>;
}

export interface OffloadContext {
	/** Each has rules of its own. A port that changes its mode is detached, and opened anew. */
	mode: ModeName;
	/** ifindex of the master. */
	master: number;
	/** A folder that is this daemon's alone, the same after a restart. */
	stateDir: string;
	/** Makes sure that a device has a clsact qdisc; it is taken away again with the port. */
	ensureClsact(ifindex: number): void;
	/** What works, but not as was asked for: a sentence for the log, and for whoever looks at the port. */
	warn(text: string): void;
}

export interface PortPolicy {
	master: { ifindex: number; mac: string; mtu: number };
	/** ifindex of the device by which frames for the host are delivered, and the host's come; 0 with `--no-host`. */
	host: number;
	flag: FlagName;
	/** In l3 and l3s: is there a slave that gets broadcast and multicast all the same? */
	nominated: boolean;
	/** Where frames for the forwarder go: received by this device, tagged with their edge (none: from the wire). */
	punt: number;
}

export interface SlavePolicy {
	edge: number;
	ifindex: number;
	mac: string;
	/** May it claim addresses by using them? Frames from unknown sources are the forwarder's then, not drops. */
	learn: boolean;
	/**
	 * What it may use of the port; of no concern to a hook are those of `learn`. A hook that punts takes `tx` for all frames
	 * of the slave's, `slow` for those that it punts, answers, copies, or sends on though they are for a group (in l2
	 * DHCP_PRICE for a DHCP message), and `rx` for what it delivers. Any other leaves all frames of a slave that has `tx` or
	 * `rx` to the forwarder, and all for it.
	 */
	limits?: EdgeLimits;
}

/** What groups a slave wants, by family. */
export interface SlaveGroups {
	inet: Wanted;
	inet6: Wanted;
	/** That is all, link-local groups included; if not, it gets 224.0.0.0/24 and ff02::1 without asking. */
	exact: boolean;
}

/** From the port's side: what the hook handled without the forwarder. */
export interface OffloadCounters {
	/** Frames that came from the edge and ended, by reason. */
	drops: Partial<Record<DropReason, number>>;
	/** Frames that came from the edge and were forwarded or dropped here. */
	in: { packets: number; bytes: number };
	/** Of EDGE_WIRE: frames that were sent there. What others got, their devices count. */
	out: { packets: number; bytes: number };
	/** Frames for the edge that its own `rx` has refused; each is a drop of its sender's, too. */
	rxLimited: number;
	/** Copies for the edge that were not tried, because it had just had no room for one. */
	notTried: number;
}

export interface OffloadedPort {
	/** What does the work, where that is not what the hook is called. */
	readonly name?: string;
	/** How it is attached, in words: `tcx`. */
	readonly detail: string;
	/**
	 * True: no frame of a slave or of the host reaches the forwarder but by the punt device. False: what it doesn't take
	 * goes its way as without it, and the forwarder reads it from the devices themselves.
	 */
	readonly punts: boolean;
	/**
	 * Of a hook that punts: a map as the frame threads know it (src/datapath/kernel-buckets.ts), where they take `rx` from
	 * for what they deliver themselves, so that both together keep to it. Without one they count for themselves.
	 */
	readonly buckets?: number | undefined;
	/** The port as a whole; the first call attaches the master and the host slave. */
	setPort(policy: PortPolicy): MaybePromise<void>;
	/** From now on the slave's frames are judged. Before, and after `removeSlave`, none passes. Again: its policy has changed. */
	addSlave(slave: SlavePolicy): MaybePromise<void>;
	/** @param exists whether the device is still there. Its addresses have been removed before. */
	removeSlave(slave: SlavePolicy, exists: boolean): MaybePromise<void>;
	/** The address belongs to the edge from now on, whoever had it. The edge has been added before. */
	addAddress(address: string, edge: number): MaybePromise<void>;
	removeAddress(address: string): MaybePromise<void>;
	/**
	 * In l2: what groups a slave wants from now on. A hook that copies what is for groups does so once it has been told of
	 * every slave.
	 */
	setGroups?(edge: number, groups: SlaveGroups): MaybePromise<void>;
	/** In l3: how what is for nobody on the port leaves. A hook without it leaves all that to the forwarder. */
	setRoutes?(add: readonly { prefix: string; hop: Way }[], remove: readonly string[]): MaybePromise<void>;
	/** In l3: a neighbour on the master. Without a MAC the host doesn't know it, or no more. */
	setNeighbour?(address: string, mac: string | undefined): MaybePromise<void>;
	/**
	 * All slaves, addresses, routes and neighbours that there were have been added, once after `open`. Until then, what a daemon before this has
	 * attached may go on judging in our place, by what it knew; from now on nothing of it is left.
	 */
	settle(): MaybePromise<void>;
	/**
	 * Somebody has taken filters off a device's TC ingress: ours come back. Without an `ifindex` it is asked now and then,
	 * for what the kernel tells nobody of. @returns whether any was missing.
	 */
	mend?(ifindex?: number): MaybePromise<boolean>;
	counters(edge: number): OffloadCounters;
	/** Takes everything back: no program, map, pin, filter or rule is left. May be called when devices have gone. */
	detach(): MaybePromise<void>;
}
