/** What each edge may use of the port, as one thread counts it: a bucket of each kind for each edge. */
import { BatchClock, type Bucket, type ReadClock, TokenBuckets } from './token-buckets.js';

/** Limits of one edge; what is left out has none. */
export interface EdgeLimits {
	/** Bytes from the edge: whole Ethernet frames, GSO frames as long as they are. */
	tx?: Bucket;
	/** Bytes to the edge. */
	rx?: Bucket;
	/** Frames from the edge that go to the slow path; see DHCP_PRICE. */
	slow?: Bucket;
	/** Addresses that the edge comes to own by using them. */
	learn?: Bucket;
}

/**
 * What a DHCP message takes of `slow`, in frames of other kinds; no more than the burst. On one machine with its server it
 * costs 370 µs of CPU, and others 80 to 140 µs (docs/security.md); elsewhere the server is everybody's. bpf/port.h has it too.
 */
export const DHCP_PRICE = 10;

export class Limits {
	readonly clock: BatchClock;
	readonly tx: TokenBuckets;
	readonly rx: TokenBuckets;
	readonly slow: TokenBuckets;
	readonly learn: TokenBuckets;

	constructor(read: ReadClock) {
		this.clock = new BatchClock(read);
		this.tx = new TokenBuckets(this.clock);
		this.rx = new TokenBuckets(this.clock);
		this.slow = new TokenBuckets(this.clock);
		this.learn = new TokenBuckets(this.clock);
	}

	/** Everything that the edge is limited to from now on. */
	set(edge: number, { tx, rx, slow, learn }: EdgeLimits): void {
		this.clock.expire();
		this.tx.set(edge, tx);
		this.rx.set(edge, rx);
		this.slow.set(edge, slow);
		this.learn.set(edge, learn);
	}
}
