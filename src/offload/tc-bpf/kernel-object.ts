/** One port's programs and maps in the kernel, empty and attached to nothing yet. */
import { fileURLToPath } from 'node:url';
import { type ModeName, modeNumbers } from '../../datapath/port-state.js';
import { type BpfMap, perCpuBytes } from '../../sys/bpf/map.js';
import { BpfObject } from '../../sys/bpf/object.js';
import { type MapName, mapShapes } from './layout.js';

export type ProgramName = 'from_slave' | 'from_wire' | 'from_host';

export interface KernelObjectOptions {
	/** Whose rules the programs have; `l2` where none is given. */
	mode?: ModeName;
	/** Tell each decision in the map `decided`, and carry out nothing that leaves the frame: for the tests. */
	observed?: boolean;
	/** Do without what Linux has from 6.2 on: slower. */
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
		const slave = options.probing ? PROBING : CASTING;
		this.object = load(options, slave);
		try {
			this.maps = Object.fromEntries(mapNames.map(name => [name, this.#map(name)])) as Record<
				MapName,
				BpfMap
			>;
			this.programs = {
				from_slave: this.object.program(slave),
				from_wire: this.object.program('from_wire'),
				from_host: this.object.program('from_host'),
			};
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

function load(options: KernelObjectOptions, slave: string): BpfObject {
	const { mode = 'l2', observed = false, path = objectPath } = options;
	const object = new BpfObject(path);
	try {
		object.leaveOut(slave === CASTING ? PROBING : CASTING);
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
/** Two forms of the slaves' program: one reads the kernel's structures, one has them copied. */
const CASTING = 'from_slave';
const PROBING = 'from_slave_probing';
