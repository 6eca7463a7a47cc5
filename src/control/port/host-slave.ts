/**
 * The host's own place on a port: a veth pair. The host's stack has one end, with a route per guest address;
 * the forwarder has the other, as one more edge. The host end resolves nobody (IFF_NOARP), because the
 * forwarder finds the guest by its address; it bears the master's MAC, so that for guests the host has one
 * MAC whichever way a frame takes. Of the master, only groups need anything (host-groups.ts).
 *
 * A pair that a killed daemon has left behind is gone on with, so that what the kernel does by itself goes on too: the
 * devices keep their numbers, and the host its routes. `settle` takes away the routes that nobody has asked for again.
 */
import { writeFileSync } from 'node:fs';
import type { Logger } from '../../log.js';
import { type Address, addAddress, deleteAddress, listAddresses } from '../../sys/netlink/address.js';
import { NetlinkError } from '../../sys/netlink/error.js';
import { createVeth, deleteLink, getLink, type Link, requireLink, setLink } from '../../sys/netlink/link.js';
import { addRoute, deleteRoute, listRoutes, RTPROT_IPVTAP, replaceRoute } from '../../sys/netlink/route.js';
import { HostGroups } from './host-groups.js';
import type { PortContext } from './port-options.js';
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
	readonly #groups: HostGroups | undefined;
	/** Guests' addresses, with the source that the host's route to each names. */
	readonly #routes = new Map<string, string | undefined>();
	/** Routes that a daemon before this has left. */
	readonly #left: Set<string>;
	#linkLocal: Address[] = [];
	#addresses: Address[] = [];

	/**
	 * Takes over the pair of a killed daemon, or makes one, still down.
	 * @param before name that the host's end had: a master that was renamed hasn't renamed it. @throws NetlinkError.
	 */
	constructor(master: Link, { log, isTaken }: Pick<PortContext, 'log' | 'isTaken'>, before?: string | null) {
		this.#log = log;
		const name = deviceName(master, isTaken);
		const { host, peer } =
			(before && !isTaken(before) ? findPair(before) : undefined) ?? findPair(name) ?? makePair(name, master);
		this.name = host.name;
		this.ifindex = host.ifindex;
		this.peer = peer.ifindex;
		try {
			this.#left = new Set(
				listRoutes({ protocol: RTPROT_IPVTAP })
					.filter(({ ifindex }) => ifindex === this.ifindex)
					.map(({ dst }) => dst),
			);
			this.#linkLocal = listAddresses(this.ifindex).filter(({ address }) => isLinkLocal(address));
			setLink(this.peer, { noarp: true, addrGenModeNone: true, mtu: master.mtu });
			setLink(this.ifindex, { noarp: true, addrGenModeNone: true, mac: master.mac, mtu: master.mtu });
			quieten(peer.name, this.name);
			this.#groups = HostGroups.open(master, this.ifindex, log);
		} catch (error) {
			deleteLink(this.name);
			throw error;
		}
	}

	/** Whether what the host sends to groups by the master comes by here too. */
	get groups(): boolean {
		return this.#groups !== undefined;
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
		const route = { dst: address, ifindex: this.ifindex, ...(src === undefined ? {} : { src }) };
		try {
			if (this.#left.delete(prefixOf(address))) replaceRoute(route);
			else addRoute(route);
			this.#routes.set(address, src);
		} catch (error) {
			if (!(error instanceof NetlinkError)) throw error;
			this.#log.warn({ address, reason: error.message }, 'the host has no route to this guest address');
		}
	}

	removeRoute(address: string): void {
		if (this.#routes.delete(address)) deleteRoute({ dst: address, ifindex: this.ifindex });
	}

	/** Everybody has been given his routes again who was there before this daemon. */
	settle(): void {
		for (const dst of this.#left) deleteRoute({ dst, ifindex: this.ifindex });
		this.#left.clear();
	}

	follow(master: Link): void {
		const { mac, mtu } = master;
		this.#groups?.follow(master);
		setLink(this.ifindex, { mac, mtu });
		setLink(this.peer, { mtu });
	}

	/** Somebody has taken filters off a device. @returns whether one of ours was missing; it isn't any more. */
	mend(ifindex: number, master: Link): boolean {
		return this.#groups?.mend(ifindex, master) ?? false;
	}

	/** Routes and addresses go with the device. @param masterExists whether the master is still there. */
	close(masterExists = true): void {
		this.#groups?.close(masterExists);
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

interface Pair {
	host: Link;
	peer: Link;
}

/** Both ends of a pair, if that is what the device belongs to. What else a daemon may have left by its name is deleted. */
function findPair(name: string): Pair | undefined {
	const host = getLink(name);
	if (host?.kind !== 'veth') return undefined;
	const peer = host.linkIfindex === undefined ? undefined : getLink(host.linkIfindex);
	if (peer?.name === peerOf(name) && peer.linkIfindex === host.ifindex) return { host, peer };
	deleteLink(host.ifindex);
	return undefined;
}

function makePair(name: string, { mac, mtu }: Link): Pair {
	const peer = peerOf(name);
	createVeth({ name, peer, mac, mtu });
	return { host: requireLink(name), peer: requireLink(peer) };
}

/** As the kernel's list of routes has it. */
function prefixOf(address: string): string {
	return `${address}/${address.includes(':') ? 128 : 32}`;
}

/** `ipvh-eth0`, or with the ifindex where that would be too long for a device, or was of a master of that name before. */
function deviceName({ name, ifindex }: Link, isTaken: (name: string) => boolean): string {
	const plain = `ipvh-${name}`;
	return Buffer.byteLength(plain) <= IFNAME_MAX && !isTaken(plain) ? plain : `ipvh${ifindex}`;
}

function peerOf(host: string): string {
	return host.replace(/^ipvh/, 'ipvp');
}

/** Either end of a pair of one of ipvtap's daemons. */
export function isHostSlave({ kind, name }: Pick<Link, 'kind' | 'name'>): boolean {
	return kind === 'veth' && /^ipv[hp](-|\d+$)/.test(name);
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
