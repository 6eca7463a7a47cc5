/**
 * Multicast between guests and the host's own programs, which join and speak on the master and know nothing of a
 * host slave. Two TC filters make the two devices one link for groups:
 *
 *   master, egress         what the host sends to a group: a copy into the host slave, from where guests get it
 *   host slave, ingress    what guests send to a group: on into the master, as if it had come in there
 *
 * So a program on the master hears guests and is heard by them, as it hears the LAN; on the host slave there is no
 * multicast at all, or a program that speaks on every device would be heard twice. Our own frames bear a mark, by
 * which neither filter, nor the master's ring, takes them for somebody else's.
 */
import { readFileSync } from 'node:fs';
import { guestGroupsFilter, hostGroupsFilter } from '../../datapath/filter/programs.js';
import type { Logger } from '../../log.js';
import { NetlinkError } from '../../sys/netlink/error.js';
import { getLink, type Link, setLink } from '../../sys/netlink/link.js';
import {
	deleteClsact,
	deleteFilter,
	ensureClsact,
	type Filter,
	listFilters,
	replaceDivertingFilter,
} from '../../sys/netlink/tc.js';
import { parseMac } from '../../wire/ethernet.js';

/** As in shield.ts, which has the ingress of the master. */
const KEY = { priority: 0x4976, handle: 1 } as const;

export class HostGroups {
	readonly #master: number;
	readonly #hostSlave: number;
	readonly #strict: boolean;
	#madeClsact = false;

	private constructor({ ifindex, name }: Link, hostSlave: number) {
		this.#master = ifindex;
		this.#hostSlave = hostSlave;
		this.#strict = isStrict(name);
	}

	/**
	 * @param hostSlave ifindex of the host's end; it goes with its filters.
	 * @returns undefined where the kernel can't: then groups reach the host on the host slave's device alone.
	 */
	static open(master: Link, hostSlave: number, log: Logger): HostGroups | undefined {
		const groups = new HostGroups(master, hostSlave);
		try {
			groups.#divert(master, log);
			return groups;
		} catch (error) {
			groups.close(true);
			if (!(error instanceof NetlinkError)) throw error;
			log.warn(
				{ master: master.name, reason: error.message },
				"programs on the master and guests do not hear each other's multicast: is act_mirred missing?",
			);
			return undefined;
		}
	}

	/** The master's MAC has changed. */
	follow({ mac }: Link): void {
		const program = hostGroupsFilter(parseMac(mac));
		const filter = { ...KEY, program };
		try {
			replaceDivertingFilter(this.#master, 'egress', filter, { kind: 'mirror-egress', to: this.#hostSlave });
		} catch (error) {
			// The master has gone meanwhile: the port is about to be closed.
			if (getLink(this.#master) || !(error instanceof NetlinkError)) throw error;
		}
	}

	/** @param exists whether the master is still there. */
	close(exists: boolean): void {
		if (!exists) return;
		deleteFilter(this.#master, 'egress', KEY);
		if (!this.#madeClsact) return;
		const others = [...listFilters(this.#master, 'ingress'), ...listFilters(this.#master, 'egress')];
		if (others.length === 0) deleteClsact(this.#master);
	}

	/** Somebody has taken filters off a device. @returns whether one of ours was missing; it isn't any more. */
	mend(ifindex: number, master: Link): boolean {
		if (ifindex === this.#hostSlave && !listFilters(ifindex, 'ingress').some(isOurs)) {
			this.#divertGuests();
			return true;
		}
		if (ifindex === this.#master && !listFilters(ifindex, 'egress').some(isOurs)) {
			if (ensureClsact(ifindex)) this.#madeClsact = true;
			this.follow(master);
			return true;
		}
		return false;
	}

	#divert(master: Link, log: Logger): void {
		if (this.#strict) {
			log.warn(
				{ master: master.name },
				`programs on ${master.name} do not hear the guests' IPv4 multicast: rp_filter is strict; sysctl net.ipv4.conf.${master.name}.rp_filter=2 would do`,
			);
		}
		this.#divertGuests();
		// One that a killed daemon has left behind made clsact ours then, in another life.
		const left = listFilters(master.ifindex, 'egress').some(isOurs);
		this.#madeClsact = ensureClsact(master.ifindex) || left;
		this.follow(master);
		if (!this.#strict) setLink(this.#hostSlave, { multicast: false });
	}

	#divertGuests(): void {
		ensureClsact(this.#hostSlave);
		const filter = { ...KEY, program: guestGroupsFilter(!this.#strict) };
		replaceDivertingFilter(this.#hostSlave, 'ingress', filter, {
			kind: 'redirect-ingress',
			to: this.#master,
		});
	}
}

function isOurs({ priority, handle }: Filter): boolean {
	return priority === KEY.priority && handle === KEY.handle;
}

/**
 * Whether the kernel drops what comes from an address that it would not reach by this device: guests' addresses are
 * routed to the host slave. The larger of the two settings counts (Documentation/networking/ip-sysctl.rst).
 */
function isStrict(master: string): boolean {
	const read = (name: string): number => {
		try {
			return Number(readFileSync(`/proc/sys/net/ipv4/conf/${name}/rp_filter`, 'utf8'));
		} catch {
			return 0;
		}
	};
	return Math.max(read('all'), read(master)) === 1;
}
