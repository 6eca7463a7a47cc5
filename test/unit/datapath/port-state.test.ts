import test from 'ava';
import {
	BACKLOGGED,
	clearEdge,
	DROPS,
	FORWARDED,
	IN_PACKETS,
	readEdge,
	STRIDE,
	UNBACKLOGGED,
	WAITING,
} from '../../../src/datapath/counters.js';
import { PortState } from '../../../src/datapath/port-state.js';
import { drop } from '../../../src/datapath/verdict.js';
import { host, MASTER, slaves, standardPort, vm1, vm2, vm3 } from '../../helpers/world.js';

test('the standard port knows who owns what', t => {
	const state = standardPort();
	t.is(state.ownerOf(host.ipv4), 1);
	t.is(state.ownerOf(vm1.ipv4), vm1.edge);
	t.is(state.ownerOf(vm2.linkLocal), vm2.edge);
	t.is(state.ownerOf(vm3.ipv6), 0);
	t.deepEqual(
		[...state.slaves.subarray(0, state.slaveCount)],
		slaves.map(({ edge }) => edge),
	);
});

test('an address has one owner, and owners are counted', t => {
	const state = standardPort();
	state.assign(vm1.ipv4, vm2.edge);
	t.is(state.ownerOf(vm1.ipv4), vm2.edge);
	t.is(state.owned4[vm1.edge], 0);
	t.is(state.owned4[vm2.edge], 2);
	state.release(vm1.ipv4);
	state.release(vm1.ipv4);
	t.is(state.ownerOf(vm1.ipv4), 0);
	t.is(state.owned4[vm2.edge], 1);
});

test('slaves stay dense when one of them goes, whoever it is', t => {
	const state = new PortState(1);
	state.setMaster(MASTER);
	for (const { edge, mac } of slaves) state.addSlave(edge, mac, true);
	state.removeSlave(vm2.edge);
	state.removeSlave(vm2.edge);
	t.deepEqual([...state.slaves.subarray(0, state.slaveCount)].sort(), [vm1.edge, vm3.edge, 5]);
	t.is(state.learns[vm2.edge], 0);
	for (const { edge } of slaves) state.removeSlave(edge);
	t.is(state.slaveCount, 0);
});

test('counters of one edge are the sum over all threads, and can be forgotten', t => {
	const blocks = [new Float64Array(STRIDE * 4), new Float64Array(STRIDE * 4)];
	for (const block of blocks) {
		block[2 * STRIDE + IN_PACKETS] = 5;
		block[2 * STRIDE + FORWARDED] = 3;
		block[2 * STRIDE + DROPS - drop('ip-spoof')] = 2;
		block[3 * STRIDE + IN_PACKETS] = 100;
	}
	const counters = readEdge(blocks, 2);
	t.is(counters.in.packets, 10);
	t.is(counters.forwarded, 6);
	t.deepEqual(counters.drops, { 'ip-spoof': 4 });
	clearEdge(blocks, 2);
	t.is(readEdge(blocks, 2).in.packets, 0);
	t.is(readEdge(blocks, 3).in.packets, 200);
});

test('frames that are on their way when a slave’s number is given to another are counted to the end', t => {
	const [own, slow] = [new Float64Array(STRIDE * 3), new Float64Array(STRIDE * 3)];
	own[2 * STRIDE + BACKLOGGED] = 5;
	slow[2 * STRIDE + UNBACKLOGGED] = 2;
	slow[2 * STRIDE + WAITING] = 1;
	clearEdge([own, slow], 2);
	t.is(readEdge([own, slow], 2).queued, 4);
	slow[2 * STRIDE + UNBACKLOGGED] = 5;
	slow[2 * STRIDE + WAITING] = 0;
	t.is(readEdge([own, slow], 2).queued, 0);
});
