/**
 * The offload hook for every Linux: eBPF at TC ingress of the slaves, the master and the host slave (bpf/ipvtap.bpf.c).
 *
 * The order of what is told keeps it closed at every moment. A device is a sender before its program is attached, and a
 * device that is none passes nothing; an address is known only when its owner is. Going, it is the other way round.
 *
 * Every port begins with maps of its own. The programs of a daemon before this go on with theirs until `settle`, when the
 * new ones know all that they know: so there is one way for a restart and for every upgrade, and nothing that has to be
 * understood of another version. What they punt meanwhile is lost, as the device for it is new: their edges may have
 * other numbers than ours, and a frame must not be taken for another guest's.
 */
import { existsSync, readFileSync } from 'node:fs';
import { userInfo } from 'node:os';
import { limitsBytes, refusedOf } from '../../datapath/kernel-buckets.js';
import type { ModeName } from '../../datapath/port-state.js';
import type { Way } from '../../datapath/routing/routing.js';
import { dropReasons, EDGE_HOST, EDGE_WIRE } from '../../datapath/verdict.js';
import { IpvtapError } from '../../errors.js';
import type {
	OffloadContext,
	OffloadCounters,
	OffloadedPort,
	PortPolicy,
	SlaveGroups,
	SlavePolicy,
	XmitOffload,
} from '../offload.js';
import { type AttachKind, Attachments } from './attachments.js';
import { KernelObject, type KernelObjectOptions } from './kernel-object.js';
import {
	addressBytes,
	indexBytes,
	mapShapes,
	type OwnerValues,
	ownerBytes,
	portBytes,
	senderBytes,
	sumCounters,
} from './layout.js';
import { Pins } from './pins.js';
import { removeRoute, setNeighbour, setRoute } from './routes.js';
import { Seats } from './seats.js';

export interface TcBpfOptions {
	/** Attach in this way or not at all; absent: the better one that works. */
	attach?: AttachKind;
}

export class TcBpf implements XmitOffload {
	readonly name = 'tc-bpf';
	readonly #options: TcBpfOptions;

	constructor(options: TcBpfOptions = {}) {
		this.#options = options;
	}

	/**
	 * Loads the programs and lets them go again: nothing else says for sure whether a kernel takes them. Once is enough, as
	 * it takes longer than all else that opens a port.
	 */
	probe(mode: ModeName): string | undefined {
		if (loadable.has(mode)) return undefined;
		try {
			loadBest({ mode }).close();
			loadable.add(mode);
			return undefined;
		} catch (error) {
			return missing(error);
		}
	}

	open(context: OffloadContext): OffloadedPort {
		return new TcBpfPort(context, this.#options);
	}
}

/** Modes whose programs this kernel has taken from this process. */
const loadable = new Set<ModeName>();

class TcBpfPort implements OffloadedPort {
	readonly punts = true;
	readonly #pins: Pins | undefined;
	readonly #object: KernelObject;
	readonly #attachments: Attachments;
	readonly #parties = new Map<number, Omit<OwnerValues, 'edge'>>();
	readonly #addresses = new Map<string, number>();
	/** ifindexes of the slaves. */
	readonly #devices = new Set<number>();
	readonly #seats: Seats;
	#policy: PortPolicy | undefined;

	constructor({ mode, stateDir, master, ensureClsact }: OffloadContext, { attach }: TcBpfOptions) {
		this.#object = loadBest({ mode });
		this.#seats = new Seats(this.#object.maps);
		this.#pins = openPins(stateDir, master);
		this.#attachments = new Attachments({ master, pins: this.#pins, kind: attach, ensureClsact });
	}

	get buckets(): number {
		return this.#object.maps.limits.fd;
	}

	get detail(): string {
		return this.#attachments.kind;
	}

	setPort(policy: PortPolicy): void {
		const before = this.#policy;
		this.#policy = policy;
		const { master, host } = policy;
		this.#parties.set(EDGE_HOST, { ifindex: host, mac: master.mac });
		if (before === undefined) for (const edge of [EDGE_WIRE, EDGE_HOST]) this.#clearCounters(edge);
		this.#writePort();
		const { maps, programs } = this.#object;
		if (host !== 0) {
			maps.senders.set(indexBytes(host), senderBytes({ edge: EDGE_HOST, mac: master.mac, learns: false }));
		}
		if (before === undefined) {
			if (host !== 0) this.#attachments.attach(host, 'from_host', programs.from_host);
			this.#attachments.attach(master.ifindex, 'from_wire', programs.from_wire);
		} else if (before.master.mac !== master.mac || before.host !== host) {
			for (const [address, edge] of this.#addresses) {
				if (edge === EDGE_HOST) this.addAddress(address, edge);
			}
		}
	}

	addSlave({ edge, ifindex, mac, learn, limits = {} }: SlavePolicy): void {
		const { maps, programs } = this.#object;
		const known = this.#parties.has(edge);
		this.#parties.set(edge, { ifindex, mac, limits });
		if (!known) this.#clearCounters(edge);
		const before = known ? maps.limits.get(indexBytes(edge)) : undefined;
		maps.limits.set(indexBytes(edge), limitsBytes(limits, before));
		maps.senders.set(indexBytes(ifindex), senderBytes({ edge, mac, learns: learn, limits }));
		this.#seats.set(edge, ifindex, limits.rx !== undefined);
		if (known) {
			for (const [address, owner] of this.#addresses) if (owner === edge) this.addAddress(address, edge);
			return;
		}
		this.#devices.add(ifindex);
		this.#attachments.attach(ifindex, 'from_slave', programs.from_slave);
		this.#writePort();
	}

	removeSlave({ edge, ifindex }: SlavePolicy, exists: boolean): void {
		const { maps } = this.#object;
		for (const [address, owner] of this.#addresses) if (owner === edge) this.removeAddress(address);
		maps.senders.delete(indexBytes(ifindex));
		this.#attachments.detach(ifindex, 'from_slave', exists);
		maps.dropped.delete(indexBytes(edge));
		this.#seats.remove(edge);
		this.#parties.delete(edge);
		this.#devices.delete(ifindex);
		this.#writePort();
	}

	addAddress(address: string, edge: number): void {
		const party = this.#parties.get(edge);
		if (!party) return;
		const { map, key } = addressBytes(address);
		this.#seats.own(address, this.#addresses.get(address), edge);
		this.#addresses.set(address, edge);
		this.#object.maps[map].set(key, ownerBytes({ edge, ...party }));
	}

	removeAddress(address: string): void {
		const { map, key } = addressBytes(address);
		this.#seats.own(address, this.#addresses.get(address), undefined);
		this.#addresses.delete(address);
		this.#object.maps[map].delete(key);
	}

	setGroups(edge: number, groups: SlaveGroups): void {
		this.#seats.setGroups(edge, groups);
		this.#writePort();
	}

	setRoutes(add: readonly { prefix: string; hop: Way }[], remove: readonly string[]): void {
		for (const prefix of remove) removeRoute(this.#object.maps, prefix);
		for (const { prefix, hop } of add) setRoute(this.#object.maps, prefix, hop);
	}

	setNeighbour(address: string, mac: string | undefined): void {
		setNeighbour(this.#object.maps, address, mac);
	}

	settle(): void {
		this.#attachments.settle();
	}

	mend(ifindex?: number): boolean {
		return this.#attachments.mend(ifindex);
	}

	counters(edge: number): OffloadCounters {
		const { maps } = this.#object;
		const none = { packets: 0, bytes: 0 };
		const counters: OffloadCounters = { drops: {}, in: none, out: none, rxLimited: 0, notTried: 0 };
		const drops = maps.dropped.get(indexBytes(edge));
		if (drops) {
			sumCounters(drops, mapShapes.dropped.value).forEach((count, index) => {
				const reason = dropReasons[index];
				if (count > 0 && reason !== undefined) counters.drops[reason] = count;
			});
		}
		counters.in = traffic(maps.entered.get(indexBytes(edge)));
		const limits = maps.limits.get(indexBytes(edge));
		if (limits) counters.rxLimited = refusedOf(limits);
		counters.notTried = this.#seats.notTried(edge);
		if (edge === EDGE_WIRE) counters.out = traffic(maps.sent.get(indexBytes(0)));
		return counters;
	}

	detach(): void {
		this.#attachments.detachAll();
		this.#object.close();
		this.#pins?.close();
	}

	#writePort(): void {
		if (!this.#policy) return;
		const { master, host, punt, flag, nominated } = this.#policy;
		const { ifindex, mac, mtu } = master;
		const slaves = this.#devices.size;
		this.#object.maps.port.set(
			indexBytes(0),
			portBytes({ master: ifindex, host, punt, mtu, flag, slaves, mac, nominated, seats: this.#seats.count }),
		);
	}

	/** An edge begins at zero; the entry for its drops must be there before a program can count in it. */
	#clearCounters(edge: number): void {
		const { dropped, entered } = this.#object.maps;
		dropped.set(indexBytes(edge), new Uint8Array(dropped.valueBytes));
		entered.set(indexBytes(edge), new Uint8Array(entered.valueBytes));
	}
}

const KERNEL_TYPES = '/sys/kernel/btf/vmlinux';

/** Without a bpffs, filters do: they need no pin. */
function openPins(stateDir: string, master: number): Pins | undefined {
	try {
		return Pins.open(stateDir, master);
	} catch {
		return undefined;
	}
}

/** As the kernel allows: the error that counts is that of the form which asks for less. */
function loadBest(options: KernelObjectOptions): KernelObject {
	if (!probing) {
		try {
			return new KernelObject(options);
		} catch {
			// Perhaps the kernel takes the other form.
		}
	}
	const object = new KernelObject({ ...options, probing: true });
	probing = true;
	return object;
}

/** Whether this kernel has refused the better form and taken the other: then it isn't asked again, which takes its time. */
let probing = false;

function traffic(value: Uint8Array | undefined): { packets: number; bytes: number } {
	const [packets = 0, bytes = 0] = value ? sumCounters(value, mapShapes.entered.value) : [];
	return { packets, bytes };
}

function missing(error: unknown): string {
	if (!existsSync(KERNEL_TYPES))
		return `the kernel has no type information (CONFIG_DEBUG_INFO_BTF): there is no ${KERNEL_TYPES}`;
	if (isLockedDown())
		return 'the kernel is locked down (lockdown=confidentiality), and lets eBPF read nothing of its own';
	if (error instanceof IpvtapError && error.code === 'permission') {
		return `eBPF needs CAP_BPF, CAP_PERFMON and CAP_NET_ADMIN; this is uid ${userInfo().uid} without them, or a user namespace`;
	}
	return (error as Error).message;
}

/** `none integrity [confidentiality]`; there is no such file where it can't be. */
function isLockedDown(): boolean {
	try {
		return readFileSync('/sys/kernel/security/lockdown', 'utf8').includes('[confidentiality]');
	} catch {
		return false;
	}
}
