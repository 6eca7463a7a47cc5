/**
 * What changes in the host's network, as events. libuv itself watches the socket (koffi hands its `uv_poll` out), so
 * waiting takes no thread, and an event is out within a fraction of a millisecond of the kernel's message.
 */
import { EventEmitter } from 'node:events';
import { node } from 'koffi';
import { closeFd } from '../fd.js';
import { SysError } from '../libc.js';
import { setFilter } from '../packet.js';
import { type Address, parseAddress } from './address.js';
import { type Link, parseLink } from './link-message.js';
import { decodeMessages, type Message, readI32, u8, u16, u32 } from './message.js';
import { type Neighbour, parseNeighbour } from './neighbour.js';
import { parseRoute, type Route } from './route-message.js';
import { openSubscriber, receiveDatagram } from './socket.js';

/** `new` also when something known has changed. */
export type Kind = 'new' | 'del';

export interface LinkMonitorEvents {
	/** `del`: the device is gone from this namespace. A rename or move keeps the ifindex. */
	link: [event: { kind: Kind; link: Link }];
	address: [event: { kind: Kind; address: Address }];
	route: [event: { kind: Kind; route: Route }];
	neighbour: [event: { kind: Kind; neighbour: Neighbour }];
	/** Policy routing has changed: see `listRules`. */
	rule: [];
	/** Somebody, we among them, has taken a TC filter off a device, or the qdisc with all of them. */
	unfiltered: [event: { ifindex: number }];
	/**
	 * The kernel dropped messages: what was known may be wrong, list everything anew. Events that follow are younger
	 * than the loss.
	 */
	overrun: [];
	/** The socket failed for good; the monitor is closed. */
	error: [error: Error];
}

export interface LinkMonitorOptions {
	/** Neighbours too; off by default, because a busy host changes them all the time. */
	neighbours?: boolean;
	/** Rules of policy routing too; off by default. */
	rules?: boolean;
	/** Bytes of the kernel's queue of messages for us; default 4 MiB, some 3000 device changes. */
	receiveBuffer?: number;
}

/**
 * Subscribed from construction on: list afterwards, and no change falls between the two.
 * An open monitor keeps the process alive.
 * @throws SysError. @syscalls socket, setsockopt, epoll_ctl
 */
export class LinkMonitor extends EventEmitter<LinkMonitorEvents> {
	readonly #fd: number;
	readonly #poll: node.PollHandle;
	#draining: NodeJS.Immediate | undefined;
	#overrun = false;
	#closed = false;

	constructor({ neighbours = false, rules = false, receiveBuffer = 4 << 20 }: LinkMonitorOptions = {}) {
		super();
		const more = [...(neighbours ? [RTNLGRP_NEIGH] : []), ...(rules ? ruleGroups : [])];
		this.#fd = openSubscriber([...groups, ...more], receiveBuffer);
		try {
			setFilter(this.#fd, withoutNewFilters());
			this.#poll = node.poll(this.#fd, readable, this.#wake);
		} catch (error) {
			closeFd(this.#fd);
			throw error;
		}
		// The poll handle lives only as long as its JavaScript object, and nothing else need hold a monitor.
		openMonitors.add(this);
	}

	/** Unsubscribes; no event comes afterwards. May be called again. */
	async close(): Promise<void> {
		if (this.#closed) return;
		this.#closed = true;
		clearImmediate(this.#draining);
		openMonitors.delete(this);
		this.#poll.close();
		closeFd(this.#fd);
	}

	/**
	 * Called by libuv outside of any JavaScript frame: an exception would be lost here, and promises would not run.
	 * An immediate runs right after, in the same turn of the loop, as ordinary code.
	 */
	readonly #wake = (): void => {
		this.#draining ??= setImmediate(() => {
			this.#draining = undefined;
			this.#drain();
		});
	};

	/**
	 * What is left after a turn's share wakes us again at once: the rest of the process gets a turn in between. After a
	 * loss the backlog is thrown away before anybody is told: it is older than the lists that will be made anew, and
	 * its `del` of something that has come back since would never be corrected.
	 */
	#drain(): void {
		for (let turn = 0; turn < DATAGRAMS_PER_TURN && !this.#closed; turn++) {
			const datagram = this.#receive();
			if (datagram === undefined) {
				const overrun = this.#overrun;
				this.#overrun = false;
				if (overrun) this.emit('overrun');
				return;
			}
			if (this.#overrun) continue;
			for (const message of decodeMessages(datagram)) this.#announce(message);
		}
	}

	#receive(): Buffer | undefined {
		try {
			return receiveDatagram(this.#fd);
		} catch (error) {
			if (error instanceof SysError && error.code === 'ENOBUFS') {
				// The loss puts the socket in error for a moment, and libuv gives up a descriptor in error.
				this.#poll.start(readable, this.#wake);
				this.#overrun = true;
				return Buffer.alloc(0);
			}
			this.#overrun = false;
			void this.close();
			this.emit('error', error as Error);
			return undefined;
		}
	}

	#announce(message: Message): void {
		if (this.#closed) return;
		const kind: Kind = message.type % 2 === 0 ? 'new' : 'del';
		switch (message.type) {
			case RTM_NEWLINK:
			case RTM_DELLINK: {
				const link = parseLink(message);
				if (link !== undefined) this.emit('link', { kind, link });
				return;
			}
			case RTM_NEWADDR:
			case RTM_DELADDR: {
				const address = parseAddress(message);
				if (address !== undefined) this.emit('address', { kind, address });
				return;
			}
			case RTM_NEWROUTE:
			case RTM_DELROUTE: {
				const route = parseRoute(message);
				if (route !== undefined) this.emit('route', { kind, route });
				return;
			}
			case RTM_DELQDISC:
			case RTM_DELTFILTER:
				this.emit('unfiltered', { ifindex: readI32(message.body, TCMSG_IFINDEX) });
				return;
			case RTM_NEWNEIGH:
			case RTM_DELNEIGH: {
				const neighbour = parseNeighbour(message);
				if (neighbour !== undefined) this.emit('neighbour', { kind, neighbour });
				return;
			}
			case RTM_NEWRULE:
			case RTM_DELRULE:
				this.emit('rule');
		}
	}
}

/**
 * Each filter that comes is told with its whole program, ours too, and nobody here wants to know: classic BPF, sock_filter
 * {u16 code, u8 jt, u8 jf, u32 k} over struct nlmsghdr {u32 length, u16 type, …}, whose type lies in the machine's order.
 */
function withoutNewFilters(): Buffer {
	const load = [u16(BPF_LDH_ABS), u8(0), u8(0), u32(4)];
	const skips = [RTM_NEWQDISC, RTM_NEWTFILTER].map((type, index, all) => [
		...[u16(BPF_JEQ), u8(all.length - index), u8(0), u32(u16(type).readUInt16BE())],
	]);
	const ends = [0xffffffff, 0].map(length => [u16(BPF_RET), u8(0), u8(0), u32(length)]);
	return Buffer.concat([load, ...skips, ...ends].flat());
}

const readable = { readable: true };
const openMonitors = new Set<LinkMonitor>();
const DATAGRAMS_PER_TURN = 256;

// linux/rtnetlink.h, linux/netlink.h, asm-generic/socket.h
const RTM_NEWLINK = 16;
const RTM_DELLINK = 17;
const RTM_NEWADDR = 20;
const RTM_DELADDR = 21;
const RTM_NEWROUTE = 24;
const RTM_DELROUTE = 25;
const RTM_NEWNEIGH = 28;
const RTM_DELNEIGH = 29;
const RTM_NEWRULE = 32;
const RTM_DELRULE = 33;
const RTM_NEWQDISC = 36;
const RTM_DELQDISC = 37;
const RTM_NEWTFILTER = 44;
const RTM_DELTFILTER = 45;
/** struct tcmsg {u8 family, u8 pad, u16 pad, i32 ifindex, …} */
const TCMSG_IFINDEX = 4;
const BPF_LDH_ABS = 0x28;
const BPF_JEQ = 0x15;
const BPF_RET = 0x06;
const RTNLGRP_LINK = 1;
const RTNLGRP_NEIGH = 3;
const RTNLGRP_TC = 4;
const RTNLGRP_IPV4_IFADDR = 5;
const RTNLGRP_IPV4_ROUTE = 7;
const RTNLGRP_IPV6_IFADDR = 9;
const RTNLGRP_IPV6_ROUTE = 11;
const RTNLGRP_IPV4_RULE = 8;
const RTNLGRP_IPV6_RULE = 19;
const ruleGroups = [RTNLGRP_IPV4_RULE, RTNLGRP_IPV6_RULE];
const groups = [
	RTNLGRP_LINK,
	RTNLGRP_TC,
	RTNLGRP_IPV4_IFADDR,
	RTNLGRP_IPV6_IFADDR,
	RTNLGRP_IPV4_ROUTE,
	RTNLGRP_IPV6_ROUTE,
];
