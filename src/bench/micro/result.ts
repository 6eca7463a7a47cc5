import type { ProgramInfo } from '../../sys/bpf/program.js';

/** What the pure forwarder took for one kind of frame. */
export interface MicroResult {
	name: string;
	frames: number;
	nsPerFrame: number;
	/** Garbage collections during the measured frames. */
	collections: number;
	/** Optimised code thrown away during the measured frames. */
	deoptimisations: number;
}

/** What the eBPF programs took, and what they are made of. */
export interface KernelMicro {
	cases: readonly { name: string; ns: number }[];
	programs: readonly ({ name: string; mode: string } & ProgramInfo)[];
}
