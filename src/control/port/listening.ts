/**
 * What the master's card listens to for its slaves. As long as every slave's groups are known, and they are few, it
 * joins these and no others; else it receives all multicast. It never becomes promiscuous. What it joins is also
 * what the ring's filter lets through, because many cards, and all virtual ones, hear more than they are asked to.
 */
import { keyOf } from '../../datapath/address-key.js';
import { HIGH_4, HIGH_6, type Wanted } from '../../datapath/groups.js';
import { closeFd } from '../../sys/fd.js';
import { SysError } from '../../sys/libc.js';
import { changeMembership, openMembership } from '../../sys/packet.js';
import { formatMac } from '../../wire/ethernet.js';
import type { GroupsReport } from './frame-threads.js';

/** Cards filter some dozen addresses exactly (16 on many, 128 on better ones), and hear all multicast beyond that. */
const JOINED_MAX = 64;
/** All systems, all nodes: what nobody reports because everybody is in it. */
const always = ['01:00:5e:00:00:01', '33:33:00:00:00:01'];

/** A slave's groups, for people. */
export interface SlaveGroups {
	inet: 'all' | string[];
	inet6: 'all' | string[];
	/** Joins beyond the quota; absent while there are none. */
	refused?: number;
}

export class Listening {
	readonly #master: number;
	readonly #fd: number;
	/** Is told which group MACs matter from now on; undefined: all do. */
	changed: (macs: string[] | undefined) => void = () => {};
	readonly #slaves = new Map<number, Pick<GroupsReport, 'inet' | 'inet6' | 'refused'>>();
	/** How many want each group; addresses want their solicited-node group. */
	readonly #wanted = new Map<string, number>();
	/** Slaves that want all groups of a family. */
	#greedy = 0;
	readonly #joined = new Set<string>();
	#all = false;
	#closed = false;

	/** @throws SysError. */
	constructor(master: number) {
		this.#master = master;
		this.#fd = openMembership();
		for (const mac of always) this.#wanted.set(mac, 1);
	}

	/** A slave begins; until more is known it may want anything. */
	add(edge: number): void {
		this.set({ edge, inet: 'all', inet6: 'all', refused: 0 });
	}

	set({ edge, inet, inet6, refused }: Omit<GroupsReport, 'kind' | 'exact'>): void {
		this.#forget(edge);
		this.#slaves.set(edge, { inet, inet6, refused });
		if (isGreedy(inet, inet6)) this.#greedy++;
		for (const mac of macsOf(inet, inet6)) this.#count(mac, 1);
		this.#follow();
	}

	remove(edge: number): void {
		this.#forget(edge);
		this.#follow();
	}

	addAddress(address: string): void {
		this.#countSolicitedNode(address, 1);
	}

	removeAddress(address: string): void {
		this.#countSolicitedNode(address, -1);
	}

	groups(edge: number): SlaveGroups {
		const { inet = 'all', inet6 = 'all', refused = 0 } = this.#slaves.get(edge) ?? {};
		return { inet: namesOf(inet), inet6: namesOf(inet6), ...(refused > 0 ? { refused } : {}) };
	}

	close(): void {
		if (this.#closed) return;
		this.#closed = true;
		closeFd(this.#fd);
	}

	#forget(edge: number): void {
		const before = this.#slaves.get(edge);
		if (!before) return;
		this.#slaves.delete(edge);
		if (isGreedy(before.inet, before.inet6)) this.#greedy--;
		for (const mac of macsOf(before.inet, before.inet6)) this.#count(mac, -1);
	}

	/** ff02::1:ff00:0/104 and the last three bytes (RFC 4291, 2.7.1). */
	#countSolicitedNode(address: string, by: number): void {
		const { family, words } = keyOf(address);
		if (family === 4) return;
		this.#count(macOf(HIGH_6, 0xff000000 | ((words[3] as number) & 0xffffff)), by);
		this.#follow();
	}

	#count(mac: string, by: number): void {
		const count = (this.#wanted.get(mac) ?? 0) + by;
		if (count > 0) this.#wanted.set(mac, count);
		else this.#wanted.delete(mac);
	}

	/** Joins before it leaves, so that nothing is missed in between. */
	#follow(): void {
		if (this.#closed) return;
		const few = this.#wanted.size <= JOINED_MAX;
		const all = this.#greedy > 0 || !few;
		const wanted = few ? this.#wanted : new Map<string, number>();
		let changed = all !== this.#all;
		if (all && !this.#all) this.#change('join');
		for (const mac of wanted.keys()) {
			if (this.#joined.has(mac)) continue;
			this.#change('join', mac);
			this.#joined.add(mac);
			changed = true;
		}
		if (!all && this.#all) this.#change('leave');
		for (const mac of this.#joined) {
			if (wanted.has(mac)) continue;
			this.#change('leave', mac);
			this.#joined.delete(mac);
			changed = true;
		}
		this.#all = all;
		if (changed) this.changed(all ? undefined : [...this.#joined]);
	}

	#change(change: 'join' | 'leave', mac?: string): void {
		try {
			changeMembership(this.#fd, this.#master, change, mac);
		} catch (error) {
			// The master is gone, and its memberships with it; its port is about to be closed.
			if (!(error instanceof SysError) || !['ENODEV', 'EADDRNOTAVAIL'].includes(error.code)) throw error;
		}
	}
}

function isGreedy(inet: Wanted, inet6: Wanted): boolean {
	return inet === 'all' || inet6 === 'all';
}

function macsOf(inet: Wanted, inet6: Wanted): Set<string> {
	const lows = (wanted: Wanted) => (wanted === 'all' ? [] : wanted.lows);
	return new Set([
		...lows(inet).map(low => macOf(HIGH_4, low)),
		...lows(inet6).map(low => macOf(HIGH_6, low)),
	]);
}

function macOf(high: number, low: number): string {
	return formatMac({ high, low });
}

function namesOf(wanted: Wanted): 'all' | string[] {
	return wanted === 'all' ? wanted : [...wanted.names].sort();
}
