/**
 * What the daemon can be asked to do. Each change is planned (registry), written down (state file), made
 * (estate), and taken back step by step if it can't be made: a command that fails has changed nothing. Changes
 * run one at a time, those that the kernel's link events bring about among them.
 */
import { EventEmitter } from 'node:events';
import type { Config } from '../config.js';
import { asIpvtapError, IpvtapError } from '../errors.js';
import type { Logger } from '../log.js';
import type { LinkMonitor } from '../sys/netlink/monitor.js';
import { AddressMemory } from './address-memory.js';
import { Domains } from './domains.js';
import { Estate } from './estate.js';
import { checkClaimable, defaultMaster } from './host.js';
import { mergeLimits } from './limits.js';
import { LinkWatch } from './link-watch.js';
import type { Listing, Master, Slave, Statistics } from './model.js';
import { checkSlaveName } from './names.js';
import { PluggedIn } from './plugged-in.js';
import { restoreForwarding } from './port/forwarding.js';
import type { PortChange } from './port.js';
import { isUpOtherwise, stillHasSlaves } from './refusals.js';
import {
	type MasterOptions,
	type MasterRecord,
	Registry,
	type SlaveChange,
	type SlaveRecord,
	type SlaveRequest,
} from './registry.js';
import { Serial } from './serial.js';
import { type State, StateFile } from './state.js';
import { checkSupported } from './supported.js';
import { Undo } from './undo.js';
import { viewAll, viewMaster, viewSlave, viewStatistics } from './view.js';

export interface AttachRequest extends Omit<SlaveRequest, 'master'> {
	/** Left out: the one that is up, or the default route's. */
	master?: string;
}

export interface AttachOptions {
	/** Asked before a port is opened for it. */
	mayOpen: (master: string) => void;
	/** Of that port. */
	options?: MasterOptions;
	/** May a TAP of its name be there already? */
	adopt?: boolean;
}

interface ControllerEvents {
	/** Something was added or removed. */
	changed: [];
}

export class Controller extends EventEmitter<ControllerEvents> {
	readonly registry = new Registry();
	readonly estate: Estate;
	readonly serial = new Serial();
	readonly domains: Domains;
	readonly pluggedIn: PluggedIn;
	readonly state: StateFile;
	readonly #watch: LinkWatch;
	readonly #memory: AddressMemory;
	readonly #log: Logger;
	#closing = false;

	constructor(config: Config, monitor: LinkMonitor, log: Logger) {
		super();
		this.state = new StateFile(config.stateFile, error => log.error({ err: error }, error.message));
		this.#log = log;
		this.estate = new Estate(monitor, log, config.stateDir);
		this.#watch = new LinkWatch(this, monitor, log);
		this.domains = new Domains(this, log);
		this.pluggedIn = new PluggedIn(this, log);
		this.#memory = new AddressMemory(this, log);
	}

	listing(): Listing {
		return viewAll(this.registry, this.estate);
	}

	statistics(): Statistics {
		return viewStatistics(this.registry, this.estate);
	}

	/** @throws IpvtapError `not-found`. */
	master(name: string): Master {
		return viewMaster(this.registry, this.estate, this.registry.requireMaster(name));
	}

	/** @throws IpvtapError `not-found`. */
	slave(name: string): Slave {
		return viewSlave(this.registry, this.estate, this.registry.requireSlave(name));
	}

	/** Opens a port. One that is up with the same options is left as it is, and stays when its slaves go. */
	up(name: string, options: MasterOptions): Promise<{ master: Master; created: boolean }> {
		return this.change(async () => {
			const existing = this.registry.master(name);
			checkSupported(options, existing);
			const atOpening = existing
				? await this.#upAgain(existing, options)
				: await this.#open(name, options, false);
			const master = this.master(name);
			const warnings = [...atOpening, ...(master.warnings ?? [])];
			if (warnings.length > 0) master.warnings = warnings;
			return { master, created: existing === undefined };
		});
	}

	/** Closes a port. @returns the slaves that went with it. @throws IpvtapError `conflict` if there are any, unless forced. */
	down(name: string, force: boolean): Promise<string[]> {
		return this.change(async () => {
			const { name: master } = this.registry.requireMaster(name);
			const slaves = this.registry.slaves(master);
			if (slaves.length > 0 && !force) throw stillHasSlaves(master, slaves);
			this.#requireDisk();
			const names = slaves.map(slave => slave.name);
			// First, and all at once: nobody can say anything more, and the kernel waits less than for one after the other.
			this.estate.deleteTaps(names);
			for (const slave of names) {
				this.#watch.forget(slave);
				this.registry.removeSlave(slave);
				this.#log.info({ slave, master }, 'slave detached');
			}
			await this.#close(master);
			return names;
		});
	}

	setMaster(name: string, change: PortChange): Promise<Master> {
		return this.change(async () => {
			const { multicastSlave, ...options } = change;
			if (typeof multicastSlave === 'string') checkSlaveName(multicastSlave);
			checkSupported(options, this.registry.requireMaster(name));
			this.#requireDisk();
			await this.estate.setPort(name, change);
			this.registry.changeMaster(name, options);
			if (multicastSlave !== undefined) this.registry.nominate(name, multicastSlave);
			this.save();
			return this.master(name);
		});
	}

	/** Makes a slave, and its master's port if nobody has. @param mayOpen may it do that? */
	attach(request: AttachRequest, mayOpen: (master: string) => void): Promise<Slave> {
		return this.change(async () => {
			const record = await this.attachNow(request, { mayOpen });
			this.domains.plugged(record);
			return this.slave(record.name);
		});
	}

	/** As `attach`; within `serial`. */
	async attachNow(request: AttachRequest, options: AttachOptions): Promise<SlaveRecord> {
		const master = request.master ?? defaultMaster(this.registry);
		const record = this.registry.planSlave({ ...request, master });
		checkClaimable(record.addresses);
		const undo = new Undo();
		try {
			await this.#ensurePort(master, options, undo);
			this.registry.addSlave(record);
			undo.push(() => {
				this.registry.removeSlave(record.name);
				this.save();
			});
			this.save();
			if (options.adopt && this.estate.adoptTap(record)) {
				undo.push(() => this.estate.forgetTap(record.name));
				undo.push(() => this.estate.unplug(record));
			} else {
				this.estate.makeTap(record);
				undo.push(() => this.estate.deleteTap(record.name));
			}
			await this.estate.plug(record);
		} catch (error) {
			await undo.run(this.#log);
			throw error;
		}
		this.#watch.expectClaim(record);
		const { name: slave, ifname, addresses } = record;
		this.#log.info({ slave, master, ifname, addresses }, 'slave attached');
		return record;
	}

	detach(name: string): Promise<void> {
		return this.change(async () => {
			const slave = this.registry.slave(name);
			this.#requireDisk();
			if (slave) await this.#remove(slave);
			if (!this.domains.forget(name) && !slave) this.registry.requireSlave(name);
		});
	}

	/** What isn't said stays: static addresses, limits, what it is allowed. All of it holds then, or nothing. */
	setSlave(name: string, change: SlaveChange): Promise<Slave> {
		return this.change(async () => {
			const { registry, estate } = this;
			const slave = registry.requireSlave(name);
			const plan = registry.planAddresses(name, change);
			checkClaimable(plan.add);
			this.#requireDisk();
			const { limits, allow } = change;
			const limited = limits ? { limits: mergeLimits(slave.limits, limits) } : undefined;
			const undo = new Undo();
			try {
				if (limited) {
					await estate.changeLimits({ ...slave, ...limited });
					undo.push(() => estate.changeLimits(slave));
				}
				if (allow) {
					await estate.changeAllowed({ ...slave, allow });
					undo.push(() => estate.changeAllowed(slave));
				}
				await estate.changeAddresses(slave, plan);
			} catch (error) {
				await undo.run(this.#log);
				throw error;
			}
			registry.changeAddresses(name, plan);
			registry.changeSlave(name, limited ?? {});
			if (allow) registry.allowSlave(name, allow);
			this.save();
			this.#log.info({ slave: name, ...plan, ...limited, ...(allow ? { allow } : {}) }, 'slave changed');
			return this.slave(name);
		});
	}

	/** Makes what the state file wants of what is there. What can't be made stays wanted, with its problem shown. */
	adopt(state: State): Promise<void> {
		return this.change(async () => {
			for (const master of state.masters) this.registry.addMaster(master);
			for (const slave of state.slaves) this.registry.addSlave(slave);
			for (const domain of state.domains ?? []) this.registry.setDomain(domain);
			for (const slave of state.slaves) this.#adoptTap(slave);
			await this.domains.adopt(state.domains ?? []);
			for (const master of state.masters) await this.#watch.reopen(master.name);
			await this.pluggedIn.adoptAll();
			await this.closeImplicit();
			this.save();
		});
	}

	/**
	 * Takes everything down, in order: slaves, ports, the state file. What fails is logged and doesn't stop the rest.
	 * A slave with a guest behind it stays for the next daemon: a guest whose TAP is deleted has no way back to it.
	 */
	async close(): Promise<void> {
		this.#closing = true;
		await this.serial.run(async () => {
			const undo = new Undo();
			const lasting = this.registry.slaves().filter(slave => slave.domain || this.estate.isHeld(slave.name));
			undo.push(() => this.#saveLasting(lasting));
			for (const { name, hostInterface } of this.registry.masters()) {
				if (hostInterface !== null) undo.push(() => this.estate.deleteHostInterface(hostInterface));
				undo.push(() => this.estate.closePort(name));
			}
			for (const slave of lasting) undo.push(() => this.estate.unplug(slave));
			const others = this.registry.slaves().filter(slave => !lasting.includes(slave));
			undo.push(() => this.estate.deleteTaps(others.map(({ name }) => name)));
			this.#watch.close();
			this.#memory.close();
			this.domains.close();
			this.pluggedIn.close();
			await undo.run(this.#log);
		});
	}

	/** A slave's end that nobody asked for; within `serial`, and `changed` is emitted behind it. */
	async drop(slave: SlaveRecord): Promise<void> {
		await this.#remove(slave);
	}

	/** Within `serial`. @returns warnings. @throws IpvtapError. */
	async openPort(name: string): Promise<string[]> {
		const record = this.registry.requireMaster(name);
		const warnings = await this.estate.openPort(record, (master, settings) => {
			this.registry.changeMaster(master, { settings });
			this.save();
		});
		const hostInterface = this.estate.port(name)?.port.hostInterface ?? null;
		if (record.hostInterface !== null && record.hostInterface !== hostInterface) {
			this.estate.deleteHostInterface(record.hostInterface);
		}
		this.registry.changeMaster(name, { hostInterface });
		this.save();
		return warnings;
	}

	save(masters = this.registry.masters(), slaves = this.registry.slaves()): void {
		const domains = this.registry.domains();
		this.state.save({ masters, slaves, ...(domains.length > 0 ? { domains } : {}) });
	}

	/** Ports that were opened for slaves that are gone by now. */
	async closeImplicit(): Promise<void> {
		for (const { name, implicit } of this.registry.masters()) {
			if (implicit && this.registry.slaves(name).length === 0) await this.#close(name);
		}
	}

	async #saveLasting(slaves: SlaveRecord[]): Promise<void> {
		const masters = this.registry
			.masters()
			.filter(({ name }) => slaves.some(({ master }) => master === name));
		if (slaves.length + this.registry.domains().length === 0) return this.state.remove();
		this.save(masters, slaves);
		await this.state.settled();
	}

	/** Runs one change after the others; it is done when it is on the disk, too, for which the next doesn't wait. */
	async change<T>(task: () => Promise<T>): Promise<T> {
		if (this.#closing)
			throw new IpvtapError('daemon-unreachable', 'the daemon is ending', { hint: 'try again' });
		try {
			return await this.serial.run(task);
		} finally {
			this.emit('changed');
			await this.state.settled();
		}
	}

	/** What couldn't be written down afterwards isn't begun. @throws IpvtapError. */
	#requireDisk(): void {
		this.save();
	}

	async #open(name: string, options: MasterOptions, implicit: boolean): Promise<string[]> {
		const record = this.registry.planMaster(name, options, implicit);
		const undo = new Undo();
		try {
			this.registry.addMaster(record);
			undo.push(() => {
				this.registry.removeMaster(name);
				this.estate.problems.delete(name);
				this.save();
			});
			this.save();
			const warnings = await this.openPort(name);
			await this.estate.port(name)?.port.settle();
			this.#log.info(
				{
					master: name,
					mode: record.mode,
					flag: record.flag,
					host: this.estate.port(name)?.port.hostInterface,
				},
				'master up',
			);
			for (const warning of warnings) this.#log.warn({ master: name }, warning);
			return warnings;
		} catch (error) {
			await undo.run(this.#log);
			throw error;
		}
	}

	async #upAgain(existing: MasterRecord, options: MasterOptions): Promise<string[]> {
		for (const [key, wanted] of Object.entries(options)) {
			const is = existing[key as keyof MasterOptions] ?? 'none';
			if (is === wanted) continue;
			throw isUpOtherwise(existing.name, key, is, wanted);
		}
		if (!this.estate.port(existing.name)) await this.#watch.reopen(existing.name, true);
		if (existing.implicit) {
			this.registry.changeMaster(existing.name, { implicit: false });
			this.save();
		}
		return [];
	}

	async #ensurePort(master: string, { mayOpen, options = {} }: AttachOptions, undo: Undo): Promise<void> {
		if (this.estate.port(master)) return;
		if (this.registry.master(master)) {
			await this.#watch.reopen(master, true);
			return;
		}
		mayOpen(master);
		await this.#open(master, options, true);
		undo.push(() => this.#close(master));
	}

	async #close(master: string): Promise<void> {
		const { hostInterface } = this.registry.requireMaster(master);
		try {
			await this.estate.closePort(master);
			if (hostInterface !== null) this.estate.deleteHostInterface(hostInterface);
			// A port that never opened after a crash hasn't restored what the one before it changed.
			restoreForwarding(this.registry.requireMaster(master).settings ?? {});
		} finally {
			this.registry.removeMaster(master);
			this.save();
			this.#log.info({ master }, 'master down');
		}
	}

	async #remove(slave: SlaveRecord): Promise<void> {
		const { name, master } = slave;
		this.#watch.forget(name);
		try {
			await this.estate.unplug(slave);
		} catch (error) {
			// What the port couldn't undo on the TAP goes with the TAP.
			this.#log.error({ slave: name, err: error }, 'slave did not come off its port cleanly');
		}
		this.estate.deleteTap(name);
		this.registry.removeSlave(name);
		this.domains.unplugged(slave);
		this.save();
		this.#log.info({ slave: name, master }, 'slave detached');
		await this.closeImplicit();
	}

	#adoptTap(slave: SlaveRecord): void {
		const { name, ifname, ephemeral, closed } = slave;
		try {
			const found = this.estate.adoptTap(slave);
			const waits = closed && found;
			if (waits) this.#watch.expectClaim(slave);
			if (ephemeral && !waits && !this.estate.tap(name)?.claimed) {
				// Its QEMU ended, or never began, while nobody watched.
				this.estate.deleteTap(name);
				this.registry.removeSlave(name);
				this.domains.unplugged(slave);
				return;
			}
			if (!found) this.estate.makeTap(slave);
			this.#log.info({ slave: name, ifname, made: !found }, 'slave adopted');
		} catch (error) {
			this.estate.problems.set(name, asIpvtapError(error).message);
			this.#log.error({ slave: name, err: error }, 'slave could not be adopted');
		}
	}
}
