/**
 * What exists: the open ports and the TAPs, as against the registry, which says what is wanted. Nothing here
 * decides; it makes, unmakes and remembers, and each method leaves nothing half made when it throws.
 */
import { EventEmitter } from 'node:events';
import { limits } from '../config.js';
import { asIpvtapError, IpvtapError } from '../errors.js';
import type { Logger } from '../log.js';
import { sweepLeftovers } from '../offload/leftovers.js';
import {
	ARPHRD_ETHER,
	deleteLink,
	deleteLinks,
	getLink,
	type Link,
	requireLink,
} from '../sys/netlink/link.js';
import type { LinkMonitor } from '../sys/netlink/monitor.js';
import { withoutQueue } from '../sys/netlink/tc.js';
import { createTap } from '../sys/tap.js';
import { inTime } from './in-time.js';
import { edgeLimits, effectiveLimits } from './limits.js';
import { checkMaster } from './master-checks.js';
import { MasterClaim } from './master-claim.js';
import type { AddressEntry } from './model.js';
import { isHostSlave } from './port/host-slave.js';
import { Port, type PortContext, type PortSlave } from './port.js';
import { QmpSockets } from './qmp-sockets.js';
import type { MasterRecord, SlaveRecord } from './registry.js';

export interface OpenPort {
	/** The master as the kernel last described it. */
	link: Link;
	port: Port;
	claim: MasterClaim;
}

export interface Tap {
	/** As the kernel last described it. */
	link: Link;
	/** Has a QEMU ever had it open? */
	claimed: boolean;
}

interface EstateEvents {
	/** A port stopped working by itself; it wants closing. */
	failed: [port: Port, error: IpvtapError];
	/** A guest has an address more, or less, or for longer. */
	address: [];
}

export class Estate extends EventEmitter<EstateEvents> {
	readonly #monitor: LinkMonitor;
	readonly #log: Logger;
	readonly #stateDir: string;
	readonly #ports = new Map<string, OpenPort>();
	readonly #taps = new Map<string, Tap>();
	readonly qmpSockets: QmpSockets;
	/** Why a master has no port, or a slave no place on it. */
	readonly problems = new Map<string, string>();

	/** @param stateDir where QEMUs of `run` have the monitors that they are followed by. */
	constructor(monitor: LinkMonitor, log: Logger, stateDir: string) {
		super();
		this.#stateDir = stateDir;
		this.qmpSockets = new QmpSockets(stateDir);
		this.#monitor = monitor;
		this.#log = log;
	}

	/** Lets go what a daemon before this kept in the kernel for ports that aren't open. */
	sweep(): void {
		const open = new Set([...this.#ports.values()].map(({ link }) => link.ifindex));
		sweepLeftovers(this.#stateDir, master => open.has(master));
	}

	port(master: string): OpenPort | undefined {
		return this.#ports.get(master);
	}

	tap(slave: string): Tap | undefined {
		return this.#taps.get(slave);
	}

	/** The name of the master, or of the slave, whose device this is. */
	masterOf(ifindex: number): string | undefined {
		return nameOf(this.#ports, open => open.link.ifindex === ifindex);
	}

	masterOfPort(port: Port): string | undefined {
		return nameOf(this.#ports, open => open.port === port);
	}

	slaveOf(ifindex: number): string | undefined {
		return nameOf(this.#taps, tap => tap.link.ifindex === ifindex);
	}

	/** @returns warnings. @throws IpvtapError; the problem is kept until the port opens. */
	async openPort(record: MasterRecord, saveSettings: PortContext['saveSettings']): Promise<string[]> {
		try {
			const { link, warnings } = checkMaster(record.name, other => this.#isOwn(other));
			const claim = await MasterClaim.take(link);
			try {
				const port = await this.#open(link, record, saveSettings);
				port.once('failed', (error: IpvtapError) => this.emit('failed', port, error));
				this.#ports.set(record.name, { link, port, claim });
			} catch (error) {
				claim.release();
				throw error;
			}
			this.problems.delete(record.name);
			return warnings;
		} catch (error) {
			this.problems.set(record.name, asIpvtapError(error).message);
			throw error;
		}
	}

	/** A port that opens when nobody waits for it any more is closed at once. */
	async #open(link: Link, record: MasterRecord, saveSettings: PortContext['saveSettings']): Promise<Port> {
		const log = this.#log.child({ master: link.name });
		const isTaken = (hostInterface: string) =>
			[...this.#ports.values()].some(({ port }) => port.hostInterface === hostInterface);
		const context = { monitor: this.#monitor, log, saveSettings, stateDir: this.#stateDir, isTaken };
		const opening = Port.open(link, record, context);
		try {
			const port = await inTime(opening, limits.portMs, `open the port of ${link.name}`);
			port.on('address', (slave: string, entry: AddressEntry, change: string) => {
				log.info({ slave, ...entry }, `address ${change}`);
				this.emit('address');
			});
			port.on('duplicate', (slave: string, address: string, mac: string) =>
				log.warn({ slave, address, mac }, "another machine on the LAN uses a guest's address"),
			);
			return port;
		} catch (error) {
			opening.then(late => late.close()).catch(() => undefined);
			throw error;
		}
	}

	/** Its slaves' TAPs stay, unplugged. */
	async closePort(master: string, problem?: string): Promise<void> {
		const open = this.#ports.get(master);
		this.#ports.delete(master);
		if (problem === undefined) this.problems.delete(master);
		else this.problems.set(master, problem);
		if (!open) return;
		open.port.removeAllListeners();
		open.claim.release();
		await inTime(open.port.close(), limits.portMs, `close the port of ${master}`);
	}

	/** A host slave's device that outlived its port. */
	deleteHostInterface(name: string): void {
		const link = getLink(name);
		if (link && isHostSlave(link)) deleteLink(link.ifindex);
	}

	/** The kernel described a master anew. */
	updateMaster(link: Link): void {
		const name = this.masterOf(link.ifindex);
		const open = name === undefined ? undefined : this.#ports.get(name);
		if (name === undefined || !open) return;
		this.#ports.set(name, { ...open, link });
		open.port.onLink(link);
	}

	/** What the kernel calls masters by now that had another name. */
	renamed(): Map<string, string> {
		const names = [...this.#ports].map(
			([name, { link }]) => [name, getLink(link.ifindex)?.name ?? name] as const,
		);
		return new Map(names.filter(([from, to]) => from !== to));
	}

	/** @param names old and new; any may be old and new at once. */
	renameMasters(names: ReadonlyMap<string, string>): void {
		const moved = [...names].map(([from, to]) => [to, this.#ports.get(from)] as const);
		for (const from of names.keys()) this.#ports.delete(from);
		for (const [to, open] of moved) {
			this.problems.delete(to);
			if (open) this.#ports.set(to, open);
		}
	}

	/** @throws IpvtapError; no TAP is there then that wasn't before. */
	makeTap(record: SlaveRecord): void {
		this.qmpSockets.make(record);
		createTap(record.ifname, { owner: record.owner, queues: record.queues, vnetHeader: true });
		const link = requireLink(record.ifname);
		// With one, the kernel would lose what the guest has no room for in silence, after the price of sending it.
		withoutQueue(link.ifindex);
		this.#taps.set(record.name, { link, claimed: false });
	}

	/** Takes over a TAP that a daemon before us made. @returns false if there is none. @throws IpvtapError `conflict`. */
	adoptTap(record: SlaveRecord): boolean {
		this.qmpSockets.make(record);
		const link = getLink(record.ifname);
		if (!link) return false;
		if (link.kind !== 'tun' || link.arpType !== ARPHRD_ETHER) {
			throw new IpvtapError(
				'conflict',
				`can't take over ${record.ifname} for '${record.name}': it is not a TAP`,
				{
					hint: `see what it is: ip -details link show ${record.ifname}`,
				},
			);
		}
		const other = this.slaveOf(link.ifindex);
		if (other !== undefined) {
			throw new IpvtapError(
				'conflict',
				`can't take over ${record.ifname} for '${record.name}': '${other}' has it`,
				{
					hint: `detach one of the two: ipvtap detach ${record.name}`,
				},
			);
		}
		this.#taps.set(record.name, { link, claimed: link.carrier });
		return true;
	}

	/** Gives a slave its place on its master's port. @throws IpvtapError; the problem is kept until it succeeds. */
	async plug(record: SlaveRecord): Promise<void> {
		const { name, mac, learn, allow = [], addresses, remembered, closed } = record;
		try {
			const open = this.#ports.get(record.master);
			const tap = this.#taps.get(name);
			if (!open)
				throw new IpvtapError('failed', this.problems.get(record.master) ?? `${record.master} is not up`);
			if (!tap) throw new IpvtapError('failed', `${record.ifname} is gone`);
			const { ifindex, name: ifname, carrier: live } = requireLink(tap.link.ifindex);
			const slave = {
				name,
				ifname,
				ifindex,
				mac,
				learn,
				allow,
				addresses,
				live,
				limits: edgeLimits(effectiveLimits(record.limits)),
				open: !closed,
				...(remembered === undefined ? {} : { remembered }),
				...this.#rxFilter(record),
			};
			await inTime(open.port.addSlave(slave), limits.portMs, `plug '${name}' into ${record.master}`);
			this.updateTap(name, requireLink(ifindex));
			this.problems.delete(name);
		} catch (error) {
			this.problems.set(name, asIpvtapError(error).message);
			throw error;
		}
	}

	/** Lets traffic pass a slave that was plugged in closed; one that has no place at the moment gets an open one. */
	async open({ name, master }: SlaveRecord): Promise<void> {
		const open = this.#ports.get(master);
		if (!open || this.problems.has(name)) return;
		await inTime(open.port.openSlave(name), limits.portMs, `open '${name}'`);
		const tap = this.#taps.get(name);
		if (tap) this.updateTap(name, requireLink(tap.link.ifindex));
	}

	async unplug(record: SlaveRecord): Promise<void> {
		const { name, master } = record;
		const open = this.#ports.get(master);
		if (open) await inTime(open.port.removeSlave(name), limits.portMs, `take '${name}' off ${master}`);
	}

	/** @throws IpvtapError; nothing has changed then. */
	async changeAddresses(record: SlaveRecord, change: { add: string[]; remove: string[] }): Promise<void> {
		const { name, master } = record;
		const open = this.#ports.get(master);
		if (!open || this.problems.has(name)) return;
		await inTime(open.port.changeAddresses(name, change), limits.portMs, `change the addresses of '${name}'`);
	}

	/** Has what a slave's record says of its limits hold. @throws IpvtapError; the old ones hold then. */
	async changeLimits({ name, master, limits: wanted }: SlaveRecord): Promise<void> {
		const open = this.#ports.get(master);
		if (!open || this.problems.has(name)) return;
		const changed = open.port.setLimits(name, edgeLimits(effectiveLimits(wanted)));
		await inTime(changed, limits.portMs, `change the limits of '${name}'`);
	}

	/** Has what a slave's record says that it may say hold. @throws IpvtapError; it is as it was then. */
	async changeAllowed({ name, master, allow = [] }: SlaveRecord): Promise<void> {
		const open = this.#ports.get(master);
		if (!open || this.problems.has(name)) return;
		const changed = open.port.setAllowed(name, allow);
		await inTime(changed, limits.portMs, `change what '${name}' is allowed`);
	}

	/** @throws IpvtapError. */
	async setPort(master: string, change: Parameters<Port['set']>[0]): Promise<void> {
		const open = this.#ports.get(master);
		if (open) await inTime(open.port.set(change), limits.portMs, `change ${master}`);
	}

	/** Has somebody the slave's TAP open, at this moment? */
	isHeld(slave: string): boolean {
		const tap = this.#taps.get(slave);
		return tap !== undefined && getLink(tap.link.ifindex)?.carrier === true;
	}

	updateTap(slave: string, link: Link): void {
		const before = this.#taps.get(slave);
		if (before) this.#taps.set(slave, { link, claimed: before.claimed || link.carrier });
	}

	/** Somebody has opened the slave's TAP, or closed it. */
	async setLive({ name, master }: SlaveRecord, live: boolean): Promise<void> {
		const open = this.#ports.get(master);
		if (open) await inTime(open.port.setLive(name, live), limits.portMs, `tell ${master} of '${name}'`);
	}

	/** Also when the kernel has taken it away already. */
	deleteTap(slave: string): void {
		const tap = this.#taps.get(slave);
		this.#taps.delete(slave);
		this.problems.delete(slave);
		this.qmpSockets.remove(slave);
		if (tap) deleteLink(tap.link.ifindex);
	}

	/** As `deleteTap`, all in one request. @throws NetlinkError; all are there then. */
	deleteTaps(slaves: readonly string[]): void {
		const taps = slaves.map(slave => this.#taps.get(slave)).filter(tap => tap !== undefined);
		if (taps.length > 0) deleteLinks(taps.map(({ link }) => link.ifindex));
		for (const slave of slaves) this.forgetTap(slave);
	}

	/** The TAP is no longer there: forget it without touching whatever may have its number by now. */
	forgetTap(slave: string): void {
		this.qmpSockets.remove(slave);
		this.#taps.delete(slave);
		this.problems.delete(slave);
	}

	/** Root's slaves may be any user's QEMU's, as libvirt has them. */
	#rxFilter(record: SlaveRecord): Pick<PortSlave, 'rxFilter'> {
		const qmpPath = this.qmpSockets.pathOf(record);
		if (qmpPath === undefined) return {};
		return { rxFilter: { qmpPath, ...(record.owner === 0 ? {} : { uid: record.owner }) } };
	}

	/** One of this daemon's, or what another of ipvtap's daemons named as its own. */
	#isOwn(link: Link): boolean {
		const hosts = [...this.#ports.values()].map(open => open.port.hostInterface);
		if (this.slaveOf(link.ifindex) !== undefined || hosts.includes(link.name)) return true;
		return isHostSlave(link) || (link.kind === 'tun' && /^ipv[tq]-/.test(link.name));
	}
}

function nameOf<T>(entries: Map<string, T>, test: (entry: T) => boolean): string | undefined {
	for (const [name, entry] of entries) if (test(entry)) return name;
	return undefined;
}
