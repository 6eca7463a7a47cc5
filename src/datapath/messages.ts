/**
 * What the threads of a port say to each other. Control tells the slow path, which keeps the address book, and
 * the slow path tells the forwarder what followed: one order of events for everybody. Messages are for changes;
 * no frame ever depends on one being answered.
 */
import type { MessagePort } from 'node:worker_threads';
import type { BookChange, BookOrigin } from './address-book.js';
import type { RxFilter, Wanted } from './groups.js';
import type { EdgeLimits } from './limits.js';
import type { FlagName, ModeName, PermissionName } from './port-state.js';
import type { Way } from './routing/routing.js';
import type { Heard } from './slowpath/claimable.js';

/** Changes of a port's state that both frame threads apply alike (`applyChange`). */
export type StateChange =
	| { kind: 'master'; mac: string; ifindex: number }
	/** `groups`: what the host sends to groups by the master comes by the host slave too. */
	| { kind: 'host'; ifindex: number; enabled: boolean; groups?: boolean }
	| { kind: 'flag'; flag: FlagName }
	| {
			kind: 'slave-added';
			edge: number;
			ifindex: number;
			mac: string;
			learn: boolean;
			/** What it may say that others may not. */
			allow?: readonly PermissionName[];
	  }
	| { kind: 'allowed'; edge: number; allow: readonly PermissionName[] }
	| { kind: 'slave-removed'; edge: number; ifindex: number }
	| { kind: 'assigned'; address: string; edge: number }
	| { kind: 'released'; address: string }
	/**
	 * An offload hands its frames over by this device, each with its edge as a VLAN tag; 0: there is none. `buckets`: a
	 * descriptor of the kernel's map that edges' `rx` is then taken from (kernel-buckets.ts); the forwarder closes it.
	 */
	| { kind: 'punt'; ifindex: number; buckets?: number }
	/** All of an edge's limits: what is left out has none. */
	| { kind: 'limits'; edge: number; limits: EdgeLimits }
	| { kind: 'mode'; mode: ModeName }
	| { kind: 'mtu'; mtu: number }
	/** The slave that gets multicast in `l3` and `l3s`; edge 0: nobody. */
	| { kind: 'multicast-slave'; edge: number }
	/** What ICMP errors come from: the host's own addresses on the master, where it has any. */
	| { kind: 'sources'; ipv4?: string; ipv6?: string }
	| { kind: 'routes'; add: { prefix: string; hop: Way }[]; remove: string[] }
	/** A neighbour on the master; without a MAC it is unknown again, or has `failed` to answer. */
	| { kind: 'neighbour'; address: string; slot: number; mac?: string; failed?: true };

/** From control to the slow path. `id` asks for a Reply once the change has been passed on. */
export type Command =
	| { id: number; kind: 'change'; change: StateChange }
	| { id: number; kind: 'assign'; edge: number; address: string }
	| { id: number; kind: 'release'; edge: number; address: string }
	/** What the slave had learned, or been leased, before this port was opened anew. */
	| { id: number; kind: 'restore'; edge: number; address: string; expires?: number }
	/** What the slave has claimed, and the LAN is asked about: the counterpart of the report, for a dry run. */
	| { id: number; kind: 'claim'; edge: number; address: string }
	/** The kernel's filters, routes and offload know that the address has become a slave's: frames may be answered. */
	| { id: number; kind: 'ready'; address: string }
	| { id: number; kind: 'host-addresses'; addresses: string[] }
	/** What no guest may claim: where the host's routes through the master lead. */
	| { id: number; kind: 'gateways'; addresses: string[] }
	/** What is on the link as the host's routes have it: a guest may claim no address outside. */
	| { id: number; kind: 'prefixes'; prefixes: string[] }
	/** What an earlier slow path had heard of routers. */
	| { id: number; kind: 'routers-heard'; heard: Heard }
	/** Whether the slave's TAP has somebody behind it. */
	| { id: number; kind: 'live'; edge: number; live: boolean }
	/** The master's link is back: announce every address. */
	| { id: number; kind: 'announce' }
	/** An address that another machine uses can't be claimed `until` then, milliseconds since 1970. */
	| { id: number; kind: 'foreign'; address: string; until: number }
	/** How long a learned address is believed in. */
	| { id: number; kind: 'age'; milliseconds: number }
	/** A guest has the slave's TAP open, from now on or no more. */
	| { id: number; kind: 'guest'; edge: number; present: boolean }
	/** What QEMU says of the groups that the guest's NIC lets pass; without `filter`, that it says nothing any more. */
	| { id: number; kind: 'rx-filter'; edge: number; filter?: RxFilter }
	/** What a slave was heard to want: the counterpart of the report. */
	| { id: number; kind: 'groups'; edge: number; inet: Wanted; inet6: Wanted }
	| { id: number; kind: 'replace-ring'; ring: RingName; fd: number }
	| { id: number; kind: 'stop' };

/** From the slow path to control. */
export type Report =
	| { kind: 'reply'; id: number; error?: string }
	| {
			kind: 'address';
			edge: number;
			address: string;
			origin: BookOrigin;
			change: BookChange;
			/** Milliseconds since 1970. */
			expires?: number;
	  }
	/** A slave has claimed an address that the LAN is asked about; or, not `open`, that has come to nothing. */
	| { kind: 'claim'; edge: number; address: string; open: boolean }
	/** Another machine on the LAN uses a slave's address. */
	| { kind: 'duplicate'; edge: number; address: string; mac: string }
	/**
	 * What groups a slave wants, whenever that has changed; `exact`: link-local ones included. `refused` counts joins beyond
	 * the quota.
	 */
	| { kind: 'groups'; edge: number; inet: Wanted; inet6: Wanted; exact: boolean; refused: number }
	/** Frames wait for this next hop on the master: the kernel is to find out its MAC. */
	| { kind: 'resolve'; address: string }
	/** Nobody here can claim the address `until` then: the counterpart of the command. */
	| { kind: 'foreign'; address: string; until: number }
	/** Routers have said something new of themselves and of what is on the link. */
	| { kind: 'routers-heard'; heard: Heard };

/** From the slow path to the forwarder. */
export type ForwarderMessage =
	| { kind: 'change'; change: StateChange }
	/** A socket from `openReceiver`, to be read in the ring's place. */
	| { kind: 'replace-ring'; ring: RingName; fd: number }
	| { kind: 'stop' };

/** From the forwarder to control: the kernel drops every frame for this ring, though it is empty. */
export interface JammedReport {
	kind: 'jammed';
	ring: RingName;
}

export type RingName = 'slaves' | 'master';

/** Ready to be handed to a worker. Addresses and descriptors are valid in every thread of the process. */
export interface SharedSetup {
	/** Where the backlog's BACKLOG_BYTES lie. */
	backlogAddress: bigint;
	backlogControl: SharedArrayBuffer;
	backlogFrames: number;
	forwarderCounters: SharedArrayBuffer;
	slowPathCounters: SharedArrayBuffer;
	/** DOORBELL_WORDS; a thread's word is set before its event is signalled, and is cheaper to look at. */
	doorbells: SharedArrayBuffer;
	forwarderEvent: number;
	slowPathEvent: number;
	/** A byte per neighbour, set by whoever sends to it (see routing/neighbours.ts). */
	neighboursUsed: SharedArrayBuffer;
	seed: number;
}

export interface RingSetup {
	fd: number;
	address: bigint;
	slotSize: number;
	slots: number;
	/** Of the transmit ring behind the other, SEND_SLOT bytes each. */
	sendSlots: number;
}

export interface ForwarderSetup {
	shared: SharedSetup;
	slaves: RingSetup;
	master: RingSetup;
	sender: number;
	/** Microseconds of looking again before sleeping, after the last frame. */
	spinMicroseconds: number;
	changes: MessagePort;
}

export interface SlowPathSetup {
	shared: SharedSetup;
	sender: number;
	commands: MessagePort;
	forwarder: MessagePort;
}

export const DOORBELL_FORWARDER = 0;
/** A cache line further, so that ringing one doesn't disturb who looks at the other. */
export const DOORBELL_SLOW_PATH = 16;
export const DOORBELL_WORDS = 32;
