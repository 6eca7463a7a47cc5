/**
 * A port of the eBPF programs, loaded so that they tell their decisions, run over single frames by
 * BPF_PROG_TEST_RUN: what PurePort is for the forwarder. Needs root and a network namespace of one's own, in which
 * it makes a TAP for each edge, because a frame must come from a device that exists.
 */
import { limitsBytes } from '../../src/datapath/kernel-buckets.js';
import type { EdgeLimits } from '../../src/datapath/limits.js';
import type { ModeName, PortState } from '../../src/datapath/port-state.js';
import { EDGE_HOST, EDGE_WIRE, EDGES_MAX, IGNORE } from '../../src/datapath/verdict.js';
import type { SlaveGroups } from '../../src/offload/offload.js';
import { KernelObject, type ProgramName } from '../../src/offload/tc-bpf/kernel-object.js';
import {
	addressBytes,
	indexBytes,
	ownerBytes,
	portBytes,
	senderBytes,
} from '../../src/offload/tc-bpf/layout.js';
import { setNeighbour, setRoute } from '../../src/offload/tc-bpf/routes.js';
import { Seats } from '../../src/offload/tc-bpf/seats.js';
import { testRun } from '../../src/sys/bpf/test-run.js';
import { requireLink } from '../../src/sys/netlink/link.js';
import { createTap } from '../../src/sys/tap.js';
import type { Topology } from './pure-port.js';

export const PUNT = 0x30000;
export const PUNT_COPY = 0x30001;
export const ANSWERED = 0x30002;
export const FANOUT = 0x30003;

export interface KernelOutcome {
	/** As in verdict.ts, or one of the four above. */
	verdict: number;
	/** The edge whose device the frame would have been redirected to, by its ifindex; -1 for none. */
	target: number;
	/** Edges that copies would have been sent to, each as often as it would. */
	copies: number[];
	frame: Uint8Array;
	/** What the program returned to the kernel. */
	result: number;
	nanoseconds: number;
}

export class KernelPort {
	/** For what is configured from now on. */
	mtu = 65535;
	/** Likewise: whether everybody has a seat, so that copies can be made. */
	seats = true;
	readonly #objects: Readonly<Record<ModeName, KernelObject>>;
	#object: KernelObject;
	readonly #devices: Map<number, number>;
	#seats: Seats;
	#topology: Topology | undefined;

	/**
	 * @param probing as for kernels before 6.2. @param devices those of another such port of this namespace.
	 * @param path another build of the programs.
	 */
	constructor(probing = false, devices = new Map<number, number>(), path?: string) {
		const build = path === undefined ? {} : { path };
		const load = (mode: ModeName): KernelObject =>
			new KernelObject({ mode, observed: true, probing, ...build });
		this.#objects = { l2: load('l2'), l3: load('l3'), l3s: load('l3s') };
		this.#object = this.#objects.l2;
		this.#seats = new Seats(this.#object.maps);
		this.#devices = devices;
	}

	/** Replaces all that the programs know. `state` says what came of the addresses in the end. @param limits by edge. */
	configure(topology: Topology, state: PortState, limits: ReadonlyMap<number, EdgeLimits> = new Map()): void {
		const { master, slaves, addresses, mode = 'l2', routes = [], neighbours = [] } = topology;
		for (const { edge } of this.#topology?.slaves ?? []) this.#seats.remove(edge);
		this.#topology = topology;
		this.#object = this.#objects[mode];
		const { maps } = this.#object;
		const { senders, owners4, owners6, dropped, routes4, routes6 } = maps;
		for (const map of [senders, owners4, owners6, dropped, routes4, routes6, maps.neighbours]) {
			for (const key of map.keys()) map.delete(key);
		}
		const limitsOf = (edge: number) => ({ limits: limits.get(edge) ?? {} });
		this.#seats = new Seats(maps);
		const macs = new Map([[EDGE_HOST, master], ...slaves.map(({ edge, mac }) => [edge, mac] as const)]);
		for (const { edge, mac, learns } of slaves) {
			maps.senders.set(indexBytes(this.device(edge)), senderBytes({ edge, mac, learns, ...limitsOf(edge) }));
			maps.limits.set(indexBytes(edge), limitsBytes(limits.get(edge) ?? {}));
			this.#seats.set(edge, this.device(edge), limits.get(edge)?.rx !== undefined);
			this.#seats.setGroups(edge, { inet: 'all', inet6: 'all', exact: false });
		}
		maps.port.set(indexBytes(0), this.#port(topology));
		maps.senders.set(
			indexBytes(this.device(EDGE_HOST)),
			senderBytes({ edge: EDGE_HOST, mac: master, learns: false }),
		);
		for (const edge of [EDGE_WIRE, EDGE_HOST, ...slaves.map(({ edge }) => edge)]) {
			maps.dropped.set(indexBytes(edge), new Uint8Array(maps.dropped.valueBytes));
		}
		for (const { address } of addresses) {
			const edge = state.ownerOf(address);
			if (edge === EDGE_WIRE) continue;
			this.#seats.own(address, undefined, edge);
			const { map, key } = addressBytes(address);
			maps[map].set(
				key,
				ownerBytes({ edge, ifindex: this.device(edge), mac: macs.get(edge)!, ...limitsOf(edge) }),
			);
		}
		for (const { prefix, hop } of routes) setRoute(maps, prefix, hop);
		for (const { address, mac } of neighbours) setNeighbour(maps, address, mac);
	}

	/** What a slave wants from now on; before, it gets every group. */
	setGroups(edge: number, groups: SlaveGroups): void {
		this.#seats.setGroups(edge, groups);
	}

	receive(ingress: number, frame: Uint8Array, repeat = 1): KernelOutcome {
		const {
			result,
			frame: became,
			nanoseconds,
		} = testRun(this.#object.programs[programOf(ingress)], frame, this.device(ingress), repeat);
		const [verdict = 0, ifindex = 0] = this.#decision();
		const copies = verdict === FANOUT ? this.#copies() : [];
		return { verdict, target: this.#edgeOf(ifindex), copies, frame: became, result, nanoseconds };
	}

	/** What the programs said last, however they came by the frame. */
	get verdict(): number {
		return this.#decision()[0] ?? 0;
	}

	/** ifindex of an edge's device. */
	device(edge: number): number {
		let ifindex = this.#devices.get(edge);
		if (ifindex === undefined) {
			createTap(`edge${edge}`, { owner: undefined, queues: 1, vnetHeader: true });
			ifindex = requireLink(`edge${edge}`).ifindex;
			this.#devices.set(edge, ifindex);
		}
		return ifindex;
	}

	/** The variables that the build has in its section .bss, 64 bits each: the sums over all modes. */
	variables(count: number): BigUint64Array {
		const sums = new BigUint64Array(count);
		for (const { object } of Object.values(this.#objects)) {
			const section = object.map('.bss', 4, count * 8);
			const values = new BigUint64Array(section.get(indexBytes(0))!.buffer);
			for (const [index, value] of values.entries()) sums[index] = sums[index]! + value;
		}
		return sums;
	}

	/** Of the mode that it was configured for last. */
	get object(): KernelObject {
		return this.#object;
	}

	close(): void {
		for (const object of Object.values(this.#objects)) object.close();
	}

	#decision(): Int32Array {
		return new Int32Array(this.#object.maps.decided.get(indexBytes(0))!.buffer);
	}

	/** Those of the last frame; the next one finds none. */
	#copies(): number[] {
		const { copied } = this.#object.maps;
		const edges = [EDGE_HOST, ...(this.#topology?.slaves ?? []).map(({ edge }) => edge)];
		return edges.flatMap(edge => {
			const times = new Uint32Array(copied.get(indexBytes(edge))!.buffer)[0]!;
			if (times > 0) copied.set(indexBytes(edge), new Uint8Array(copied.valueBytes));
			return new Array<number>(times).fill(edge);
		});
	}

	#port({ master: mac, host, flag, slaves, multicastSlave = 0 }: Topology): Uint8Array {
		return portBytes({
			master: this.device(EDGE_WIRE),
			host: host ? this.device(EDGE_HOST) : 0,
			punt: 0,
			mtu: this.mtu,
			flag,
			slaves: slaves.length,
			mac,
			nominated: multicastSlave !== 0,
			seats: this.seats ? this.#seats.count : 0,
		});
	}

	#edgeOf(ifindex: number): number {
		for (const [edge, device] of this.#devices) if (device === ifindex) return edge;
		return -1;
	}
}

export function isForwarded(verdict: number): boolean {
	return verdict >= 0 && verdict < EDGES_MAX;
}

export function kernelVerdictName(verdict: number): string {
	const names = new Map([
		[PUNT, 'punt'],
		[PUNT_COPY, 'punt a copy'],
		[ANSWERED, 'answered'],
		[FANOUT, 'copies'],
		[IGNORE, 'ignore'],
	]);
	return names.get(verdict) ?? String(verdict);
}

function programOf(ingress: number): ProgramName {
	if (ingress === EDGE_WIRE) return 'from_wire';
	return ingress === EDGE_HOST ? 'from_host' : 'from_slave';
}
