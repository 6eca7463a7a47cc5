/**
 * The host's own place on a port: a veth pair. The host's stack has one end, with a route per guest address;
 * the forwarder has the other, as one more edge. The host end resolves nobody (IFF_NOARP), because the
 * forwarder finds the guest by its address; it bears the master's MAC, so that for guests the host has one
 * MAC whichever way a frame takes. Nothing of this touches the master.
 */
import { writeFileSync } from 'node:fs';
import type { Logger } from '../../log.js';
import { type Address, addAddress, deleteAddress } from '../../sys/netlink/address.js';
import { NetlinkError } from '../../sys/netlink/error.js';
import { createVeth, deleteLink, type Link, requireLink, setLink } from '../../sys/netlink/link.js';
import { addRoute, deleteRoute } from '../../sys/netlink/route.js';
import { isLinkLocal, preferredSource } from './source-address.js';

/** linux/if.h: 15 characters and the closing zero. */
const IFNAME_MAX = 15;

export class HostSlave {
	/** Name of the host's end, and its ifindex. */
	readonly name: string;
	readonly ifindex: number;
	/** ifindex of the forwarder's end. */
	readonly peer: number;
	readonly #log: Logger;
	/** Guests' addresses, with the source that the host's route to each names. */
	readonly #routes = new Map<string, string | undefined>();
	#linkLocal: Address[] = [];
	#addresses: Address[] = [];

	/** Makes the pair, still down. One that a killed daemon has left behind is replaced. @throws NetlinkError. */
	constructor(master: Link, log: Logger) {
		this.#log = log;
		this.name = deviceName('ipvh-', master);
		const peer = deviceName('ipvp-', master);
		deleteLink(this.name);
		const { mac, mtu } = master;
		createVeth({ name: this.name, peer, mac, mtu });
		try {
			this.ifindex = requireLink(this.name).ifindex;
			this.peer = requireLink(peer).ifindex;
			setLink(peer, { noarp: true, addrGenModeNone: true });
			setLink(this.name, { noarp: true, addrGenModeNone: true });
			quieten(peer, this.name);
		} catch (error) {
			deleteLink(this.name);
			throw error;
		}
	}

	up(): void {
		setLink(this.peer, { up: true });
		setLink(this.ifindex, { up: true });
	}

	/** The master's own addresses have changed: routes name their source from among them. */
	setHostAddresses(addresses: Address[]): void {
		this.#addresses = addresses;
		this.#followLinkLocal(addresses.filter(({ address }) => isLinkLocal(address)));
		for (const [address, source] of [...this.#routes]) {
			if (preferredSource(address, addresses) === source) continue;
			this.removeRoute(address);
			this.addRoute(address);
		}
	}

	/** The host finds the guest that owns the address. */
	addRoute(address: string): void {
		// Link-local addresses are reached by the device that one names with them (`fe80::1%ipvh-eth0`).
		if (isLinkLocal(address) && address.includes(':')) return;
		const src = preferredSource(address, this.#addresses);
		try {
			addRoute({ dst: address, ifindex: this.ifindex, ...(src === undefined ? {} : { src }) });
			this.#routes.set(address, src);
		} catch (error) {
			if (!(error instanceof NetlinkError)) throw error;
			this.#log.warn({ address, reason: error.message }, 'the host has no route to this guest address');
		}
	}

	removeRoute(address: string): void {
		if (this.#routes.delete(address)) deleteRoute({ dst: address, ifindex: this.ifindex });
	}

	follow({ mac, mtu }: Link): void {
		setLink(this.ifindex, { mac, mtu });
		setLink(this.peer, { mtu });
	}

	/** Routes and addresses go with the device. */
	close(): void {
		deleteLink(this.ifindex);
	}

	/** A guest that talks to the host's link-local address must meet it here, on the link that both share. */
	#followLinkLocal(wanted: Address[]): void {
		const missing = wanted.filter(({ address }) => !this.#linkLocal.some(old => old.address === address));
		const surplus = this.#linkLocal.filter(({ address }) => !wanted.some(now => now.address === address));
		for (const { address, prefix } of surplus) deleteAddress({ ifindex: this.ifindex, address, prefix });
		for (const { address, prefix } of missing) {
			try {
				addAddress({ ifindex: this.ifindex, address, prefix, nodad: true });
			} catch (error) {
				this.#log.warn(
					{ address, reason: (error as Error).message },
					'the host slave lacks a link-local address',
				);
			}
		}
		this.#linkLocal = wanted;
	}
}

/** `ipvh-eth0`, or with the ifindex where that would be too long for a device. */
function deviceName(prefix: string, { name, ifindex }: Link): string {
	return prefix.length + name.length <= IFNAME_MAX ? prefix + name : prefix.slice(0, -1) + ifindex;
}

/**
 * Settings that would make the pair speak or listen by itself. Only these two devices are changed; where /proc
 * is read-only they keep the namespace's defaults, which is noise and no harm.
 */
function quieten(peer: string, host: string): void {
	const settings: [string, string][] = [
		[`ipv6/conf/${peer}/disable_ipv6`, '1'],
		[`ipv6/conf/${host}/accept_ra`, '0'],
		[`ipv6/conf/${host}/autoconf`, '0'],
		[`ipv6/conf/${host}/router_solicitations`, '0'],
		// Guests' addresses are routed here one by one, but what they multicast may come from any of them.
		[`ipv4/conf/${host}/rp_filter`, '0'],
	];
	for (const [path, value] of settings) setSysctl(path, value);
}

/** Sets a value under /proc/sys/net, where there is such a setting and it may be written. */
export function setSysctl(path: string, value: string): void {
	try {
		writeFileSync(`/proc/sys/net/${path}`, value);
	} catch (error) {
		const { code } = error as NodeJS.ErrnoException;
		if (code !== 'ENOENT' && code !== 'EROFS' && code !== 'EACCES' && code !== 'EPERM') throw error;
	}
}
