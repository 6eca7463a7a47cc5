/** Seats for copies, in the programs' own maps: given, freed, and given to who had to stand. */
import test from 'ava';
import { KernelObject } from '../../../src/offload/tc-bpf/kernel-object.js';
import { indexBytes, SEATS_MAX } from '../../../src/offload/tc-bpf/layout.js';
import { Seats } from '../../../src/offload/tc-bpf/seats.js';

const { maps, object } = new KernelObject({ observed: true });
test.after.always(() => object.close());

const FIRST = 2;
const everything = { inet: 'all', inet6: 'all', exact: false } as const;

test('no copies are made where somebody has no seat, until somebody leaves', t => {
	const seats = new Seats(maps);
	t.is(seats.count, 0);
	for (let edge = FIRST; edge < FIRST + SEATS_MAX; edge++) {
		seats.set(edge, 1000 + edge, false);
		seats.setGroups(edge, everything);
	}
	t.is(seats.count, SEATS_MAX);
	const last = FIRST + SEATS_MAX;
	seats.set(last, 1000 + last, false);
	t.is(seats.count, 0);
	seats.setGroups(last, everything);
	t.is(seats.count, 0, 'there is no seat for it');
	seats.remove(FIRST + 7);
	t.is(seats.count, SEATS_MAX);
	t.is(ifindexAt(7), 1000 + last);
	for (let edge = last; edge >= FIRST; edge--) seats.remove(edge);
	t.is(seats.count, 0);
	for (const number of [0, 7, SEATS_MAX - 1]) t.is(ifindexAt(number), 0);
});

test('what a slave listens to is there as long as it wants it', t => {
	const seats = new Seats(maps);
	const listeners = (): number => [...maps.listeners.keys()].length;
	seats.set(FIRST, 1000, false);
	seats.setGroups(FIRST, {
		...everything,
		inet: { names: ['239.1.2.3', '239.129.2.3'], lows: [0x5e010203, 0x5e010203] },
	});
	t.is(listeners(), 1, 'two groups with one MAC');
	seats.setGroups(FIRST, { ...everything, inet6: { names: ['ff02::fb', 'ff02::fc'], lows: [0xfb, 0xfc] } });
	t.is(listeners(), 2);
	seats.remove(FIRST);
	t.is(listeners(), 0);
});

function ifindexAt(number: number): number {
	return new Uint32Array(maps.seats.get(indexBytes(number))!.buffer)[0]!;
}
