/**
 * Keeps the host's stack and the forwarder apart. AF_PACKET only copies frames, so TC drops at the ingress of
 * every guest-facing device, and on the master what is for a guest's address; the same addresses and devices
 * make the filters that choose what the forwarder's rings receive.
 */
import { type AddressKey, keyOf } from '../../datapath/address-key.js';
import { INSTRUCTIONS_MAX } from '../../datapath/filter/classic-bpf.js';
import {
	masterDropFilter,
	masterQuestionsFilter,
	masterRingFilter,
	slaveDropFilter,
	slaveRingFilter,
} from '../../datapath/filter/programs.js';
import type { RingName } from '../../datapath/messages.js';
import {
	deleteClsact,
	deleteFilter,
	ensureClsact,
	type Filter,
	listFilters,
	replaceClassicFilter,
} from '../../sys/netlink/tc.js';
import { setFilter } from '../../sys/packet.js';

/** Priority of our first filter: behind nobody's who asks for less, before tc's own default of 49152. */
const PRIORITY = 0x4976;
const HANDLE = 1;
/** Addresses of one filter on the master, so that its program stays within the kernel's limit. */
const CHUNK = 256;

export class Shield {
	readonly #master: number;
	#slavesSocket: number;
	#masterSocket: number;
	readonly #interfaces = new Set<number>();
	/** Places of the addresses: an address keeps its filter, so that no exchange leaves it uncovered. */
	readonly #chunks: Map<string, AddressKey>[] = [];
	/** Group MACs that the master's ring is to receive; undefined: all. */
	#groups: readonly string[] | undefined;
	/** Whether the host's stack takes what is for the guests' addresses. */
	#left = false;
	/** Devices whose clsact we made, and so take away again. */
	readonly #made = new Set<number>();

	/** @param slavesSocket, masterSocket those of the rings. */
	constructor(master: number, slavesSocket: number, masterSocket: number) {
		this.#master = master;
		this.#slavesSocket = slavesSocket;
		this.#masterSocket = masterSocket;
		this.#sweep();
	}

	/** Another socket receives in a ring's place; the old one gets nothing more. */
	replaceSocket(ring: RingName, fd: number): void {
		if (ring === 'slaves') {
			setFilter(this.#slavesSocket, slaveRingFilter([]));
			this.#slavesSocket = fd;
			this.#filterSlaves();
		} else {
			// Group frames pass every filter for the master, so the old ring is left to its jam.
			this.#masterSocket = fd;
			this.#filterMaster();
		}
	}

	/** From now on nothing that comes from the device reaches the host's stack, and all of it the forwarder. */
	addInterface(ifindex: number): void {
		if (listFilters(ifindex, 'ingress').some(isOurs)) this.#made.add(ifindex);
		this.#close(ifindex);
		this.#interfaces.add(ifindex);
		this.#filterSlaves();
	}

	/** Somebody has taken filters off a device. @returns whether one of ours was missing; it isn't any more. */
	mend(ifindex: number): boolean {
		const isInterface = this.#interfaces.has(ifindex);
		if (!isInterface && (ifindex !== this.#master || this.#left)) return false;
		const here = new Set(
			listFilters(ifindex, 'ingress')
				.filter(isOurs)
				.map(({ priority }) => priority),
		);
		if (isInterface) {
			if (here.has(PRIORITY)) return false;
			this.#close(ifindex);
			return true;
		}
		const missing = [...this.#chunks.keys()].filter(
			index => this.#chunks[index]?.size !== 0 && !here.has(PRIORITY + index),
		);
		for (const index of missing) this.#writeChunk(index);
		return missing.length > 0;
	}

	/** For others who hang filters on a device: it has a clsact, which goes when nobody needs it. */
	ensureClsact(ifindex: number): void {
		if (ensureClsact(ifindex)) this.#made.add(ifindex);
	}

	/** @param devices with `exists`: whether it is still there. */
	removeInterfaces(devices: readonly { ifindex: number; exists: boolean }[]): void {
		const ours = devices.filter(({ ifindex }) => this.#interfaces.delete(ifindex));
		if (ours.length > 0) this.#filterSlaves();
		for (const { ifindex, exists } of ours) {
			if (exists) this.#unhook(ifindex, PRIORITY);
			this.#made.delete(ifindex);
		}
	}

	/**
	 * From now on what is for the guests' addresses is the host's, or is ours again. The ring lets go before the host gets
	 * them, and the host before the ring takes them: for a moment a frame is lost, and none is handled twice.
	 */
	leaveAddresses(left: boolean): void {
		if (left === this.#left) return;
		this.#left = left;
		if (left) this.#filterMaster();
		for (const index of this.#chunks.keys()) this.#writeChunk(index);
		if (!left) this.#filterMaster();
	}

	addAddress(address: string): void {
		if (this.#chunkOf(address) !== undefined) return;
		let index = this.#chunks.findIndex(({ size }) => size < CHUNK);
		if (index < 0) index = this.#chunks.push(new Map()) - 1;
		this.#chunks[index]?.set(address, keyOf(address));
		this.#writeChunk(index);
		this.#filterMaster();
	}

	removeAddress(address: string): void {
		const index = this.#chunkOf(address);
		if (index === undefined) return;
		this.#chunks[index]?.delete(address);
		this.#filterMaster();
		this.#writeChunk(index);
	}

	/** @param macs the groups that slaves want; undefined: any. */
	setGroups(macs: readonly string[] | undefined): void {
		this.#groups = macs;
		this.#filterMaster();
	}

	/** @param exists whether the master is still there. */
	close(exists: boolean): void {
		if (!exists) return;
		for (const index of this.#chunks.keys()) deleteFilter(this.#master, 'ingress', key(index));
		this.#dropClsact(this.#master);
	}

	#close(ifindex: number): void {
		if (ensureClsact(ifindex)) this.#made.add(ifindex);
		replaceClassicFilter(ifindex, 'ingress', {
			priority: PRIORITY,
			handle: HANDLE,
			program: slaveDropFilter(),
		});
	}

	#chunkOf(address: string): number | undefined {
		const index = this.#chunks.findIndex(chunk => chunk.has(address));
		return index < 0 ? undefined : index;
	}

	#writeChunk(index: number): void {
		const addresses = [...(this.#chunks[index]?.values() ?? [])];
		if (addresses.length === 0 || this.#left) {
			deleteFilter(this.#master, 'ingress', key(index));
			return;
		}
		if (ensureClsact(this.#master)) this.#made.add(this.#master);
		replaceClassicFilter(this.#master, 'ingress', { ...key(index), program: masterDropFilter(addresses) });
	}

	#filterSlaves(): void {
		attachShortest(this.#slavesSocket, most => slaveRingFilter(this.#interfaces, most));
	}

	#filterMaster(): void {
		const addresses = this.#chunks.flatMap(chunk => [...chunk.values()]);
		const [left, groups] = [this.#left, this.#groups];
		attachShortest(this.#masterSocket, most =>
			left ? masterQuestionsFilter(addresses, most) : masterRingFilter(addresses, most, groups),
		);
	}

	/** What a daemon that was killed has left behind would drop frames for addresses that nobody has any more. */
	#sweep(): void {
		for (const filter of listFilters(this.#master, 'ingress').filter(isOurs)) {
			this.#made.add(this.#master);
			if (filter.priority >= PRIORITY) deleteFilter(this.#master, 'ingress', filter);
		}
	}

	#unhook(ifindex: number, priority: number): void {
		deleteFilter(ifindex, 'ingress', { priority, handle: HANDLE });
		this.#dropClsact(ifindex);
	}

	/** Somebody may have hung a filter of theirs on the clsact that we made: then it stays. */
	#dropClsact(ifindex: number): void {
		if (!this.#made.delete(ifindex)) return;
		const others = [...listFilters(ifindex, 'ingress'), ...listFilters(ifindex, 'egress')];
		if (others.length === 0) deleteClsact(ifindex);
	}
}

/**
 * One of ours, the offload's just before them among them: where a daemon before this has left one, clsact is ours too, as
 * nobody but that daemon could have made it for them.
 */
function isOurs({ kind, handle, priority }: Filter): boolean {
	return kind === 'bpf' && handle === HANDLE && priority >= PRIORITY - 1 && priority < PRIORITY + CHUNK;
}

function key(chunk: number): { priority: number; handle: number } {
	return { priority: PRIORITY + chunk, handle: HANDLE };
}

/**
 * Attaches the most exact filter that the kernel takes: its length is limited, and before Linux 6.9 also by
 * net.core.optmem_max, which allows some 2500 instructions. A less exact one only costs copies.
 */
function attachShortest(fd: number, make: (most: number) => Uint8Array): void {
	for (let most = 600; ; most >>= 1) {
		const program = make(most);
		if (program.length > INSTRUCTIONS_MAX * 8) continue;
		try {
			setFilter(fd, program);
			return;
		} catch (error) {
			if (most <= 1) throw error;
		}
	}
}
