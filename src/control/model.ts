/**
 * The nouns of the control plane as they appear in `--json`, in the API and in the state file. They are the
 * contract of docs/cli.md: fields may be added, never renamed or removed.
 */
import type { Limits } from './limits.js';

export const modes = ['l2', 'l3', 'l3s'] as const;
export type Mode = (typeof modes)[number];

export const flags = ['bridge', 'private', 'vepa'] as const;
export type Flag = (typeof flags)[number];

/** How a slave came by an address: given by the user, seen in its own traffic, or leased to it. */
export const origins = ['static', 'learned', 'dhcp'] as const;
export type Origin = (typeof origins)[number];

/** What a guest may say that others may not: answer DHCP, advertise itself as a router. */
export const permissions = ['dhcp-server', 'router'] as const;
export type Permission = (typeof permissions)[number];

export interface AddressEntry {
	/** Text form: dotted quad, or RFC 5952. */
	address: string;
	family: 'inet' | 'inet6';
	origin: Origin;
	/** Since when the slave has it, ISO 8601; absent for static addresses. */
	since?: string;
	/** When its lease ends, ISO 8601; absent for what has no end. */
	expires?: string;
	/** MAC of another machine on the LAN that was seen to use it too. */
	duplicate?: string;
}

export interface Counter {
	packets: number;
	bytes: number;
}

/** Seen from the guest, as `virsh domifstat` and a kernel ipvlan slave count: rx is what the guest received. */
export interface SlaveStats {
	rx: Counter;
	tx: Counter;
	/** Frames of this guest, or for it, that were dropped, by reason; only reasons that occurred. */
	drops: Record<string, number>;
	/** Frames of this guest waiting in the slow path's backlog. */
	queued: number;
}

/** `up`: its QEMU has the TAP open. `down`: the TAP exists, nobody holds it. */
export type SlaveState = 'up' | 'down';

/**
 * A libvirt domain, from the hook's first call on: `incoming` and `starting` keep its NICs closed to traffic until
 * it is `running`; a `saved` or `migrated` one has none, but its addresses stay reserved.
 */
export const domainStates = ['incoming', 'starting', 'running', 'saved', 'migrated'] as const;
export type DomainState = (typeof domainStates)[number];

/** Which of a domain's NICs a slave is. */
export interface DomainNic {
	name: string;
	uuid: string;
	/** libvirt's name for the NIC (`net0`); absent while it has none. */
	alias?: string;
}

export interface Domain {
	name: string;
	uuid: string;
	state: DomainState;
	/** All that it declares or was given; those that it has at the moment are slaves of the same name. */
	nics: { name: string; ifname: string; master: string; mac: string; addresses: string[] }[];
}

export interface Slave {
	name: string;
	master: string;
	mode: Mode;
	ifname: string;
	ifindex: number;
	mac: string;
	mtu: number;
	state: SlaveState;
	learn: boolean;
	allow: Permission[];
	limits: Limits;
	queues: number;
	addresses: AddressEntry[];
	/** Multicast groups that the guest receives, by family; `all` while they aren't known. */
	groups: { inet: 'all' | string[]; inet6: 'all' | string[]; refused?: number };
	offload: string;
	qemuArgs: string[];
	stats: SlaveStats;
	/** User id that may open the TAP, and change this slave. */
	owner: number;
	/** Made by `run`, or for a libvirt domain: it goes with its QEMU. */
	ephemeral: boolean;
	/** The QMP socket that tells which groups the guest's NIC lets pass; absent where there is none. */
	rxFilter?: string;
	/** The libvirt domain that it is a NIC of; absent for others' slaves. */
	domain?: DomainNic & { state: DomainState };
	/** Why it doesn't work at the moment; absent when it does. */
	problem?: string;
}

export interface Master {
	name: string;
	ifindex: number;
	mac: string;
	mtu: number;
	state: 'up' | 'down';
	mode: Mode;
	flag: Flag;
	/** `none`, `tc-bpf`, `tc-flower`, or the name of a module's hook. */
	offload: string;
	/** How the offload is attached, or why there is none though one was asked for. */
	offloadDetail?: string;
	/** What the NIC could do in the kernel's place (`ethtool -k`); absent while there is no device. */
	nic?: NicFeatures;
	/** Seconds that a learned address is believed in without a sign of its guest. */
	ageing: number;
	/** Name of the host slave's device, or null with `--no-host`. */
	host: string | null;
	/** The slave that gets multicast in `l3` and `l3s`; absent if nobody is nominated. */
	multicastSlave?: string;
	slaves: number;
	stats: SlaveStats;
	/** Why it doesn't work at the moment; absent when it does. */
	problem?: string;
	/** What works all the same, but somebody should know; in the answer to `up`, also of its opening. */
	warnings?: string[];
}

/** `unavailable`: off, and its driver has no way to switch it on. */
export type NicFeature = 'on' | 'off' | 'unavailable';

export interface NicFeatures {
	/** Rules of tc(8) in the NIC. */
	hwTcOffload: NicFeature;
	/** Frames sorted by MAC in the NIC, for macvlan. */
	l2FwdOffload: NicFeature;
}

export interface Listing {
	masters: Master[];
	slaves: Slave[];
	/** libvirt domains that have NICs of ours, or declare some; absent where there are none. */
	domains?: Domain[];
}

/** `GET /v1/stats`: the counters alone. */
export interface Statistics {
	masters: { name: string; stats: SlaveStats }[];
	slaves: { name: string; master: string; stats: SlaveStats }[];
}

/** `POST /v1/trace`: what would become of a frame, and why. Frames are hex, from the destination MAC on. */
export interface Trace {
	master: string;
	/** `wire`, `host`, or `slave NAME`. */
	from: string;
	frame: string;
	/** The frame in words. */
	summary: string;
	/** What had to be made up, for a frame that was given in words. */
	notes: string[];
	/** `wire`, `host`, `slave NAME`, `slow: …`, `ignore`, or `drop: REASON`. */
	verdict: string;
	/** In order; the last one is the verdict. */
	steps: { step: string; result: string; why: string }[];
	/** What to do about a drop; absent for what isn't one. */
	hint?: string;
	/** What leaves. `lost`: why the receiver can't take it at the moment, beginning with the reason it is counted by. */
	out: { to: string; frame: string; summary: string; lost?: string }[];
}

/** `GET /v1/info`: which daemon this is. */
export interface Info {
	name: 'ipvtapd';
	version: string;
	pid: number;
	socket: string;
	stateDir: string;
	/** Its network namespace, as `readlink /proc/PID/ns/net` says it. */
	netns: string;
	/** Does it end with its last slave? */
	untilIdle: boolean;
	masters: number;
	slaves: number;
}
