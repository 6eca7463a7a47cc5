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

/** Instructions that a frame takes, from the system call that writes it to the one that has read it. */
export interface Instructions {
	/** Of the emulated machine, as `uname -r` gives it. */
	kernel: string;
	counts: readonly { peer: string; path: string; instructions: number }[];
	/** What couldn't be counted, and why. */
	failed: readonly { name: string; why: string }[];
}

/** Name of the path that the goal is about. */
export const GUEST_TO_GUEST = 'guest to guest';
