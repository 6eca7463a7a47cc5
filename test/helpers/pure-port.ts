/** A port as a test describes it, dry (see datapath/trace/dry-port.ts), with its verdicts in words. */
import type { Quota } from '../../src/datapath/address-book.js';
import { STRIDE, WAITING } from '../../src/datapath/counters.js';
import type { StateChange } from '../../src/datapath/messages.js';
import type { FlagName, ModeName, PermissionName } from '../../src/datapath/port-state.js';
import type { Hop } from '../../src/datapath/routing/routing.js';
import {
	type ChecksumPlace,
	type DryCommand,
	DryPort,
	type Sent,
} from '../../src/datapath/trace/dry-port.js';
import { EDGES_MAX, verdictName } from '../../src/datapath/verdict.js';

/** What a port is made of. Addresses are in the order in which they were taken. */
export interface Topology {
	master: string;
	host: boolean;
	flag: FlagName;
	slaves: readonly { edge: number; mac: string; learns: boolean; allow?: readonly PermissionName[] }[];
	addresses: readonly { address: string; edge: number; origin: 'static' | 'learned' | 'host' }[];
	quota?: Quota;
	/** `l2` where none is given; the rest matters in the others only. */
	mode?: ModeName;
	routes?: readonly { prefix: string; hop: Hop }[];
	/** Neighbours on the wire, as the host knows them. */
	neighbours?: readonly { address: string; mac: string }[];
	/** What ICMP errors come from. */
	sources?: { ipv4?: string; ipv6?: string };
	/** Edge of the slave that gets multicast all the same. */
	multicastSlave?: number;
}

export type Output = Sent;

export interface Outcome {
	/** What `forward` said first: what a fast path alone would do. */
	verdict: string;
	/** What came of it in the end; differs after a claim. */
	final: string;
	/** What left, by edge. */
	out: Output[];
}

export class PurePort {
	/** Milliseconds since 1970, as the slow path sees them. */
	now = 1_000_000;
	readonly dry: DryPort;
	/** Reports up to this one have been acted on. */
	#settled = 0;

	constructor(topology: Topology) {
		const { slaves, quota } = topology;
		this.dry = new DryPort({
			now: () => this.now,
			edges: 2 + Math.max(0, ...slaves.map(({ edge }) => edge)),
			...(quota === undefined ? {} : { quota }),
		});
		for (const command of commandsOf(topology)) this.command(command);
		this.#settled = this.reports.length;
	}

	get state() {
		return this.dry.state;
	}

	get counters() {
		return this.dry.counters;
	}

	/** What the slow path said to control. */
	get reports() {
		return this.dry.reports;
	}

	/**
	 * Takes one frame all the way.
	 * @param partial whether its virtio header says that the checksum is still to be completed.
	 * @param checksum where, if it matters.
	 * @throws Error if a frame that isn't for exactly one edge was changed before the slow path had it.
	 */
	receive(ingress: number, bytes: Uint8Array, partial = false, checksum?: ChecksumPlace): Outcome {
		const decided = this.dry.decide(ingress, bytes, partial, checksum);
		if (decided.verdict < 0 || decided.verdict >= EDGES_MAX) unchanged(decided.frame, bytes);
		const { first, final, out } = this.dry.receive(ingress, bytes, partial, checksum);
		return { verdict: verdictName(first), final: verdictName(final), out };
	}

	/**
	 * Lets time pass until all claims are decided, on a LAN where nobody answers, with a control that is quick.
	 * @returns what has waited for that and leaves now; not what ipvtap says by itself.
	 */
	settle(): Output[] {
		const out: Output[] = [];
		for (let granted = true; granted; ) {
			// The steps of announcer.ts.
			for (const pause of [0, 50, 200]) {
				this.now += pause;
				this.tick();
			}
			const news = this.reports.slice(this.#settled);
			this.#settled = this.reports.length;
			const added = news.flatMap(report =>
				report.kind === 'address' && report.change === 'added' ? [report.address] : [],
			);
			for (const address of added) out.push(...this.during(() => this.command({ kind: 'ready', address })));
			// What goes on may be a claim again: an advertisement has two addresses.
			granted = added.length > 0 && this.#waiting() > 0;
		}
		return out;
	}

	#waiting(): number {
		let sum = 0;
		for (let at = WAITING; at < this.counters.length; at += STRIDE) sum += this.counters[at] as number;
		return sum;
	}

	/** Asks the slow path as control does. @returns why it can't be, or undefined. */
	command(command: DryCommand): string | undefined {
		return this.dry.command(command);
	}

	/** @returns what leaves because of what is done. */
	during(action: () => unknown): Output[] {
		return this.dry.during(action);
	}

	/** Lets what is due by `now` happen. @returns what left. */
	tick(): Output[] {
		return this.dry.tick();
	}

	close(): void {
		this.dry.close();
	}
}

/** What control says to make such a port. */
export function commandsOf(topology: Topology): DryCommand[] {
	const { master, flag, host, slaves, addresses } = topology;
	const change = (change: StateChange): DryCommand => ({ kind: 'change', change });
	const commands = [
		change({ kind: 'master', mac: master, ifindex: 0 }),
		change({ kind: 'flag', flag }),
		change({ kind: 'host', ifindex: 0, enabled: host, groups: host }),
	];
	for (const { edge, mac, learns, allow = [] } of slaves) {
		commands.push(change({ kind: 'slave-added', edge, ifindex: 0, mac, learn: learns, allow }));
		commands.push({ kind: 'live', edge, live: true });
	}
	commands.push(...routing(topology).map(change));
	const hosts = addresses.filter(({ origin }) => origin === 'host').map(({ address }) => address);
	commands.push({ kind: 'host-addresses', addresses: hosts });
	for (const { address, edge, origin } of addresses) {
		if (origin === 'static') commands.push({ kind: 'assign', edge, address });
		if (origin === 'learned') commands.push({ kind: 'restore', edge, address });
	}
	return commands;
}

function routing({ mode, routes = [], neighbours = [], sources, multicastSlave }: Topology): StateChange[] {
	return [
		...(mode === undefined ? [] : [{ kind: 'mode' as const, mode }]),
		...(multicastSlave === undefined ? [] : [{ kind: 'multicast-slave' as const, edge: multicastSlave }]),
		...(sources === undefined ? [] : [{ kind: 'sources' as const, ...sources }]),
		{ kind: 'routes', add: [...routes], remove: [] },
		...neighbours.map((neighbour, index) => ({ kind: 'neighbour' as const, slot: index + 1, ...neighbour })),
	];
}

function unchanged(frame: Uint8Array, bytes: Uint8Array): void {
	if (!frame.every((byte, index) => byte === bytes[index]))
		throw new Error('a frame for the slow path, or a dropped one, was changed');
}
