/**
 * How many ICMP errors may be sent, as the kernel has it (icmp_ratelimit and icmp_msgs_per_sec in ip-sysctl.rst;
 * inet_peer_xrlim_allow and icmp_global_allow): each guest one a second with a burst of six, and all of them together
 * a thousand a second with a burst of fifty. What carries an MTU isn't held back from its guest, because without it
 * connections hang. Pure: time is told.
 */
import { EDGES_MAX } from '../verdict.js';

const INTERVAL_MS = 1000;
const BURST = 6;
const TOTAL_PER_MS = 1;
const TOTAL_BURST = 50;

export class ErrorLimit {
	/** Milliseconds saved up; each error takes INTERVAL_MS of them. */
	readonly #saved = new Float64Array(EDGES_MAX).fill(BURST * INTERVAL_MS);
	readonly #last = new Float64Array(EDGES_MAX);
	#total = TOTAL_BURST;
	#totalLast = 0;

	/** @param now milliseconds. @param always whether only the limit of all together counts. */
	allow(edge: number, now: number, always: boolean): boolean {
		const total = Math.min(TOTAL_BURST, this.#total + (now - this.#totalLast) * TOTAL_PER_MS);
		this.#total = total;
		this.#totalLast = now;
		if (total < 1) return false;
		if (!always) {
			const saved = Math.min(
				BURST * INTERVAL_MS,
				(this.#saved[edge] as number) + now - (this.#last[edge] as number),
			);
			this.#last[edge] = now;
			this.#saved[edge] = saved;
			if (saved < INTERVAL_MS) return false;
			this.#saved[edge] = saved - INTERVAL_MS;
		}
		this.#total = total - 1;
		return true;
	}
}
