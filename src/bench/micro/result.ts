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
