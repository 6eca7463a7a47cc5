/** Applies a change to a frame thread's own copy of the port's state, between two batches. */
import type { AddressTable } from './address-table.js';
import type { StateChange } from './messages.js';
import { flagNumbers, modeNumbers, type PortState } from './port-state.js';
import { EDGE_HOST, EDGE_WIRE } from './verdict.js';

/** Where a thread's frames for an edge leave. */
export interface Interfaces {
	setInterface(edge: number, ifindex: number): void;
	/** What the master carries, and so all others: whether a longer frame may go the kernel says. */
	setMtu(mtu: number): void;
	/** What edges may receive is in the map with this descriptor; absent: each thread has buckets of its own. */
	shareBuckets(map: number | undefined): void;
}

/**
 * @param interfaces where the thread looks up which edge a frame's interface is; the slow path has none, as
 * its frames come with their edge.
 */
export function applyChange(
	change: StateChange,
	state: PortState,
	transmit: Interfaces,
	interfaces?: AddressTable,
): void {
	switch (change.kind) {
		case 'master':
			state.setMaster(change.mac);
			transmit.setInterface(EDGE_WIRE, change.ifindex);
			return;
		case 'host':
			state.host = change.enabled;
			state.hostGroups = change.groups === true;
			transmit.setInterface(EDGE_HOST, change.ifindex);
			interfaces?.set(Int32Array.of(change.ifindex), EDGE_HOST);
			return;
		case 'flag':
			state.flag = flagNumbers[change.flag];
			return;
		case 'slave-added':
			state.addSlave(change.edge, change.mac, change.learn, change.allow);
			transmit.setInterface(change.edge, change.ifindex);
			interfaces?.set(Int32Array.of(change.ifindex), change.edge);
			return;
		case 'allowed':
			state.allow(change.edge, change.allow);
			return;
		case 'slave-removed':
			interfaces?.delete(Int32Array.of(change.ifindex));
			state.removeSlave(change.edge);
			return;
		case 'assigned':
			state.assign(change.address, change.edge);
			return;
		case 'released':
			state.release(change.address);
			return;
		case 'punt':
			state.punt = change.ifindex;
			transmit.shareBuckets(change.buckets);
			return;
		case 'limits':
			state.limits.set(change.edge, change.limits);
			return;
		case 'mode':
			state.mode = modeNumbers[change.mode];
			return;
		case 'mtu':
			state.mtu = change.mtu;
			transmit.setMtu(change.mtu);
			return;
		case 'multicast-slave':
			state.multicastSlave = change.edge;
			return;
		case 'sources':
			state.routing.setSources(change.ipv4, change.ipv6);
			return;
		case 'routes':
			for (const prefix of change.remove) state.routing.remove(prefix);
			for (const { prefix, hop } of change.add) state.routing.set(prefix, hop);
			return;
		case 'neighbour':
			if (change.mac === undefined) state.routing.neighbours.delete(change.address);
			else state.routing.neighbours.set(change.address, change.slot, change.mac);
			return;
	}
}
