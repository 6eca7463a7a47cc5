/**
 * A port: one master, its slaves, and everything in the kernel that makes them one. It turns wishes into
 * devices' settings, filters, routes and messages to the frame threads, and takes them back in reverse.
 *
 *      open     rings → threads → host slave → host's addresses
 *      slave    TC drop → ring filter → table → link up → addresses
 *      close    slaves → threads (and their rings) → filters → host slave
 */
import { EventEmitter } from 'node:events';
import type { BookChange } from '../datapath/address-book.js';
import { clearEdge } from '../datapath/counters.js';
import type { EdgeLimits } from '../datapath/limits.js';
import type { RingName } from '../datapath/messages.js';
import type { IpvtapError } from '../errors.js';
import { listAddresses } from '../sys/netlink/address.js';
import { getLink, type Link, setLink } from '../sys/netlink/link.js';
import type { LinkMonitorEvents } from '../sys/netlink/monitor.js';
import { closeRing, type Ring } from '../sys/packet.js';
import { TAP_MTU_MAX } from '../sys/tap.js';
import type { AddressEntry, Permission, SlaveStats } from './model.js';
import { Accounts } from './port/accounts.js';
import { type AddressReport, type DuplicateReport, FrameThreads } from './port/frame-threads.js';
import { Gateways } from './port/gateways.js';
import { PortGroups } from './port/groups.js';
import { HostSlave, setSysctl } from './port/host-slave.js';
import { Listening, type SlaveGroups } from './port/listening.js';
import { type Member, Members } from './port/members.js';
import { type OffloadStatus, PortOffload } from './port/offload.js';
import { PortMode } from './port/port-mode.js';
import type { PortChange, PortContext, PortOptions, PortSlave } from './port/port-options.js';
import { openPortRing, openReplacement } from './port/rings.js';
import { Shield } from './port/shield.js';
import { planOf } from './trace/surroundings.js';

export type { PortChange, PortContext, PortOptions, PortSlave };

interface PortEvents {
	address: [slave: string, entry: AddressEntry, change: BookChange];
	duplicate: [slave: string, address: string, mac: string];
	failed: [error: IpvtapError];
}

export class Port extends EventEmitter<PortEvents> {
	readonly #context: PortContext;
	readonly #threads: FrameThreads;
	readonly #shield: Shield;
	readonly #groups: PortGroups;
	readonly #host: HostSlave | undefined;
	readonly #mode: PortMode;
	readonly #offload: PortOffload;
	readonly #members = new Members();
	readonly #accounts: Accounts;
	#master: Link;
	#multicastSlave: string | undefined;
	#gateways: Gateways | undefined;
	#closed = false;

	/** Opens a port on a master that nobody else has. Nothing is left behind when it fails. @throws IpvtapError. */
	static async open(master: Link, options: PortOptions, context: PortContext): Promise<Port> {
		const undo: (() => void)[] = [];
		const keep = <T>(thing: T, close: (thing: T) => void): T => {
			undo.push(() => close(thing));
			return thing;
		};
		let port: Port | undefined;
		try {
			const slaves = keep(openPortRing('slaves', master), closeRing);
			const wire = keep(openPortRing('master', master), closeRing);
			const listening = keep(new Listening(master.ifindex), it => it.close());
			const host = options.host
				? keep(new HostSlave(master, context, options.hostInterface), it => it.close())
				: undefined;
			port = new Port(master, options, context, slaves, wire, listening, host);
			await port.#start(options);
			return port;
		} catch (error) {
			// The port, once there is one, owns everything that was opened for it.
			if (port) await port.close();
			else for (const close of undo.reverse()) close();
			throw error;
		}
	}

	private constructor(
		master: Link,
		options: PortOptions,
		context: PortContext,
		slavesRing: Ring,
		masterRing: Ring,
		listening: Listening,
		host: HostSlave | undefined,
	) {
		super();
		this.#master = master;
		this.#context = context;
		this.#host = host;
		this.#shield = new Shield(master.ifindex, slavesRing.fd, masterRing.fd);
		this.#threads = new FrameThreads({
			slavesRing,
			masterRing,
			backlogFrames: options.backlogFrames,
		});
		listening.changed = macs => this.#shield.setGroups(macs);
		this.#groups = new PortGroups(this.#threads, listening, context.log);
		this.#multicastSlave = options.multicastSlave;
		this.#mode = new PortMode({
			master: () => this.#master,
			host,
			shield: this.#shield,
			neighboursUsed: this.#threads.neighboursUsed,
			change: change => {
				this.#offload.followRouting(change);
				return this.#threads.change(change);
			},
			settings: options.settings ?? {},
			saveSettings: context.saveSettings,
			log: context.log,
		});
		this.#threads.on('resolve', address => this.#mode.resolve(address));
		this.#offload = new PortOffload(master, host?.peer ?? 0, options.flag, {
			mode: options.mode,
			stateDir: context.stateDir,
			shield: this.#shield,
			log: context.log,
			sockets: { slaves: slavesRing.fd, master: masterRing.fd },
			change: change => this.#threads.change(change),
		});
		this.#accounts = new Accounts(this.#threads, this.#offload, this.#members);
		this.#threads.on('groups', report => void this.#offload.followGroups(report));
		this.#threads.on('address', report => this.#addressReported(report));
		this.#threads.on('duplicate', report => this.#duplicateReported(report));
		this.#threads.once('failed', error => this.emit('failed', error));
		this.#threads.on('jammed', ring => this.#replaceRing(ring));
		context.monitor.on('address', this.#onAddress);
		context.monitor.on('unfiltered', this.#onUnfiltered);
	}

	/** Name of the host slave's device, or null. */
	get hostInterface(): string | null {
		return this.#host?.name ?? null;
	}

	/** The hook that keeps frames from the forwarder, or why there is none. */
	get offload(): OffloadStatus {
		return this.#offload.status;
	}

	/**
	 * Takes a TAP that exists as a slave: shields the host from it, sets its MTU, brings it up, gives it its
	 * addresses. @throws IpvtapError `conflict` if an address belongs to somebody; then nothing has changed.
	 */
	async addSlave(slave: PortSlave): Promise<void> {
		const member = this.#members.add(slave, this.#master.name);
		const { edge, ifname, ifindex } = member;
		// Numbers are used again: what was counted for whoever had this one is not the new slave's.
		clearEdge(this.#threads.counters, edge);
		try {
			this.#groups.add(edge);
			setSysctl(`ipv6/conf/${ifname}/disable_ipv6`, '1');
			setLink(ifindex, { addrGenModeNone: true, mtu: slaveMtu(this.#master) });
			this.#shield.addInterface(ifindex);
			if (slave.open === false) setLink(ifindex, { up: false });
			else await this.#open(member);
		} catch (error) {
			await this.removeSlave(slave.name);
			throw error;
		}
	}

	/** Lets the traffic of a slave that was added closed begin. @throws IpvtapError `conflict`; it stays closed then. */
	async openSlave(name: string): Promise<void> {
		const member = this.#member(name);
		if (member.open) return;
		try {
			await this.#open(member);
		} catch (error) {
			member.open = false;
			await this.#offload.removeSlave(member.edge, getLink(member.ifindex) !== undefined);
			await this.#threads.change({ kind: 'slave-removed', edge: member.edge, ifindex: member.ifindex });
			throw error;
		}
	}

	/** Somebody has opened the slave's TAP, or closed it. */
	async setLive(name: string, live: boolean): Promise<void> {
		const member = this.#members.get(name);
		if (!member || member.live === live) return;
		member.live = live;
		if (!member.open) return;
		await this.#threads.setLive(member.edge, live);
		await this.#groups.setLive(member);
	}

	/** Lets a slave go. Its TAP stays, down; who made it deletes it. */
	async removeSlave(name: string): Promise<void> {
		const member = this.#members.get(name);
		if (!member) return;
		const { edge, ifindex } = member;
		await this.#threads.change({ kind: 'slave-removed', edge, ifindex });
		const exists = getLink(ifindex) !== undefined;
		if (exists) setLink(ifindex, { up: false });
		await this.#offload.removeSlave(edge, exists);
		this.#shield.removeInterfaces([{ ifindex, exists }]);
		this.#members.remove(member);
		this.#groups.remove(edge);
	}

	/** Gives a slave static addresses and takes some away. @throws IpvtapError `conflict`; then none was added. */
	async changeAddresses(name: string, change: { add: string[]; remove: string[] }): Promise<void> {
		const member = this.#member(name);
		const { edge } = member;
		const kept = member.addresses.filter(address => !change.remove.includes(address));
		if (!member.open) {
			member.addresses = [...kept, ...change.add];
			return;
		}
		const added: string[] = [];
		try {
			for (const address of change.add) {
				await this.#threads.assign(edge, address);
				added.push(address);
			}
		} catch (error) {
			for (const address of added) await this.#threads.release(edge, address);
			throw error;
		}
		for (const address of change.remove) await this.#threads.release(edge, address);
	}

	/** Sets all limits of a slave, while it runs. */
	async setLimits(name: string, limits: EdgeLimits): Promise<void> {
		const member = this.#member(name);
		member.limits = limits;
		if (!member.open) return;
		await this.#threads.change({ kind: 'limits', edge: member.edge, limits });
		await this.#offload.addSlave(member);
	}

	/** The offload has no part in it: what only some may say takes the slow path in any case. */
	async setAllowed(name: string, allow: readonly Permission[]): Promise<void> {
		const member = this.#member(name);
		member.allow = allow;
		if (member.open) await this.#threads.change({ kind: 'allowed', edge: member.edge, allow });
	}

	/** @throws IpvtapError; what was to be changed is as it was. */
	async set(options: PortChange): Promise<void> {
		const { mode, offload } = options;
		if (mode !== undefined) {
			await this.#offload.changeMode(mode, this.#master, () => this.#mode.enter(mode));
		}
		if (offload !== undefined) await this.#offload.use(offload, this.#master);
		if (options.multicastSlave !== undefined) {
			this.#multicastSlave = options.multicastSlave ?? undefined;
			await this.#nominate();
		}
		if (options.flag !== undefined) {
			await this.#threads.change({ kind: 'flag', flag: options.flag });
			await this.#offload.setFlag(options.flag);
		}
		if (options.ageing !== undefined) await this.#threads.setAge(options.ageing * 1000);
	}

	/** All slaves that there were before this daemon have been added. */
	async settle(): Promise<void> {
		await this.#offload.settle();
		this.#host?.settle();
	}

	/** What the user should know of it. */
	get warnings(): string[] {
		return [...this.#mode.warnings, ...this.#offload.warnings];
	}

	groups(name: string): SlaveGroups {
		return this.#groups.of(this.#member(name).edge);
	}

	/** What a dry run of this port takes (datapath/trace). @param now milliseconds since 1970. */
	readonly plan = (now: number) => planOf(this.#members.all(), this.#threads.journal.commands(now));

	addresses(name: string): AddressEntry[] {
		return this.#member(name).entries.list();
	}

	/** Counters of one slave, as its guest sees them. */
	slaveStats(name: string): SlaveStats {
		return this.#accounts.ofSlave(this.#member(name));
	}

	/** Counters of the port as a whole: rx and tx are the wire's, drops everybody's. */
	stats(): SlaveStats {
		return this.#accounts.total();
	}

	/** The master has changed: slaves and host follow its MAC and MTU, and the LAN hears where everybody is. */
	onLink(link: Link): void {
		const { mac, mtu, ifindex, carrierUps } = this.#master;
		this.#master = link;
		if (link.carrierUps !== carrierUps) void this.#threads.announce();
		if (link.ifindex !== ifindex || (link.mac === mac && link.mtu === mtu)) return;
		if (link.mac !== mac) void this.#threads.change({ kind: 'master', mac: link.mac, ifindex });
		this.#host?.follow(link);
		void this.#offload.setMaster(link);
		if (link.mtu === mtu) return;
		void this.#threads.change({ kind: 'mtu', mtu: link.mtu });
		for (const { name, ifindex } of this.#members.all()) {
			try {
				setLink(ifindex, { mtu: slaveMtu(link) });
			} catch (error) {
				// One that is gone, as its guest is, has nothing to follow.
				if (getLink(ifindex))
					this.#context.log.error({ slave: name, err: error }, 'slave did not follow the MTU');
			}
		}
	}

	/** Undoes everything. May be called twice, and after the master is gone. */
	async close(): Promise<void> {
		if (this.#closed) return;
		this.#closed = true;
		this.#context.monitor.off('address', this.#onAddress);
		this.#context.monitor.off('unfiltered', this.#onUnfiltered);
		this.#gateways?.close();
		this.#groups.close();
		const devices = this.#members.all().map(({ ifindex }) => {
			const exists = getLink(ifindex) !== undefined;
			if (exists) setLink(ifindex, { up: false });
			return { ifindex, exists };
		});
		await this.#offload.close();
		this.#shield.removeInterfaces(devices);
		await this.#mode
			.close()
			.catch(error => this.#context.log.warn({ err: error }, 'the mode did not end cleanly'));
		await this.#threads.stop();
		const exists = getLink(this.#master.ifindex) !== undefined;
		this.#shield.close(exists);
		this.#host?.close(exists);
	}

	async #open(member: Member): Promise<void> {
		const { edge, ifindex, mac, learn, allow, live, addresses, remembered = [], limits = {} } = member;
		member.open = true;
		// First, so that nothing passes without.
		await this.#threads.change({ kind: 'limits', edge, limits });
		await this.#threads.change({ kind: 'slave-added', edge, ifindex, mac, learn, allow });
		await this.#offload.addSlave(member);
		await this.#threads.setLive(edge, live);
		for (const address of addresses) await this.#threads.assign(edge, address);
		if (member.name === this.#multicastSlave) await this.#nominate();
		setLink(ifindex, { up: true });
		if (live) await this.#groups.setLive(member);
		// Its guest has gone meanwhile, or another has come: nothing that it learned is true any more.
		if (!live) return;
		for (const { address, expires } of remembered) {
			await this.#threads.restore(edge, address, expires === undefined ? undefined : Date.parse(expires));
		}
	}

	async #nominate(): Promise<void> {
		const member = this.#multicastSlave === undefined ? undefined : this.#members.get(this.#multicastSlave);
		const edge = member?.open ? member.edge : 0;
		await this.#threads.change({ kind: 'multicast-slave', edge });
		await this.#offload.setNominated(edge !== 0);
	}

	async #start({ mode, flag, offload, ageing }: PortOptions): Promise<void> {
		const { mac, mtu, ifindex } = this.#master;
		await this.#threads.change({ kind: 'master', mac, ifindex });
		await this.#threads.change({ kind: 'mtu', mtu });
		await this.#threads.change({ kind: 'flag', flag });
		await this.#threads.setAge(ageing * 1000);
		if (this.#host) {
			this.#shield.addInterface(this.#host.peer);
			const { peer, groups } = this.#host;
			await this.#threads.change({ kind: 'host', ifindex: peer, enabled: true, groups });
			this.#host.up();
		}
		// Before the hook, which may find a fast path of a daemon before this at work.
		await this.#mode.enter(mode);
		await this.#offload.use(offload, this.#master);
		await this.#followHostAddresses();
		this.#gateways = new Gateways(ifindex, this.#context.monitor, (addresses, prefixes) => {
			if (!this.#closed) void this.#threads.setNetwork(addresses, prefixes);
		});
	}

	async #followHostAddresses(): Promise<void> {
		const addresses = listAddresses(this.#master.ifindex);
		this.#host?.setHostAddresses(addresses);
		await this.#threads.setHostAddresses(addresses.map(({ address }) => address));
	}

	/** A guest has jammed a ring of the kernel's: go on without it (see datapath/forwarder/socket-reader.ts). */
	#replaceRing(ring: RingName): void {
		const fd = openReplacement(ring, this.#master);
		this.#shield.replaceSocket(ring, fd);
		this.#offload.setSocket(ring, fd);
		this.#context.log.warn(
			{ master: this.#master.name, ring },
			'a frame jammed a receive ring: reading without it, slower',
		);
		this.#threads.replaceRing(ring, fd).catch(error => this.emit('failed', error));
	}

	readonly #onAddress = ({ address }: LinkMonitorEvents['address'][0]): void => {
		if (address.ifindex !== this.#master.ifindex || this.#closed) return;
		this.#followHostAddresses().catch(error => {
			if (!this.#closed) this.#context.log.warn({ err: error }, "could not follow the host's addresses");
		});
	};

	/** `tc qdisc del dev … clsact` takes everybody's filters off: ours, which keep guests from the host's stack, come back. */
	readonly #onUnfiltered = ({ ifindex }: LinkMonitorEvents['unfiltered'][0]): void => {
		this.#mend(ifindex).catch(error => {
			const isThere = !this.#closed && getLink(ifindex) !== undefined;
			if (isThere) this.#context.log.error({ err: error, ifindex }, 'filters could not be put back');
		});
	};

	async #mend(ifindex: number): Promise<void> {
		if (this.#closed) return;
		const missing = [
			this.#shield.mend(ifindex),
			this.#host?.mend(ifindex, this.#master),
			await this.#offload.mend(ifindex),
		];
		if (!missing.includes(true)) return;
		const device = getLink(ifindex)?.name;
		this.#context.log.warn({ device }, 'somebody took TC filters of ours off a device: they are back');
	}

	#addressReported(report: AddressReport): void {
		const { edge, address, origin, change } = report;
		const followed = this.#offload.follow(report);
		const member = this.#members.ofEdge(edge);
		if (!member || origin === 'host') return;
		const entry = member.entries.apply(report, Date.now());
		if (change === 'added') {
			this.#shield.addAddress(address);
			this.#groups.addAddress(address);
			this.#host?.addRoute(address);
			// A port that is being closed has nobody to tell.
			void followed.then(() => this.#threads.ready(address)).catch(() => undefined);
		} else if (change === 'removed') {
			this.#host?.removeRoute(address);
			this.#shield.removeAddress(address);
			this.#groups.removeAddress(address);
		}
		this.emit('address', member.name, entry, change);
	}

	#duplicateReported({ edge, address, mac }: DuplicateReport): void {
		const member = this.#members.ofEdge(edge);
		if (!member) return;
		member.entries.contested(address, mac);
		this.emit('duplicate', member.name, address, mac);
	}

	#member(name: string): Member {
		return this.#members.require(name, this.#master.name);
	}
}

/** The master's, as far as a TAP can have it. */
function slaveMtu({ mtu }: Link): number {
	return Math.min(mtu, TAP_MTU_MAX);
}
