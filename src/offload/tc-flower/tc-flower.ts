/**
 * tc-bpf, and for what comes from the wire a short cut in the NIC, if that takes it: `flower` rules with `skip_sw`
 * (rules.ts). tc-bpf does everything else, and everything where a rule is missing, so that no frame depends on one.
 *
 * The NIC is asked when the port opens, by a rule that no frame fits. What it refuses, then or later, is said once, with
 * what is missing, and nothing more is tried until the hook is asked for again.
 */
import type { ModeName } from '../../datapath/port-state.js';
import type { Way } from '../../datapath/routing/routing.js';
import { EDGE_WIRE } from '../../datapath/verdict.js';
import type { FlowerPlace } from '../../sys/netlink/flower.js';
import type {
	MaybePromise,
	OffloadContext,
	OffloadCounters,
	OffloadedPort,
	PortPolicy,
	SlaveGroups,
	SlavePolicy,
	XmitOffload,
} from '../offload.js';
import { TcBpf, type TcBpfOptions } from '../tc-bpf/tc-bpf.js';
import { refusalOf } from './refusal.js';
import { Rules } from './rules.js';

export interface TcFlowerOptions extends TcBpfOptions {
	/** `software`: in the kernel's own classifier, where what the rules say can be tried. Absent: in the NIC. */
	place?: FlowerPlace;
}

export class TcFlower implements XmitOffload {
	readonly name = 'tc-flower';
	readonly #inner: TcBpf;
	readonly #place: FlowerPlace;

	constructor({ place = 'hardware', ...options }: TcFlowerOptions = {}) {
		this.#inner = new TcBpf(options);
		this.#place = place;
	}

	/** Whether the NIC takes part is no question here: without it, tc-bpf does it all. */
	probe(mode: ModeName): string | undefined {
		if (mode === 'l3s')
			return "in l3s the host's stack takes what comes from the wire, and a NIC would be past it; use tc-bpf";
		return this.#inner.probe(mode);
	}

	open(context: OffloadContext): OffloadedPort {
		const { master, stateDir } = context;
		return new TcFlowerPort(
			context,
			this.#inner.open(context),
			new Rules({ master, stateDir, place: this.#place }),
		);
	}
}

class TcFlowerPort implements OffloadedPort {
	readonly #context: OffloadContext;
	readonly #inner: OffloadedPort;
	readonly #rules: Rules;
	readonly #slaves = new Map<number, SlavePolicy>();
	readonly #owners = new Map<string, number>();
	#policy: PortPolicy | undefined;
	#refused = false;

	constructor(context: OffloadContext, inner: OffloadedPort, rules: Rules) {
		this.#context = context;
		this.#inner = inner;
		this.#rules = rules;
	}

	get name(): string {
		return this.#refused && this.#rules.size === 0 ? 'tc-bpf' : 'tc-flower';
	}

	get detail(): string {
		const { detail } = this.#inner;
		if (this.name === 'tc-bpf') return `${detail}; tc-flower: the NIC takes no rule`;
		return `tc-bpf by ${detail}; addresses in the NIC: ${this.#rules.size} of ${this.#owners.size}`;
	}

	get punts(): boolean {
		return this.#inner.punts;
	}

	get buckets(): number | undefined {
		return this.#inner.buckets;
	}

	async setPort(policy: PortPolicy): Promise<void> {
		const before = this.#policy;
		const same = before?.master.mac === policy.master.mac && before.flag === policy.flag;
		if (!same) this.#rules.clear();
		this.#policy = policy;
		await this.#inner.setPort(policy);
		if (before === undefined) this.#ask();
		if (!same) this.#giveAll();
	}

	async addSlave(slave: SlavePolicy): Promise<void> {
		const { edge } = slave;
		this.#slaves.set(edge, slave);
		this.#takeBack(edge);
		await this.#inner.addSlave(slave);
		this.#giveAll(edge);
	}

	async removeSlave(slave: SlavePolicy, exists: boolean): Promise<void> {
		this.#takeBack(slave.edge);
		this.#slaves.delete(slave.edge);
		await this.#inner.removeSlave(slave, exists);
	}

	async addAddress(address: string, edge: number): Promise<void> {
		this.#rules.remove(address);
		this.#owners.set(address, edge);
		await this.#inner.addAddress(address, edge);
		this.#give(address);
	}

	async removeAddress(address: string): Promise<void> {
		this.#rules.remove(address);
		this.#owners.delete(address);
		await this.#inner.removeAddress(address);
	}

	setGroups(edge: number, groups: SlaveGroups): MaybePromise<void> {
		return this.#inner.setGroups?.(edge, groups);
	}

	setRoutes(add: readonly { prefix: string; hop: Way }[], remove: readonly string[]): MaybePromise<void> {
		return this.#inner.setRoutes?.(add, remove);
	}

	setNeighbour(address: string, mac: string | undefined): MaybePromise<void> {
		return this.#inner.setNeighbour?.(address, mac);
	}

	settle(): MaybePromise<void> {
		return this.#inner.settle();
	}

	async mend(ifindex?: number): Promise<boolean> {
		const missing = (await this.#inner.mend?.(ifindex)) ?? false;
		if (ifindex !== this.#context.master || !this.#rules.isIncomplete) return missing;
		this.#giveAll();
		return true;
	}

	/** The NIC's own counters are the rules'. */
	counters(edge: number): OffloadCounters {
		const counters = this.#inner.counters(edge);
		if (edge !== EDGE_WIRE) return counters;
		const { packets, bytes, reflected } = this.#rules.counted();
		const drops = { ...counters.drops };
		if (reflected > 0) drops.reflected = (drops.reflected ?? 0) + reflected;
		const { in: taken } = counters;
		return { ...counters, drops, in: { packets: taken.packets + packets, bytes: taken.bytes + bytes } };
	}

	async detach(): Promise<void> {
		this.#rules.clear();
		await this.#inner.detach();
	}

	/** A guest's MAC and TAP are what rules name; the punt device is a TAP, too. */
	#ask(): void {
		const { punt, master } = this.#policy as PortPolicy;
		this.#try(NOBODY, { edge: 0, ifindex: punt, mac: master.mac, learn: false });
		this.#rules.remove(NOBODY);
	}

	#giveAll(edge?: number): void {
		for (const [address, owner] of this.#owners)
			if (edge === undefined || edge === owner) this.#give(address);
	}

	#takeBack(edge: number): void {
		for (const [address, owner] of this.#owners) if (owner === edge) this.#rules.remove(address);
	}

	/** What the host gets passes its stack, and what is limited has to be counted: both are not for the NIC. */
	#give(address: string): void {
		const slave = this.#slaves.get(this.#owners.get(address) as number);
		if (slave && slave.limits?.rx === undefined) this.#try(address, slave);
	}

	#try(address: string, { mac, ifindex }: SlavePolicy): void {
		if (this.#refused || !this.#policy) return;
		const { master, flag } = this.#policy;
		try {
			this.#context.ensureClsact(master.ifindex);
			this.#rules.add(address, { masterMac: master.mac, vepa: flag === 'vepa', mac, ifindex });
		} catch (error) {
			this.#refused = true;
			this.#context.warn(`tc-flower: ${refusalOf(error, master.ifindex)}; tc-bpf does the work`);
		}
	}
}

/** No frame is for it. */
const NOBODY = '0.0.0.0';
