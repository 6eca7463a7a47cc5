/**
 * General queries to slaves. On a LAN without a querier nobody asks who listens, memberships would age unseen, and
 * after a restart of the daemon nothing would ever be known again. They go to slaves alone: on the wire they could
 * make a switch believe that a router is here.
 */
import { type Mapping, mapShared, unmap } from '../../sys/memory.js';
import { writeIgmpQuery } from '../../wire/igmp.js';
import { linkLocalOf } from '../../wire/ip.js';
import { writeMldQuery } from '../../wire/mld.js';
import { keyOf } from '../address-key.js';
import type { PortState } from '../port-state.js';
import { type Region, regionOf } from '../transmit.js';

/** RFC 3376, 8.2. */
export const QUERY_MS = 125_000;
/** Until the second query: a quarter of the interval, in case the first was lost (RFC 3376, 8.6 and 8.7). */
export const STARTUP_QUERY_MS = QUERY_MS / 4;

export class Querier {
	readonly #memory: Mapping = mapShared(4096);
	/** Where the queries lie, each behind an empty virtio header, until they are written anew. */
	readonly region: Region = regionOf(this.#memory);
	readonly igmpAt = 32;
	readonly mldAt = 160;
	igmpLength = 0;
	mldLength = 0;
	/** The host's link-local address on the master. */
	#hostLinkLocal: DataView | undefined;

	setHostAddresses(addresses: readonly string[]): void {
		const linkLocal = addresses.find(address => address.startsWith('fe80:'));
		this.#hostLinkLocal = linkLocal === undefined ? undefined : keyOf(linkLocal).bytes;
	}

	/** Writes both queries in the master's name. */
	write(state: PortState): void {
		const { frame } = this.region;
		const source = { high: state.masterHigh, low: state.masterLow };
		const address = this.#hostLinkLocal ?? linkLocalOf(source);
		this.igmpLength = writeIgmpQuery(frame, this.igmpAt, source);
		this.mldLength = writeMldQuery(frame, this.mldAt, { ...source, address });
	}

	close(): void {
		unmap(this.#memory);
	}
}
