/**
 * libvirt's domains, as their hook (qemu/libvirt/hook.ts) tells of them:
 *
 *     prepare    starting    slaves made, closed to traffic
 *     migrate    incoming    the same is about to come, but the guest still runs elsewhere
 *     started    running     slaves open; an incoming domain's at its guest's first frame
 *     reconnect  running     slaves that we don't know any more are taken over
 *     end        (gone), or saved, migrated: slaves removed, addresses kept
 *
 * Hooks may be missed: libvirtd or we may have been away. What counts then is whether a QEMU has the TAP open: a
 * slave goes with it, which also is how detach-device shows.
 */
import { runsInLibvirt } from '../../qemu/libvirt/runs.js';
import { asIpvtapError, IpvtapError } from '../errors.js';
import type { Logger } from '../log.js';
import { getLink } from '../sys/netlink/link.js';
import type { AttachRequest, Controller } from './controller.js';
import { checkDevice, declaredNic, nicOf, pluggedNics } from './domain-nics.js';
import type { LimitRequest } from './limits.js';
import type { DomainState, Flag, Mode, Permission } from './model.js';
import { type DeclaredNic, type DomainRecord, isReservation, type SlaveRecord } from './registry.js';
import { checkSupported } from './supported.js';
import { Undo } from './undo.js';

/** What a hook says of a domain. */
export interface DomainRequest {
	uuid: string;
	state: DomainState;
	nics: NicRequest[];
	/** NICs that its XML has and doesn't declare, those of others among them. */
	undeclared: Device[];
}

export interface Device {
	/** Its place in the domain's XML. */
	at: string;
	target: string;
	mac: string;
	alias?: string;
}

export interface NicRequest {
	/** Where the domain's XML declares it, for messages. */
	at: string;
	/** Name of the TAP. The slave's is the same without `ipvt-`. */
	target: string;
	master: string;
	mode?: Mode;
	flag?: Flag;
	addresses: string[];
	learn?: boolean;
	allow?: Permission[];
	limits?: LimitRequest;
	mac: string;
	mtu?: number;
	queues: number;
	vhost?: boolean;
	alias?: string;
	/** Has the domain an interface for it? Otherwise one may be plugged in later. */
	present: boolean;
	/** It isn't declared, but was plugged in: as what. */
	plugged?: DeclaredNic;
}

export class Domains {
	readonly #controller: Controller;
	readonly #log: Logger;
	readonly #waiting = new Map<string, NodeJS.Timeout>();
	/** Domains that may have ended unannounced. */
	readonly #lost = new Map<string, NodeJS.Timeout>();

	constructor(controller: Controller, log: Logger) {
		this.#controller = controller;
		this.#log = log;
	}

	close(): void {
		for (const timer of [...this.#waiting.values(), ...this.#lost.values()]) clearTimeout(timer);
	}

	/** Brings a domain into a state; within `serial`. @throws IpvtapError with the XML path of the NIC at fault. */
	async put(name: string, declared: DomainRequest): Promise<void> {
		const before = this.#known(name, declared.uuid);
		const plugged = pluggedNics(declared, [...this.#slaves(name).map(nicOf), ...(before?.nics ?? [])]);
		const request = { ...declared, nics: [...declared.nics, ...plugged] };
		const { state } = request;
		if (state === 'running') await this.#run(name, request, before);
		else if (state === 'starting') await this.#start(name, request, before);
		else if (state === 'incoming') this.#set({ ...recordOf(name, request), ...wasKept(before) });
		else await this.#keep(name, request);
		const record = this.#controller.registry.domain(name) as DomainRecord;
		this.#log.info({ domain: name, state: record.state }, 'domain');
	}

	/** A domain's end; within `serial`. @param failed its start failed, so what was kept for it is kept on. */
	async remove(name: string, failed: boolean): Promise<void> {
		const { registry } = this.#controller;
		const record = registry.domain(name);
		// Its start failed before it was one, or its end is told a second time.
		if (record && isReservation(record)) return;
		await this.#dropSlaves(name);
		if (!record) return;
		if (failed && record.before) this.#set({ ...record, state: record.before });
		else registry.removeDomain(name);
		this.#controller.save();
		this.#log.info({ domain: name, failed }, 'domain has ended');
	}

	/**
	 * A domain's QEMU seems to have gone. libvirt tells so itself, and more of it, but not if it is away; and not by way of us
	 * if the declaration was taken out of the domain meanwhile.
	 */
	lost(name: string): void {
		clearTimeout(this.#lost.get(name));
		const look = (): void => {
			this.#lost.delete(name);
			const record = this.#controller.registry.domain(name);
			if (record?.state !== 'running' || this.#slaves(name).length > 0 || runsInLibvirt(record)) return;
			this.#controller.registry.removeDomain(name);
			this.#controller.save();
			this.#log.info({ domain: name }, 'domain has ended unannounced');
		};
		const inTurn = (): void =>
			void this.#controller.serial
				.run(look)
				.catch((error: unknown) => this.#log.error({ domain: name, err: error }, 'domain was not forgotten'));
		this.#lost.set(name, setTimeout(inTurn, unannouncedMs).unref());
	}

	/** Gives up what is kept for a NIC; within `serial`. @returns false if nothing is kept under that name. */
	forget(nicName: string): boolean {
		const { registry } = this.#controller;
		const record = registry
			.domains()
			.find(one => isReservation(one) && one.nics.some(({ name }) => name === nicName));
		if (!record) return false;
		const nics = record.nics.filter(({ name }) => name !== nicName);
		if (nics.length > 0) registry.setDomain({ ...record, nics });
		else registry.removeDomain(record.name);
		this.#controller.save();
		return true;
	}

	/** A slave goes; within `serial`. What it was is needed again if it goes because its domain is saved. */
	unplugged(slave: SlaveRecord): void {
		const record = slave.domain && this.#known(slave.domain.name, slave.domain.uuid);
		if (!record) return;
		const [nic, index] = [nicOf(slave), record.nics.findIndex(({ name }) => name === slave.name)];
		const nics = index < 0 ? [...record.nics, nic] : record.nics.with(index, nic);
		this.#controller.registry.setDomain({ ...record, nics });
	}

	/** libvirt's name for the NIC that a slave is has become known; within `serial`. */
	nameNic(slave: string, alias: string): void {
		const { domain } = this.#controller.registry.requireSlave(slave);
		if (domain) this.#controller.registry.changeSlave(slave, { domain: { ...domain, alias } });
		this.#controller.save();
	}

	/** What the state file says, after its slaves have been adopted; within `serial`. */
	adopt(records: DomainRecord[]): void {
		const { registry } = this.#controller;
		for (const record of records) {
			// The machine has started anew, or the domain ended while nobody watched; or all of its NICs are unplugged.
			const lost = !isReservation(record) && this.#slaves(record.name).length === 0;
			if (lost && !runsInLibvirt(record)) registry.removeDomain(record.name);
			else if (record.state === 'incoming') this.#openAtFirstFrame(record.name);
		}
	}

	/** A domain of that name with another uuid is another domain: libvirt has no two of one name. */
	#known(name: string, uuid: string): DomainRecord | undefined {
		const record = this.#controller.registry.domain(name);
		return record?.uuid === uuid ? record : undefined;
	}

	async #start(name: string, request: DomainRequest, before: DomainRecord | undefined): Promise<void> {
		const { registry } = this.#controller;
		const inUse = this.#slaves(name).find(slave => this.#held(slave));
		if (inUse) {
			throw new IpvtapError('conflict', `start the domain '${name}': a QEMU has ${inUse.ifname} open`, {
				hint: 'end that one first; see: ipvtap list',
			});
		}
		const undo = new Undo();
		try {
			await this.#dropSlaves(name);
			const record = recordOf(name, request);
			if (before?.state === 'incoming') record.state = 'incoming';
			undo.push(() => (before ? this.#set(before) : registry.removeDomain(name)));
			this.#set({ ...record, ...wasKept(before) });
			for (const [index, nic] of record.nics.entries()) {
				const wanted = request.nics[index] as NicRequest;
				await located(wanted, async () => {
					this.#checkMaster(wanted);
					if (!wanted.present) return void this.#plan(record, nic);
					checkDevice(wanted);
					await this.attach(record, nic, { ...wanted, closed: true });
					undo.push(() => this.#dropSlave(nic.name));
					this.#checkMtu(wanted);
				});
			}
		} catch (error) {
			await undo.run(this.#log);
			this.#controller.save();
			throw error;
		}
	}

	async #run(name: string, request: DomainRequest, before: DomainRecord | undefined): Promise<void> {
		const record = { ...recordOf(name, request), state: before?.state ?? request.state };
		this.#set({ ...record, ...wasKept(before) });
		for (const [index, nic] of record.nics.entries()) {
			const wanted = request.nics[index] as NicRequest;
			if (!wanted.present) continue;
			await located(wanted, () => this.#found(record, nic, wanted));
		}
		if (record.state === 'incoming') this.#openAtFirstFrame(name);
		else await this.#open(name);
	}

	/** The slave of a domain whose QEMU runs: there as it was prepared, or lost with our memory. */
	async #found(record: DomainRecord, nic: DeclaredNic, wanted: NicRequest): Promise<void> {
		const { registry } = this.#controller;
		const slave = registry.slave(nic.name);
		if (!slave || slave.domain?.name !== record.name) {
			if (!getLink(nic.ifname)) {
				throw new IpvtapError('failed', `the TAP ${nic.ifname} is gone, and the guest's NIC is dead`, {
					hint: `plug it in anew: virsh detach-device, then attach-device; or restart the domain ${record.name}`,
				});
			}
			this.#checkMaster(wanted);
			await this.attach(record, nic, { ...wanted, closed: record.state === 'incoming' });
		} else if (wanted.alias !== undefined) {
			registry.changeSlave(nic.name, { domain: { ...slave.domain, alias: wanted.alias } });
		}
	}

	async #open(name: string): Promise<void> {
		const { registry, estate } = this.#controller;
		const record = registry.domain(name);
		if (!record) return;
		for (const slave of this.#slaves(name)) {
			if (!slave.closed) continue;
			await estate.open(slave);
			const { closed: _, ...opened } = slave;
			registry.addSlave(opened);
			this.#log.info({ slave: slave.name, domain: name }, 'slave open');
		}
		const { before: _, ...rest } = record;
		this.#set({ ...rest, state: 'running' });
	}

	/**
	 * libvirt calls `started` at a migration's destination long before the guest moves there, and nothing when it has
	 * moved: until then its addresses are the other host's. QEMU's announcement, or whatever the guest sends first,
	 * tells. The TAP refuses frames while it is down, but counts them, with no event for that.
	 */
	#openAtFirstFrame(name: string): void {
		const before = new Map(this.#slaves(name).map(slave => [slave.ifname, framesOf(slave)]));
		const look = (): void => {
			const record = this.#controller.registry.domain(name);
			this.#waiting.delete(name);
			if (record?.state !== 'incoming') return;
			const sent = this.#slaves(name).some(slave => framesOf(slave) !== (before.get(slave.ifname) ?? 0));
			if (!sent) {
				this.#waiting.set(name, setTimeout(look, lookMs));
				return;
			}
			this.#controller.serial
				.run(() => this.#open(name))
				.catch((error: unknown) => this.#log.error({ domain: name, err: error }, 'domain was not opened'));
		};
		clearTimeout(this.#waiting.get(name));
		this.#waiting.set(name, setTimeout(look, lookMs));
	}

	/** Its QEMU has ended, but the guest hasn't: nobody else gets its addresses meanwhile. */
	async #keep(name: string, request: DomainRequest): Promise<void> {
		const record = recordOf(name, request);
		const { registry } = this.#controller;
		await this.#dropSlaves(name);
		registry.removeDomain(name);
		for (const [index, nic] of record.nics.entries())
			await located(request.nics[index] as NicRequest, async () => void this.#plan(record, nic));
		this.#set(record);
	}

	/** One of its NICs becomes a slave; within `serial`. */
	attach(
		record: DomainRecord,
		nic: DeclaredNic,
		{ closed, mode, flag, alias }: Pick<NicRequest, 'mode' | 'flag' | 'alias'> & { closed: boolean },
	): Promise<SlaveRecord> {
		const request = { ...requestOf(record, nic, alias), ...(closed ? { closed: true as const } : {}) };
		const options = { ...(mode === undefined ? {} : { mode }), ...(flag === undefined ? {} : { flag }) };
		return this.#controller.attachNow(request, { mayOpen: () => undefined, options, adopt: true });
	}

	/** Would it be possible? @throws IpvtapError. */
	#plan(record: DomainRecord, nic: DeclaredNic): void {
		this.#controller.registry.planSlave({ ...requestOf(record, nic), master: nic.master });
	}

	/** Mode and flag are the master's: a domain may say them, but not change them for everybody else. */
	#checkMaster({ at, master, mode, flag }: NicRequest): void {
		const is = this.#controller.registry.master(master);
		const wishes = { ...(mode === undefined ? {} : { mode }), ...(flag === undefined ? {} : { flag }) };
		checkSupported(wishes, is);
		for (const [key, wanted] of Object.entries({ mode, flag })) {
			const has = is?.[key as 'mode' | 'flag'];
			if (wanted === undefined || has === undefined || has === wanted) continue;
			throw new IpvtapError(
				'conflict',
				`${at}/@${key}: found '${wanted}', allowed: '${has}', which ${master} has`,
				{
					hint: `change the domain, or the master for all of its slaves: ipvtap set ${master} --${key} ${wanted}`,
				},
			);
		}
	}

	#checkMtu({ target, master, mtu }: NicRequest): void {
		const most = this.#controller.estate.port(master)?.link.mtu;
		if (mtu === undefined || most === undefined || mtu <= most) return;
		throw new IpvtapError(
			'usage',
			`the <mtu> of ${target}: found '${mtu}', allowed: at most ${most}, as ${master} has`,
			{
				hint: `lower it, or raise the master's: ip link set ${master} mtu ${mtu}`,
			},
		);
	}

	#slaves(domain: string): SlaveRecord[] {
		return this.#controller.registry.slaves().filter(slave => slave.domain?.name === domain);
	}

	#held(slave: SlaveRecord): boolean {
		const ifindex = this.#controller.estate.tap(slave.name)?.link.ifindex;
		return ifindex !== undefined && getLink(ifindex)?.carrier === true;
	}

	async #dropSlaves(domain: string): Promise<void> {
		for (const { name } of this.#slaves(domain)) await this.#dropSlave(name);
	}

	async #dropSlave(name: string): Promise<void> {
		const slave = this.#controller.registry.slave(name);
		if (slave) await this.#controller.drop(slave);
	}

	#set(record: DomainRecord): void {
		this.#controller.registry.setDomain(record);
		this.#controller.save();
	}
}

function recordOf(name: string, { uuid, state, nics }: DomainRequest): DomainRecord {
	return {
		name,
		uuid,
		state,
		nics: nics.map(nic => nic.plugged ?? declaredNic(nic)),
	};
}

function requestOf(record: DomainRecord, nic: DeclaredNic, alias?: string): AttachRequest {
	const domain = { name: record.name, uuid: record.uuid, ...(alias === undefined ? {} : { alias }) };
	// libvirtd opens the TAP itself, as root.
	return { ...nic, owner: 0, ephemeral: true, domain };
}

function wasKept(before: DomainRecord | undefined): Pick<DomainRecord, 'before'> {
	if (!before) return {};
	const kept = isReservation(before) ? (before.state as 'saved' | 'migrated') : before.before;
	return kept === undefined ? {} : { before: kept };
}

/** What went wrong, with the place in the domain's XML unless it is there already. */
async function located(nic: NicRequest, task: () => Promise<void>): Promise<void> {
	try {
		await task();
	} catch (thrown) {
		const error = asIpvtapError(thrown);
		if (error.message.startsWith('/')) throw error;
		throw new IpvtapError(error.code, `${nic.at}: ${error.message}`, {
			...(error.hint === undefined ? {} : { hint: error.hint }),
			cause: thrown,
		});
	}
}

/** What the guest has sent or tried to send. */
function framesOf({ ifname }: SlaveRecord): number {
	const received = getLink(ifname)?.stats.rx;
	return received ? received.packets + received.dropped : 0;
}

/** Longer than libvirt takes from the end of a QEMU to its hook. */
const unannouncedMs = 5000;

/** Part of how long a migrated guest is off the network; the copying itself takes far longer. */
const lookMs = 20;
