/**
 * Keeps track of the groups that a port's slaves want: hears their reports, asks for them, lets memberships age, and
 * tells control what came of it. What is known, and what follows from it, is in ../groups.ts.
 *
 *   guest comes     nothing is known: all groups, and two queries
 *   every 125 s     a query of each family, unless QEMU's rx-filter says it all
 *   guest goes      nothing is known
 */
import { ETH_TYPE, ETHERNET_HEADER, ETHERTYPE_IPV4, ETHERTYPE_IPV6 } from '../../wire/ethernet.js';
import { GroupRecords, NOT_A_REPORT } from '../../wire/group-report.js';
import { readIgmpReport } from '../../wire/igmp.js';
import { readMldReport } from '../../wire/mld.js';
import { Groups, MEMBERSHIP_MS, type RxFilter, SETTLE_MS } from '../groups.js';
import type { Report } from '../messages.js';
import type { PortState } from '../port-state.js';
import { COPY, type Region } from '../transmit.js';
import { QUERY_MS, Querier, STARTUP_QUERY_MS } from './querier.js';
import type { FrameSink } from './slowpath.js';

export interface GroupKeeperOptions {
	state: PortState;
	sink: FrameSink;
	/** Milliseconds since 1970; must not go back. */
	now: () => number;
	report: (report: Report) => void;
}

/** Between two reports to control, whatever a guest joins and leaves: control has better things to do. */
const REPORT_MS = 50;
const NEVER = Number.POSITIVE_INFINITY;

export class GroupKeeper {
	readonly groups = new Groups();
	readonly #options: GroupKeeperOptions;
	readonly #records = new GroupRecords();
	readonly #querier = new Querier();
	/** Slaves with a guest, and when each is to be asked. */
	readonly #queries = new Map<number, number>();
	/** Those that have been asked at most once. */
	readonly #newcomers = new Set<number>();
	#nextQuery = NEVER;
	#nextAgeing = NEVER;
	#nextReport = 0;

	constructor(options: GroupKeeperOptions) {
		this.#options = options;
	}

	open(edge: number): void {
		this.groups.open(edge);
	}

	close(edge: number): void {
		this.#queries.delete(edge);
		this.#newcomers.delete(edge);
		this.groups.close(edge);
	}

	/** Another guest may be another system: what is known of the one before is worth nothing. */
	setGuest(edge: number, present: boolean): void {
		const now = this.#options.now();
		const settledAt = now + SETTLE_MS;
		this.#queries.delete(edge);
		this.groups.open(edge, settledAt);
		this.#nextAgeing = Math.min(this.#nextAgeing, settledAt);
		if (!present) return;
		this.#newcomers.add(edge);
		this.#ask(edge, now);
	}

	setFilter(edge: number, filter: RxFilter | undefined): void {
		this.groups.setFilter(edge, filter);
		if (filter === undefined && this.#queries.has(edge)) this.#ask(edge, this.#options.now());
	}

	setHostAddresses(addresses: readonly string[]): void {
		this.#querier.setHostAddresses(addresses);
	}

	/** Hears what a guest says of its groups. @returns whether that is what the frame is about. */
	hear(frame: DataView, at: number, edge: number): boolean {
		const type = frame.getUint16(at + ETH_TYPE);
		if (type !== ETHERTYPE_IPV4 && type !== ETHERTYPE_IPV6) return false;
		const l3 = at + ETHERNET_HEADER;
		const records = this.#records;
		const family = type === ETHERTYPE_IPV4 ? 4 : 6;
		const count = family === 4 ? readIgmpReport(frame, l3, records) : readMldReport(frame, l3, records);
		if (count < 0) return count !== NOT_A_REPORT;
		const now = this.#options.now();
		for (let index = 0; index < count; index++) {
			const group = records.at[index] as number;
			if (records.joined[index] === 1) this.groups.join(edge, family, frame, group, now);
			else this.groups.leave(edge, family, frame, group);
		}
		this.groups.heard(edge, family);
		this.#nextAgeing = Math.min(this.#nextAgeing, now + MEMBERSHIP_MS);
		return true;
	}

	/** Does what is due. @returns when something is again, or Infinity. */
	tick(now: number): number {
		if (this.#nextQuery <= now) this.#query(now);
		if (this.#nextAgeing <= now) this.#nextAgeing = this.groups.expire(now) ?? NEVER;
		const { changed } = this.groups;
		if (changed.size > 0 && this.#nextReport <= now) this.#report(now);
		return Math.min(this.#nextQuery, this.#nextAgeing, changed.size > 0 ? this.#nextReport : NEVER);
	}

	dispose(): void {
		this.#querier.close();
	}

	#ask(edge: number, now: number): void {
		this.#queries.set(edge, now);
		this.#nextQuery = now;
	}

	#query(now: number): void {
		const { sink, state } = this.#options;
		// Copies of the last query may still wait to be sent.
		sink.flush();
		this.#querier.write(state);
		const { region, igmpAt, igmpLength, mldAt, mldLength } = this.#querier;
		this.#nextQuery = NEVER;
		for (const [edge, due] of this.#queries) {
			let next = due;
			if (due <= now) {
				next = now + (this.#newcomers.delete(edge) ? STARTUP_QUERY_MS : QUERY_MS);
				this.#queries.set(edge, next);
				if (!this.groups.hasFilter(edge)) {
					this.#copy(region, igmpAt, igmpLength, edge);
					this.#copy(region, mldAt, mldLength, edge);
				}
			}
			if (next < this.#nextQuery) this.#nextQuery = next;
		}
	}

	#copy(region: Region, at: number, length: number, edge: number): void {
		const { sink } = this.#options;
		if (sink.full) sink.flush();
		sink.add(region, at, length, edge, COPY);
	}

	#report(now: number): void {
		const { groups } = this;
		for (const edge of groups.changed) {
			this.#options.report({
				kind: 'groups',
				edge,
				inet: groups.wanted(edge, 4),
				inet6: groups.wanted(edge, 6),
				exact: groups.exact[edge] === 1,
				refused: groups.refused(edge),
			});
		}
		groups.changed.clear();
		this.#nextReport = now + REPORT_MS;
	}
}
