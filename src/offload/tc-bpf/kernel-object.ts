/**
 * One port's programs and maps in the kernel, attached to nothing yet. Maps may be those of a daemon before this one:
 * then what they hold holds on.
 */
import { fileURLToPath } from 'node:url';
import { type BpfMap, perCpuBytes } from '../../sys/bpf/map.js';
import { BpfObject } from '../../sys/bpf/object.js';
import { type MapName, mapShapes } from './layout.js';

export const programNames = ['from_slave', 'from_wire', 'from_host'] as const;
export type ProgramName = (typeof programNames)[number];

export interface KernelObjectOptions {
	/** Tell each decision in the map `decided`, and carry out nothing that leaves the frame: for the tests. */
	observed?: boolean;
	/** Descriptors of maps to use instead of new ones. */
	reuse?: ReadonlyMap<MapName, number>;
}

export class KernelObject {
	readonly maps: Readonly<Record<MapName, BpfMap>>;
	readonly programs: Readonly<Record<ProgramName, number>>;
	readonly #object: BpfObject;

	/** Loads the programs. @throws IpvtapError, SysError. */
	constructor({ observed = false, reuse = new Map() }: KernelObjectOptions = {}) {
		this.#object = new BpfObject(objectPath);
		try {
			if (observed) this.#object.setConstant(OBSERVED, 1);
			for (const [name, fd] of reuse) this.#object.reuse(name, fd);
			this.#object.load();
			this.maps = Object.fromEntries(mapNames.map(name => [name, this.#map(name)])) as Record<
				MapName,
				BpfMap
			>;
			this.programs = Object.fromEntries(
				programNames.map(name => [name, this.#object.program(name)]),
			) as Record<ProgramName, number>;
		} catch (error) {
			this.#object.close();
			throw error;
		}
	}

	close(): void {
		this.#object.close();
	}

	#map(name: MapName): BpfMap {
		const shape = mapShapes[name];
		return this.#object.map(name, shape.key, 'perCpu' in shape ? perCpuBytes(shape.value) : shape.value);
	}
}

export const mapNames = Object.keys(mapShapes) as MapName[];

/** Committed beside its source, and rebuilt by a test (test/unit/offload/object.test.ts). */
const objectPath = fileURLToPath(new URL('../../../../bpf/ipvtap.bpf.o', import.meta.url));
/** Where `observed` lies in the section of constants. */
const OBSERVED = 0;
