/**
 * Who is wanted: masters and slaves by name. Pure: it decides what may be added and what is derived, and
 * keeps the answer; making devices is the controller's work. `plan…` checks and changes nothing, `add…`,
 * `remove…` and `change…` change and check nothing, so that whatever fails between the two leaves no trace.
 */
import { limits } from '../config.js';
import { DEFAULT_AGE_MS } from '../datapath/slowpath/addresses.js';
import { IpvtapError } from '../errors.js';
import { isLinkLocal, parseAddress } from './addresses.js';
import { type LimitRequest, type Limits, mergeLimits } from './limits.js';
import type { AddressEntry, DomainNic, DomainState, Flag, Mode, Permission } from './model.js';
import { checkInterfaceName, checkSlaveName, deriveIfname, deriveMac, parseMac, quote } from './names.js';
import { permitted } from './permissions.js';
import { renameSettings, type SavedSettings } from './port/forwarding-plan.js';
import { holdBy, known, slaveNameInUse } from './refusals.js';

export interface MasterRecord {
	name: string;
	mode: Mode;
	flag: Flag;
	offload: string;
	/** Has it a host slave? */
	host: boolean;
	backlogFrames: number;
	/** Seconds that a learned address is believed in without a sign of its guest. */
	ageing: number;
	/** Opened for its first slave, so it closes after its last. `up` makes it stay. */
	implicit: boolean;
	/** The host slave's device when the port was last open: what a crash may have left under another name. */
	hostInterface: string | null;
	/** The slave that gets multicast in `l3` and `l3s`. */
	multicastSlave?: string;
	/** Settings of the host that are changed at the moment, and what they were (port/forwarding-plan.ts). */
	settings?: SavedSettings;
}

export interface SlaveRecord {
	name: string;
	master: string;
	ifname: string;
	mac: string;
	/** The static addresses, canonical. */
	addresses: string[];
	/** What it had learned, or been leased, when this was last written down. */
	remembered?: AddressEntry[];
	learn: boolean;
	/** Absent where it may say nothing special. */
	allow?: Permission[];
	queues: number;
	/** User id that may open the TAP, and change this slave. */
	owner: number;
	/** Made by `run`, or for a libvirt domain: it goes with its QEMU. */
	ephemeral: boolean;
	/** A QMP socket that tells what the guest's NIC lets pass; `true`: at a place that the daemon makes for it. */
	rxFilter?: string | true;
	/** The libvirt domain that it is a NIC of. */
	domain?: DomainNic;
	/** Nothing passes until its domain runs. */
	closed?: true;
	/** Only what was said; limits.ts has the defaults. */
	limits?: Partial<Limits>;
}

/** A libvirt domain, as its hook last described it (domains.ts). */
export interface DomainRecord {
	name: string;
	uuid: string;
	state: DomainState;
	/** What it was before it was started: that again, if the start fails. */
	before?: 'saved' | 'migrated';
	nics: NicRecord[];
}

/** A domain's NIC that is a slave, or will be one, or has been. */
export interface NicRecord {
	/** Of the slave that it is, or will be. */
	name: string;
	ifname: string;
	master: string;
	mac: string;
	addresses: string[];
	learn: boolean;
	allow?: Permission[];
	queues: number;
	limits?: Partial<Limits>;
	/** It isn't declared: it is the domain's for as long as it is plugged in, or the domain is saved. */
	plugged?: true;
}

export type MasterOptions = Partial<
	Pick<MasterRecord, 'mode' | 'flag' | 'offload' | 'host' | 'backlogFrames' | 'ageing' | 'multicastSlave'>
>;

export interface SlaveRequest {
	name: string;
	master: string;
	owner: number;
	addresses?: string[];
	mac?: string;
	learn?: boolean;
	allow?: Permission[];
	queues?: number;
	ephemeral?: boolean;
	rxFilter?: string | true;
	/** Default: derived from the name. */
	ifname?: string;
	domain?: DomainNic;
	closed?: true;
	limits?: LimitRequest;
}

/** Of static addresses: a whole new list, or what to add and what to take away. */
export interface AddressChange {
	addresses?: string[];
	add?: string[];
	remove?: string[];
}

/** What isn't said stays. */
export interface SlaveChange extends AddressChange {
	limits?: LimitRequest;
	/** The whole list. */
	allow?: Permission[];
}

/** 5.3 of the design: what one master's slow path holds before it drops. */
export const defaultBacklogFrames = 1000;

/** Seconds. */
export const defaultAgeing = DEFAULT_AGE_MS / 1000;

export class Registry {
	readonly #masters = new Map<string, MasterRecord>();
	readonly #slaves = new Map<string, SlaveRecord>();
	readonly #domains = new Map<string, DomainRecord>();

	/** In the order in which they were added. */
	masters(): MasterRecord[] {
		return [...this.#masters.values()];
	}

	/** In the order in which they were added; of one master, if it is named. */
	slaves(master?: string): SlaveRecord[] {
		return [...this.#slaves.values()].filter(slave => master === undefined || slave.master === master);
	}

	master(name: string): MasterRecord | undefined {
		return this.#masters.get(name);
	}

	slave(name: string): SlaveRecord | undefined {
		return this.#slaves.get(name);
	}

	/** @throws IpvtapError `not-found`, with the masters that there are. */
	requireMaster(name: string): MasterRecord {
		const master = this.#masters.get(name);
		if (master) return master;
		throw new IpvtapError('not-found', `no master is named ${quote(name)}`, {
			hint: known('master', this.#masters),
		});
	}

	/** @throws IpvtapError `not-found`, with the slaves that there are. */
	requireSlave(name: string): SlaveRecord {
		const slave = this.#slaves.get(name);
		if (slave) return slave;
		throw new IpvtapError('not-found', `no slave is named ${quote(name)}`, {
			hint: known('slave', this.#slaves),
		});
	}

	/** @throws IpvtapError `usage` for a bad name, `conflict` for one that a slave has. */
	planMaster(name: string, options: MasterOptions, implicit: boolean): MasterRecord {
		checkInterfaceName(name);
		if (this.#slaves.has(name)) {
			throw new IpvtapError('conflict', `${quote(name)} can't be a master: a slave has that name`, {
				hint: `'show' and 'set' couldn't tell them apart; detach the slave first: ipvtap detach ${name}`,
			});
		}
		if (options.multicastSlave !== undefined) checkSlaveName(options.multicastSlave);
		const defaults = { mode: 'l2', flag: 'bridge', offload: 'auto', host: true } as const;
		return {
			name,
			...defaults,
			backlogFrames: defaultBacklogFrames,
			ageing: defaultAgeing,
			...options,
			implicit,
			hostInterface: null,
		};
	}

	addMaster(record: MasterRecord): void {
		this.#masters.set(record.name, record);
	}

	changeMaster(name: string, change: Partial<Omit<MasterRecord, 'name'>>): void {
		this.#masters.set(name, { ...this.requireMaster(name), ...change });
	}

	/** For multicast; null: nobody. */
	nominate(name: string, slave: string | null): void {
		const { multicastSlave: _, ...record } = this.requireMaster(name);
		this.#masters.set(name, slave === null ? record : { ...record, multicastSlave: slave });
	}

	removeMaster(name: string): void {
		this.#masters.delete(name);
	}

	/**
	 * The kernel renamed interfaces, which may have changed places: their slaves follow. A master that waits for an
	 * interface of such a name has found it, and is one with it from now on.
	 */
	renameMasters(names: ReadonlyMap<string, string>): void {
		const records = [...names].map(([from, to]) => {
			const record = this.requireMaster(from);
			return { ...record, name: to, settings: renameSettings(record.settings ?? {}, from, to) };
		});
		for (const from of names.keys()) this.#masters.delete(from);
		for (const record of records) this.#masters.set(record.name, record);
		const follow = <T extends { master: string }>(one: T): T =>
			names.has(one.master) ? { ...one, master: names.get(one.master) } : one;
		for (const slave of this.slaves()) this.#slaves.set(slave.name, follow(slave));
		for (const domain of this.domains()) this.setDomain({ ...domain, nics: domain.nics.map(follow) });
	}

	domains(): DomainRecord[] {
		return [...this.#domains.values()];
	}

	domain(name: string): DomainRecord | undefined {
		return this.#domains.get(name);
	}

	/** The saved or migrated domain that a slave's name is kept for. */
	reservation(slave: string): DomainRecord | undefined {
		return this.#reservations().find(({ nic }) => nic.name === slave)?.domain;
	}

	/** The domain for which a NIC of that name is kept or remembered, though it may be gone, or was never declared. */
	remembering(slave: string): DomainRecord | undefined {
		return this.domains().find(domain =>
			domain.nics.some(nic => nic.name === slave && (nic.plugged || isReservation(domain))),
		);
	}

	setDomain(record: DomainRecord): void {
		this.#domains.set(record.name, record);
	}

	removeDomain(name: string): void {
		this.#domains.delete(name);
	}

	/** It has another name from now on, its slaves' domain too. */
	renameDomain(from: string, to: string): void {
		const record = this.#domains.get(from);
		if (!record) return;
		this.#domains.delete(from);
		this.#domains.set(to, { ...record, name: to });
		for (const { name, domain } of this.slaves())
			if (domain?.name === from) this.changeSlave(name, { domain: { ...domain, name: to } });
	}

	/** The declared NIC of a domain on its way or at work that has a TAP of this name, or waits for one. */
	declared(ifname: string): { domain: DomainRecord; nic: NicRecord } | undefined {
		for (const domain of this.#domains.values()) {
			if (isReservation(domain)) continue;
			const nic = domain.nics.find(one => one.ifname === ifname && !one.plugged);
			if (nic) return { domain, nic };
		}
		return undefined;
	}

	/**
	 * A whole record made from what was asked for: the interface's name and the MAC are derived, addresses and
	 * MAC made canonical, and learning is on unless addresses are given.
	 * @throws IpvtapError `usage` for bad values, `conflict` for a name, address or MAC that is in use.
	 */
	planSlave(request: SlaveRequest): SlaveRecord {
		const name = checkSlaveName(request.name);
		const other = this.#slaves.get(name);
		if (other) throw slaveNameInUse(other);
		if (this.#masters.has(name)) {
			throw new IpvtapError('conflict', `the name '${name}' is in use: it is a master`, {
				hint: "'show' and 'set' couldn't tell them apart; choose another name",
			});
		}
		this.#checkReserved(name, request.domain);
		const addresses = [...new Set((request.addresses ?? []).map(parseAddress))];
		this.#checkAddresses(name, request.master, addresses);
		return {
			name,
			master: checkInterfaceName(request.master),
			ifname: this.#planIfname(request),
			mac: this.#planMac(request),
			addresses,
			learn: request.learn ?? addresses.length === 0,
			...permitted(request.allow),
			queues: request.queues ?? 1,
			owner: request.owner,
			ephemeral: request.ephemeral ?? false,
			...(request.rxFilter === undefined ? {} : { rxFilter: request.rxFilter }),
			...(request.domain === undefined ? {} : { domain: request.domain }),
			...(request.closed === undefined ? {} : { closed: request.closed }),
			...(request.limits === undefined ? {} : { limits: mergeLimits(undefined, request.limits) }),
		};
	}

	addSlave(record: SlaveRecord): void {
		this.#slaves.set(record.name, record);
	}

	changeSlave(name: string, change: Partial<Omit<SlaveRecord, 'name'>>): void {
		this.#slaves.set(name, { ...this.requireSlave(name), ...change });
	}

	/** The whole list of what it may say that others may not. */
	allowSlave(name: string, wanted: readonly Permission[]): void {
		const { allow: _, ...record } = this.requireSlave(name);
		this.#slaves.set(name, { ...record, ...permitted(wanted) });
	}

	removeSlave(name: string): void {
		this.#slaves.delete(name);
	}

	/**
	 * What a change of addresses, or a whole new list, amounts to, canonical and without what changes nothing.
	 * @throws IpvtapError `usage`, `conflict`, or `not-found` for removing an address that the slave hasn't got.
	 */
	planAddresses(name: string, change: AddressChange): { add: string[]; remove: string[] } {
		const slave = this.requireSlave(name);
		const whole = change.addresses?.map(parseAddress);
		const gone = whole ? slave.addresses.filter(address => !whole.includes(address)) : (change.remove ?? []);
		const remove = [...new Set(gone.map(parseAddress))];
		const absent = remove.find(address => !slave.addresses.includes(address));
		if (absent !== undefined) {
			throw new IpvtapError(
				'not-found',
				`can't remove ${absent} from '${name}': it isn't one of its static addresses`,
				{
					hint: slave.addresses.length > 0 ? `it has ${slave.addresses.join(', ')}` : 'it has none',
				},
			);
		}
		const wanted = [...new Set(whole ?? (change.add ?? []).map(parseAddress))];
		const add = wanted.filter(address => !slave.addresses.includes(address) || remove.includes(address));
		const both = add.find(address => remove.includes(address));
		if (both !== undefined) {
			throw new IpvtapError('usage', `${both} is to be added and removed at once`, {
				hint: 'say one of the two',
			});
		}
		this.#checkAddresses(name, slave.master, [...slave.addresses, ...add]);
		return { add, remove };
	}

	changeAddresses(name: string, change: { add: string[]; remove: string[] }): void {
		const slave = this.requireSlave(name);
		const kept = slave.addresses.filter(address => !change.remove.includes(address));
		this.changeSlave(name, { addresses: [...kept, ...change.add] });
	}

	#planIfname({ name, ifname }: SlaveRequest): string {
		const holder = (device: string) => this.slaves().find(slave => slave.ifname === device);
		if (ifname === undefined)
			return deriveIfname(name, device => (holder(device) ?? this.declared(device)) !== undefined);
		const other = holder(ifname);
		if (!other) return checkInterfaceName(ifname);
		throw new IpvtapError('conflict', `the TAP ${ifname} is in use: slave '${other.name}' has it`, {
			hint: `choose another name for the TAP, or detach that slave first: ipvtap detach ${other.name}`,
		});
	}

	/** A saved domain finds its NICs' names free when it comes back. */
	#checkReserved(name: string, domain: DomainNic | undefined): void {
		const holder = this.reservation(name);
		if (!holder || holder.name === domain?.name) return;
		throw new IpvtapError('conflict', `the name '${name}' is in use: ${holdBy(holder)}`, {
			hint: `choose another name, or give the reservation up: ipvtap detach ${name}`,
		});
	}

	#reservations(): { domain: DomainRecord; nic: NicRecord }[] {
		return this.domains()
			.filter(isReservation)
			.flatMap(domain => domain.nics.map(nic => ({ domain, nic })));
	}

	#planMac(request: SlaveRequest): string {
		const holder = (mac: string) => this.slaves().find(slave => slave.mac === mac);
		if (request.mac === undefined) {
			return deriveMac(request.name, request.master, mac => holder(mac) !== undefined);
		}
		const mac = parseMac(request.mac);
		const other = holder(mac);
		if (!other) return mac;
		throw new IpvtapError('conflict', `the MAC ${mac} is in use: slave '${other.name}' has it`, {
			hint: "choose another, or leave it out: ipvtap derives one from the guest's name",
		});
	}

	#checkAddresses(name: string, master: string, addresses: string[]): void {
		if (addresses.length > limits.addressesPerSlave) {
			throw new IpvtapError('usage', `'${name}' can't have ${addresses.length} addresses: too many`, {
				hint: `a slave has at most ${limits.addressesPerSlave} static addresses`,
			});
		}
		for (const other of this.#slaves.values()) {
			if (other.name === name) continue;
			const taken = addresses.find(
				address => other.addresses.includes(address) && (other.master === master || !isLinkLocal(address)),
			);
			if (taken === undefined) continue;
			throw new IpvtapError('conflict', `the address ${taken} is in use: slave '${other.name}' has it`, {
				hint: `choose another, or take it from there first: ipvtap set ${other.name} --ip -${taken}`,
			});
		}
		for (const { domain, nic } of this.#reservations()) {
			if (nic.name === name) continue;
			const taken = addresses.find(
				address => nic.addresses.includes(address) && (nic.master === master || !isLinkLocal(address)),
			);
			if (taken === undefined) continue;
			throw new IpvtapError('conflict', `the address ${taken} is in use: ${holdBy(domain)}`, {
				hint: `choose another, or give the reservation up: ipvtap detach ${nic.name}`,
			});
		}
	}
}

/** Does it only keep its place? */
export function isReservation({ state }: DomainRecord): boolean {
	return state === 'saved' || state === 'migrated';
}
