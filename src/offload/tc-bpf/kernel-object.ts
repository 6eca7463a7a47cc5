/** One port's programs and maps in the kernel, empty and attached to nothing yet. */
import { fileURLToPath } from 'node:url';
import { type ModeName, modeNumbers } from '../../datapath/port-state.js';
import { type BpfMap, perCpuBytes } from '../../sys/bpf/map.js';
import { BpfObject } from '../../sys/bpf/object.js';
import { type MapName, mapShapes } from './layout.js';

export type ProgramName = (typeof programNames)[number];

export interface KernelObjectOptions {
	/** Whose rules the programs have; `l2` where none is given. */
	mode?: ModeName;
	/** Tell each decision in the map `decided`, and carry out nothing that leaves the frame: for the tests. */
	observed?: boolean;
	/** Do without what Linux has from 6.2 on: slower, and no copies are made. */
	probing?: boolean;
	/** Another build of the same programs: for the tests. */
	path?: string;
}

export class KernelObject {
	readonly maps: Readonly<Record<MapName, BpfMap>>;
	readonly programs: Readonly<Record<ProgramName, number>>;
	readonly object: BpfObject;

	/** Loads the programs. @throws IpvtapError, SysError. */
	constructor(options: KernelObjectOptions = {}) {
		this.object = load(options);
		try {
			this.maps = Object.fromEntries(mapNames.map(name => [name, this.#map(name)])) as Record<
				MapName,
				BpfMap
			>;
			this.programs = Object.fromEntries(
				programNames.map(name => [name, this.object.program(formOf(name, options.probing))]),
			) as Record<ProgramName, number>;
		} catch (error) {
			this.object.close();
			throw error;
		}
	}

	close(): void {
		this.object.close();
	}

	#map(name: MapName): BpfMap {
		const shape = mapShapes[name];
		return this.object.map(name, shape.key, 'perCpu' in shape ? perCpuBytes(shape.value) : shape.value);
	}
}

function load({ mode = 'l2', observed = false, probing, path = objectPath }: KernelObjectOptions): BpfObject {
	const object = new BpfObject(path);
	try {
		for (const name of programNames) object.leaveOut(formOf(name, !probing));
		if (observed) object.setConstant(OBSERVED, 1);
		object.setConstant(MODE, modeNumbers[mode]);
		object.load();
		return object;
	} catch (error) {
		object.close();
		throw error;
	}
}

const mapNames = Object.keys(mapShapes) as MapName[];

/** Committed beside its source, and rebuilt by a test (test/unit/offload/object.test.ts). */
const objectPath = fileURLToPath(new URL('../../../../bpf/ipvtap.bpf.o', import.meta.url));
/** Where `observed` and `mode` lie in the section of constants. */
const OBSERVED = 0;
const MODE = 4;
export const programNames = ['from_slave', 'from_wire', 'from_host'] as const;

/** Two forms of each program: one for what Linux has from 6.2 on. */
function formOf(name: ProgramName, probing = false): string {
	return probing ? `${name}_probing` : name;
}
