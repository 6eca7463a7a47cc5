/** Where the forwarder takes frames from: a ring, or a socket that stands in for one. */

import type { SendRing } from '../send-ring.js';
import type { Region } from '../transmit.js';

export interface FrameSource {
	/** To wait for, and to ask for drops and errors. */
	readonly fd: number;
	/** The frame that `next` found: its memory, where it lies in it, how long it is (0: lost), who sent it. */
	readonly region: Region;
	readonly at: number;
	readonly length: number;
	readonly ifindex: number;
	/** The VLAN tag that the kernel has taken out of the frame, if `status` says that there was one. */
	readonly tag: number;
	/** What frames of this source leave by when they are short; undefined: by messages alone. */
	readonly sendRing: SendRing | undefined;
	/** TP_STATUS_* bits. */
	readonly status: number;
	/** Goes to the next frame. It and those before it stay where they are until `release`. @returns false if there is none. */
	next(): boolean;
	/** The batch has been sent or copied: its memory may be used again. */
	release(): void;
	close(): void;
}
