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
import { endReason, isKept } from '../../qemu/libvirt/end-reason.js';
import { runsInLibvirt } from '../../qemu/libvirt/runs.js';
import { IpvtapError } from '../errors.js';
import type { Logger } from '../log.js';
import { getLink } from '../sys/netlink/link.js';
import type { AttachRequest, Controller } from './controller.js';
import {
	checkDevice,
	checkKnown,
	checkMaster,
	checkMtu,
	type DomainRequest,
	declaredNic,
	located,
	type NicRequest,
	nicOf,
	pluggedNics,
} from './domain-nics.js';
import { FirstFrame } from './first-frame.js';
import { type DomainRecord, isReservation, type NicRecord, type SlaveRecord } from './registry.js';
import { Undo } from './undo.js';

export class Domains {
	readonly #controller: Controller;
	readonly #log: Logger;
	readonly #firstFrame: FirstFrame;
	/** Domains that may have ended unannounced. */
	readonly #lost = new Map<string, NodeJS.Timeout>();
	/** NICs of domains that go back to a snapshot at this moment, by uuid. */
	readonly #reverting = new Map<string, { nics: NicRecord[]; timer: NodeJS.Timeout }>();

	constructor(controller: Controller, log: Logger) {
		this.#controller = controller;
		this.#log = log;
		this.#firstFrame = new FirstFrame(controller.registry, name => {
			controller.serial
				.run(() => this.#open(name))
				.catch((error: unknown) => log.error({ domain: name, err: error }, 'domain was not opened'));
		});
	}

	close(): void {
		this.#firstFrame.close();
		for (const timer of this.#lost.values()) clearTimeout(timer);
		for (const { timer } of this.#reverting.values()) clearTimeout(timer);
	}

	/**
	 * Brings a domain into a state; within `serial`. One that declares nothing, and of whose NICs none is known, leaves no
	 * record. @throws IpvtapError with the XML path of the NIC at fault.
	 */
	async put(name: string, declared: DomainRequest): Promise<void> {
		const { registry } = this.#controller;
		const before = this.#known(name, declared.uuid);
		const known = [before, this.#reverting.get(declared.uuid)].flatMap(one => one?.nics ?? []);
		const plugged = pluggedNics(declared, [...this.#slaves(name).map(nicOf), ...known]);
		const request = { ...declared, nics: [...declared.nics, ...plugged] };
		const { state } = request;
		if (state === 'starting' || state === 'incoming') checkKnown(request);
		if (request.nics.length === 0) {
			if (before && state !== 'running') await this.#end(before);
			return;
		}
		if (state === 'running') await this.#run(name, request, before);
		else if (state === 'starting') await this.#start(name, request, before);
		else if (state === 'incoming') this.#set({ ...recordOf(name, request), ...wasKept(before) });
		else await this.#keep(name, request);
		this.#log.info({ domain: name, state: registry.domain(name)?.state }, 'domain');
	}

	/** A domain's end; within `serial`. @param reason libvirt's word for it. */
	async remove(name: string, reason: string | undefined): Promise<void> {
		const record = this.#controller.registry.domain(name);
		// Its start failed before it was one, or its end is told a second time.
		if (record && isReservation(record)) return;
		if (!record) return this.#dropSlaves(name);
		if (reason === 'from snapshot') this.#rememberBriefly(record);
		// What was kept for one whose start failed is kept on.
		await this.#end(record, reason === 'failed' ? record.before : undefined);
	}

	/** Its QEMU makes way for another, which starts at once; the snapshot may have been made with NICs that were plugged in. */
	#rememberBriefly({ name, uuid, nics }: DomainRecord): void {
		clearTimeout(this.#reverting.get(uuid)?.timer);
		const timer = setTimeout(() => this.#reverting.delete(uuid), revertMs).unref();
		this.#reverting.set(uuid, { nics: [...this.#slaves(name).map(nicOf), ...nics], timer });
	}

	/**
	 * One of a domain's QEMUs has let go of a NIC, or of life. libvirt tells of the latter itself, and more of it, but not
	 * if it is away; and not by way of us if the domain declares nothing any more.
	 */
	lost(name: string): void {
		clearTimeout(this.#lost.get(name));
		const look = async (): Promise<void> => {
			this.#lost.delete(name);
			const record = this.#controller.registry.domain(name);
			if (record?.state === 'running') await this.#lookAt(record);
		};
		const inTurn = (): void =>
			void this.#controller.serial
				.run(look)
				.catch((error: unknown) => this.#log.error({ domain: name, err: error }, 'domain was not looked at'));
		this.#lost.set(name, setTimeout(inTurn, unannouncedMs).unref());
	}

	/** Gives up what is kept for a NIC, or remembered of one; within `serial`. @returns false if there is nothing of that name. */
	forget(nicName: string): boolean {
		const record = this.#controller.registry.remembering(nicName);
		if (record) this.#keepNics(record, ({ name }) => name !== nicName);
		return record !== undefined;
	}

	/** A slave was made for a NIC that a running domain is about to be given; within `serial`. */
	plugged(slave: SlaveRecord): void {
		if (!slave.domain) return;
		const { name, uuid } = slave.domain;
		const record = this.#known(name, uuid) ?? { name, uuid, state: 'running' as const, nics: [] };
		// One that declares nothing may have been started afresh instead of restored: nobody tells us that.
		const afresh = isReservation(record) && runsInLibvirt(record);
		const nics = record.nics.filter(nic => !nic.plugged);
		this.#set(withNic(afresh ? { ...record, state: 'running', nics } : record, slave));
	}

	/** A slave goes; within `serial`. What it was is needed again if it goes because its domain is saved. */
	unplugged(slave: SlaveRecord): void {
		const record = slave.domain && this.#known(slave.domain.name, slave.domain.uuid);
		if (record && !isReservation(record)) this.#controller.registry.setDomain(withNic(record, slave));
	}

	/** libvirt's name for the NIC that a slave is has become known; within `serial`. */
	nameNic(slave: string, alias: string): void {
		const { domain } = this.#controller.registry.requireSlave(slave);
		if (domain) this.#controller.registry.changeSlave(slave, { domain: { ...domain, alias } });
		this.#controller.save();
	}

	/** What the state file says, after its slaves have been adopted; within `serial`. */
	async adopt(records: DomainRecord[]): Promise<void> {
		for (const record of records) {
			if (isReservation(record)) continue;
			await this.#lookAt(this.#controller.registry.domain(record.name) ?? record);
			if (record.state === 'incoming') this.#firstFrame.expect(record.name);
		}
	}

	/**
	 * What has become of a domain that nobody told of: the machine has started anew, or it ended while nobody watched. Or
	 * NICs that it doesn't declare were unplugged, and are nobody's.
	 */
	async #lookAt(record: DomainRecord): Promise<void> {
		const { name } = record;
		const slaves = this.#slaves(name);
		if (slaves.length > 0 || runsInLibvirt(record))
			return this.#keepNics(record, nic => !nic.plugged || slaves.some(slave => slave.name === nic.name));
		// One that never ran is what it was before, if it was anything.
		const reason = record.state === 'running' ? endReason(name, '-') : record.before;
		await this.#end(record, isKept(reason) ? reason : undefined);
	}

	/** @param kept it has not quite ended: what it is from now on. */
	async #end(record: DomainRecord, kept?: 'saved' | 'migrated'): Promise<void> {
		const { name } = record;
		await this.#dropSlaves(name);
		const { before: _, ...rest } = record;
		if (kept) this.#controller.registry.setDomain({ ...rest, state: kept });
		else this.#controller.registry.removeDomain(name);
		this.#controller.save();
		this.#log.info({ domain: name, ...(kept ? { kept } : {}) }, 'domain has ended');
	}

	/** Of a domain without NICs nothing is left. */
	#keepNics(record: DomainRecord, isKept: (nic: NicRecord) => boolean): void {
		const nics = record.nics.filter(isKept);
		if (nics.length === record.nics.length) return;
		if (nics.length > 0) this.#controller.registry.setDomain({ ...record, nics });
		else this.#controller.registry.removeDomain(record.name);
		this.#controller.save();
	}

	/** A domain keeps its uuid when it is renamed; one of that name with another uuid is another. */
	#known(name: string, uuid: string): DomainRecord | undefined {
		const { registry } = this.#controller;
		const record = registry.domains().find(one => one.uuid === uuid);
		if (record && record.name !== name) registry.renameDomain(record.name, name);
		return record && registry.domain(name);
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
					checkMaster(wanted, this.#controller.registry.master(wanted.master));
					if (!wanted.present) return void this.#plan(record, nic);
					checkDevice(wanted);
					await this.attach(record, nic, { ...wanted, closed: true });
					undo.push(() => this.#dropSlave(nic.name));
					checkMtu(wanted, this.#controller.estate.port(wanted.master)?.link.mtu);
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
		if (record.state === 'incoming') this.#firstFrame.expect(name);
		else await this.#open(name);
	}

	/** The slave of a domain whose QEMU runs: there as it was prepared, or lost with our memory. */
	async #found(record: DomainRecord, nic: NicRecord, wanted: NicRequest): Promise<void> {
		const { registry } = this.#controller;
		const slave = registry.slave(nic.name);
		if (!slave || slave.domain?.name !== record.name) {
			if (!getLink(nic.ifname)) {
				throw new IpvtapError('failed', `the TAP ${nic.ifname} is gone, and the guest's NIC is dead`, {
					hint: `plug it in anew: virsh detach-device, then attach-device; or restart the domain ${record.name}`,
				});
			}
			checkMaster(wanted, registry.master(wanted.master));
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
		nic: NicRecord,
		{ closed, mode, flag, alias }: Pick<NicRequest, 'mode' | 'flag' | 'alias'> & { closed: boolean },
	): Promise<SlaveRecord> {
		const request = { ...requestOf(record, nic, alias), ...(closed ? { closed: true as const } : {}) };
		const options = { ...(mode === undefined ? {} : { mode }), ...(flag === undefined ? {} : { flag }) };
		return this.#controller.attachNow(request, { mayOpen: () => undefined, options, adopt: true });
	}

	/** Would it be possible? @throws IpvtapError. */
	#plan(record: DomainRecord, nic: NicRecord): void {
		this.#controller.registry.planSlave({ ...requestOf(record, nic), master: nic.master });
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

function requestOf(record: DomainRecord, nic: NicRecord, alias?: string): AttachRequest {
	const domain = { name: record.name, uuid: record.uuid, ...(alias === undefined ? {} : { alias }) };
	// libvirtd opens the TAP itself, as root.
	return { ...nic, owner: 0, ephemeral: true, domain };
}

function wasKept(before: DomainRecord | undefined): Pick<DomainRecord, 'before'> {
	if (!before) return {};
	const kept = isReservation(before) ? (before.state as 'saved' | 'migrated') : before.before;
	return kept === undefined ? {} : { before: kept };
}

/** As it was at last. */
function withNic(record: DomainRecord, slave: SlaveRecord): DomainRecord {
	const index = record.nics.findIndex(({ name }) => name === slave.name);
	if (index < 0) return { ...record, nics: [...record.nics, { ...nicOf(slave), plugged: true }] };
	const { plugged } = record.nics[index] as NicRecord;
	return { ...record, nics: record.nics.with(index, { ...nicOf(slave), ...(plugged ? { plugged } : {}) }) };
}

/** Longer than libvirt takes from the end of a QEMU to its hook. */
const unannouncedMs = 5000;

/** libvirt starts the next QEMU some seconds after it has asked the one before it to end. */
const revertMs = 60_000;
