/**
 * A port's offload: which hook it has, what that has been told, and how the forwarder's rings follow. It keeps a picture
 * of the port, so that a hook can come and go while the port is open. A hook that fails is taken off, and the forwarder
 * has all frames again: slower, never open.
 *
 *     on    punt device → rings read it alone → hook attached      a moment of loss, never a copy too many
 *     off   hook detached → the shield drops → rings read devices → punt device gone
 */
import type { EdgeCounters } from '../../datapath/counters.js';
import { KernelBuckets } from '../../datapath/kernel-buckets.js';
import type { RingName, StateChange } from '../../datapath/messages.js';
import { dropReasons, EDGE_HOST, EDGE_WIRE } from '../../datapath/verdict.js';
import { asIpvtapError } from '../../errors.js';
import type { Logger } from '../../log.js';
import { chooseOffload } from '../../offload/choose.js';
import { dropLeftovers } from '../../offload/leftovers.js';
import type {
	MaybePromise,
	OffloadContext,
	OffloadCounters,
	OffloadedPort,
	PortPolicy,
	SlaveGroups,
	SlavePolicy,
} from '../../offload/offload.js';
import { sweepRules } from '../../offload/tc-flower/rules.js';
import { deleteLink, getLink, type Link, listLinks, requireLink, setLink } from '../../sys/netlink/link.js';
import { rebind } from '../../sys/packet.js';
import { createTap, TAP_MTU_MAX } from '../../sys/tap.js';
import { duplicateFd } from '../../sys/unix-socket.js';
import type { Counter, Flag, Mode } from '../model.js';
import type { AddressReport, GroupsReport } from './frame-threads.js';
import { setSysctl } from './host-slave.js';
import { RoutePicture } from './route-picture.js';
import type { Shield } from './shield.js';

export interface PortOffloadOptions {
	mode: Mode;
	/** Where what outlives the daemon belongs to it. */
	stateDir: string;
	shield: Shield;
	log: Logger;
	/** Descriptors of the rings' sockets. */
	sockets: Record<RingName, number>;
	/** Tells the frame threads. */
	change: (change: StateChange) => Promise<void>;
}

/** What `show` says. */
export interface OffloadStatus {
	/** `none`, or the hook's name. */
	name: string;
	/** How it is attached, or why there is none though one was asked for. */
	detail?: string;
}

export class PortOffload {
	readonly #options: PortOffloadOptions;
	readonly #slaves = new Map<number, SlavePolicy>();
	readonly #addresses = new Map<string, number>();
	readonly #groups = new Map<number, SlaveGroups>();
	readonly #routes = new RoutePicture();
	#policy: PortPolicy;
	#hook: OffloadedPort | undefined;
	#punt: { name: string; ifindex: number } | undefined;
	#status: OffloadStatus = { name: 'none' };
	#warnings: string[] = [];
	#mode: Mode;
	#wanted = 'none';
	/** Whether everybody has been plugged in whom a daemon before this had. */
	#settled = false;
	#watch: NodeJS.Timeout | undefined;
	/** What hooks before this one counted, by edge. */
	readonly #past = new Map<number, OffloadCounters>();
	/** One thing after the other, also for hooks that take their time. */
	#last: Promise<void> = Promise.resolve();

	constructor(master: Link, host: number, flag: Flag, options: PortOffloadOptions) {
		const { ifindex, mac, mtu } = master;
		this.#policy = { master: { ifindex, mac, mtu }, host, flag, nominated: false, punt: 0 };
		this.#options = options;
		this.#mode = options.mode;
	}

	get status(): OffloadStatus {
		// How it is attached may be known only when it is.
		if (!this.#hook) return this.#status;
		const { name = this.#status.name, detail } = this.#hook;
		return { name, detail };
	}

	/** What the hook wants the user to know. */
	get warnings(): readonly string[] {
		return this.#warnings;
	}

	/**
	 * Has the port change its mode by `enter`, with no hook meanwhile: none sees a frame of a mode that it isn't for.
	 * @throws IpvtapError if there is no such hook for the mode, or from `enter`; then it stays as it was.
	 */
	async changeMode(mode: Mode, master: Link, enter: () => Promise<void>): Promise<void> {
		if (mode === this.#mode) return enter();
		await chooseOffload(this.#wanted, mode);
		await this.#off();
		try {
			await enter();
			this.#mode = mode;
		} finally {
			// Without it the port still works, and `show` says why there is none.
			await this.use(this.#wanted, master).catch(error =>
				this.#options.log.error({ err: error }, 'no offload after the change of the mode'),
			);
		}
	}

	/** Takes the hook that is asked for, or none. @throws IpvtapError if it can't be had; then it stays as it was. */
	async use(wanted: string, master: Link): Promise<void> {
		const mode = this.#mode;
		const { hook, reason } = await chooseOffload(wanted, mode);
		this.#wanted = wanted;
		await this.#off();
		this.#status = { name: 'none', ...(reason === undefined ? {} : { detail: reason }) };
		// What the NIC was told goes before any hook comes: the programs beneath do the same.
		sweepRules(this.#options.stateDir, master.ifindex);
		if (!hook) return dropLeftovers(this.#options.stateDir, master.ifindex);
		try {
			await this.#on(await hook.open(this.#context(master)), master);
			this.#status = { name: hook.name };
		} catch (error) {
			await this.#off();
			this.#status = { name: 'none', detail: asIpvtapError(error).message };
			if (wanted !== 'auto') throw error;
			this.#options.log.warn({ err: error }, 'no offload: the forwarder does it all');
		}
	}

	setMaster({ ifindex, mac, mtu }: Link): Promise<void> {
		return this.#setPolicy({ master: { ifindex, mac, mtu } });
	}

	setFlag(flag: Flag): Promise<void> {
		return this.#setPolicy({ flag });
	}

	/** Somebody gets broadcast and multicast in l3 and l3s, or nobody. */
	setNominated(nominated: boolean): Promise<void> {
		return this.#setPolicy({ nominated });
	}

	/** Also when its limits have changed. */
	addSlave({ edge, ifindex, mac, learn, limits = {} }: SlavePolicy): Promise<void> {
		const slave: SlavePolicy = { edge, ifindex, mac, learn, limits };
		this.#slaves.set(edge, slave);
		return this.#tell(hook => hook.addSlave(slave));
	}

	removeSlave(edge: number, exists: boolean): Promise<void> {
		const slave = this.#slaves.get(edge);
		if (!slave) return this.#last;
		this.#slaves.delete(edge);
		this.#groups.delete(edge);
		this.#past.delete(edge);
		return this.#tell(hook => hook.removeSlave(slave, exists));
	}

	/** Who owns which address, the host among them. */
	follow({ address, edge, change }: Pick<AddressReport, 'address' | 'edge' | 'change'>): Promise<void> {
		if (change === 'renewed') return this.#last;
		if (change === 'added') this.#addresses.set(address, edge);
		else this.#addresses.delete(address);
		return this.#tell(hook =>
			change === 'added' ? hook.addAddress(address, edge) : hook.removeAddress(address),
		);
	}

	/** What groups a slave wants. */
	followGroups({ edge, inet, inet6, exact }: GroupsReport): Promise<void> {
		// One that has gone meanwhile may still be reported.
		if (!this.#slaves.has(edge)) return this.#last;
		const groups: SlaveGroups = { inet, inet6, exact };
		this.#groups.set(edge, groups);
		return this.#tell(hook => hook.setGroups?.(edge, groups));
	}

	/** How the host routes, as the frame threads are told. */
	followRouting(change: StateChange): void {
		const step = this.#routes.follow(change);
		if (step) void this.#tell(step);
	}

	/** Everybody whom a daemon before this had has been plugged in again. */
	settle(): Promise<void> {
		this.#settled = true;
		return this.#tell(hook => hook.settle());
	}

	/**
	 * Somebody has taken filters off a device, or, without one, may have taken off anything else.
	 * @returns whether one of the hook's was missing; it isn't any more.
	 */
	async mend(ifindex?: number): Promise<boolean> {
		let missing = false;
		await this.#tell(async hook => {
			missing = (await hook.mend?.(ifindex)) ?? false;
		});
		return missing;
	}

	/** A socket reads in a ring's place. */
	setSocket(ring: RingName, fd: number): void {
		this.#options.sockets[ring] = fd;
		if (this.#punt) this.#bind(ring);
	}

	/** Adds what was done without the forwarder to what it counted itself. */
	include(counters: EdgeCounters, edge: number): EdgeCounters {
		const past = this.#past.get(edge);
		const offloaded = sum(this.#hook?.counters(edge) ?? NOTHING, past);
		// Punted frames that the kernel's backlog had no room for were from anybody.
		const lost = edge === EDGE_WIRE && this.#punt ? puntDrops(this.#punt.ifindex) : 0;
		return { ...counters, ...sum(counters, offloaded), ringDrops: counters.ringDrops + lost };
	}

	close(): Promise<void> {
		return this.#off();
	}

	#context(master: Link): OffloadContext {
		const { stateDir, shield, log } = this.#options;
		return {
			mode: this.#mode,
			master: master.ifindex,
			stateDir,
			ensureClsact: ifindex => shield.ensureClsact(ifindex),
			warn: text => {
				this.#warnings.push(text);
				log.warn(text);
			},
		};
	}

	async #on(hook: OffloadedPort, master: Link): Promise<void> {
		this.#hook = hook;
		if (hook.punts) await this.#openPunt(master, hook.buckets);
		await hook.setPort(this.#policy);
		for (const slave of this.#slaves.values()) await hook.addSlave(slave);
		for (const [address, edge] of this.#addresses) await hook.addAddress(address, edge);
		for (const [edge, groups] of this.#groups) await hook.setGroups?.(edge, groups);
		await this.#routes.tell(hook);
		if (this.#settled) await hook.settle();
		this.#watch = setInterval(() => void this.#look(), WATCH_MS).unref();
	}

	/** Until then it is closed: nothing passes where the hook's programs are not. */
	async #look(): Promise<void> {
		if (await this.mend()) this.#options.log.warn('somebody detached programs of ours: they are back');
	}

	async #off(): Promise<void> {
		const hook = this.#hook;
		this.#hook = undefined;
		clearInterval(this.#watch);
		this.#warnings = [];
		await this.#last;
		if (hook) this.#remember(hook);
		await hook?.detach();
		await this.#closePunt();
	}

	/** Counters never go back, whoever counts. */
	#remember(hook: OffloadedPort): void {
		for (const edge of [EDGE_WIRE, EDGE_HOST, ...this.#slaves.keys()]) {
			this.#past.set(edge, sum(hook.counters(edge), this.#past.get(edge)));
		}
	}

	/** A TAP that nobody opens: what is redirected to its ingress is seen by who listens there, and by nobody else. */
	async #openPunt(master: Link, buckets: number | undefined): Promise<void> {
		const { shield, change } = this.#options;
		// After the ifindex, which stays when the master is renamed while nobody watches.
		const name = `${PUNT}${master.ifindex}`;
		sweepPunts(name);
		createTap(name, { owner: undefined, queues: 1, vnetHeader: true });
		const { ifindex } = requireLink(name);
		this.#punt = { name, ifindex };
		setSysctl(`ipv6/conf/${name}/disable_ipv6`, '1');
		shield.addInterface(ifindex);
		// Frames of any length are handed over; nothing is ever sent by it.
		setLink(ifindex, { addrGenModeNone: true, noarp: true, mtu: TAP_MTU_MAX, up: true });
		await change({ kind: 'punt', ifindex, ...(buckets === undefined ? {} : { buckets: lend(buckets) }) });
		this.#bind('slaves');
		this.#bind('master');
		this.#policy = { ...this.#policy, punt: ifindex };
	}

	async #closePunt(): Promise<void> {
		const punt = this.#punt;
		if (!punt) return;
		this.#punt = undefined;
		this.#policy = { ...this.#policy, punt: 0 };
		this.#bind('slaves');
		this.#bind('master');
		this.#options.shield.removeInterfaces([{ ifindex: punt.ifindex, exists: true }]);
		deleteLink(punt.ifindex);
		// The frame threads may be gone before us.
		await this.#options.change({ kind: 'punt', ifindex: 0 }).catch(() => undefined);
	}

	/** The slaves' ring has everybody's punted frames; the master's then has nothing to do. */
	#bind(ring: RingName): void {
		const fd = this.#options.sockets[ring];
		if (this.#punt) rebind(fd, this.#punt.ifindex, ring === 'master');
		else if (ring === 'slaves') rebind(fd, 0);
		else if (getLink(this.#policy.master.ifindex)) rebind(fd, this.#policy.master.ifindex);
	}

	#setPolicy(change: Partial<PortPolicy>): Promise<void> {
		this.#policy = { ...this.#policy, ...change };
		return this.#tell(hook => hook.setPort(this.#policy));
	}

	#tell(step: (hook: OffloadedPort) => MaybePromise<void>): Promise<void> {
		this.#last = this.#last
			.then(() => (this.#hook ? step(this.#hook) : undefined))
			.catch(error => this.#fail(error));
		return this.#last;
	}

	/** Better no offload than one that doesn't know the port. */
	async #fail(error: unknown): Promise<void> {
		this.#options.log.error({ err: error }, 'the offload failed and is taken off: the forwarder does it all');
		this.#status = { name: 'none', detail: asIpvtapError(error).message };
		const hook = this.#hook;
		this.#hook = undefined;
		clearInterval(this.#watch);
		try {
			await hook?.detach();
		} catch (second) {
			this.#options.log.error({ err: second }, 'the offload did not come off cleanly');
		}
		await this.#closePunt();
	}
}

const PUNT = 'ipvq-';
/** How often what no event tells of is looked at: a few µs for each slave. */
const WATCH_MS = 2000;

/** A daemon that was killed has left one, perhaps of a master that has gone since. */
function sweepPunts(own: string): void {
	for (const { name, ifindex } of listLinks()) {
		const isPunt = name.startsWith(PUNT);
		if (isPunt && (name === own || !getLink(Number(name.slice(PUNT.length))))) deleteLink(ifindex);
	}
}

/** A descriptor for the frame threads, which can't refuse it; they close it. @throws SysError if it can't be mapped. */
function lend(buckets: number): number {
	new KernelBuckets(buckets).close();
	return duplicateFd(buckets);
}

const NOTHING: OffloadCounters = {
	drops: {},
	in: { packets: 0, bytes: 0 },
	out: { packets: 0, bytes: 0 },
	rxLimited: 0,
	notTried: 0,
};

function sum(a: OffloadCounters, b: OffloadCounters = NOTHING): OffloadCounters {
	const drops = { ...a.drops };
	for (const reason of dropReasons) {
		const count = (a.drops[reason] ?? 0) + (b.drops[reason] ?? 0);
		if (count > 0) drops[reason] = count;
	}
	return {
		drops,
		in: add(a.in, b.in),
		out: add(a.out, b.out),
		rxLimited: a.rxLimited + b.rxLimited,
		notTried: a.notTried + b.notTried,
	};
}

function add(a: Counter, b: Counter): Counter {
	return { packets: a.packets + b.packets, bytes: a.bytes + b.bytes };
}

function puntDrops(ifindex: number): number {
	return getLink(ifindex)?.stats.rx.dropped ?? 0;
}
