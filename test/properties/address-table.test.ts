import test from 'ava';
import fc from 'fast-check';
import { AddressTable } from '../../src/datapath/address-table.js';
import { check, numbers, seed } from '../helpers/seed.js';

/** With a seed of 1 these all want slot 0 of a small table, and the others its last two: chains wrap around. */
const colliding = Array.from({ length: 40 }, (_, index) => index * 64);
const atTheEnd = Array.from({ length: 20 }, (_, index) => index * 64 + 62 + (index & 1));
const pool = [...colliding, ...atTheEnd, -1, 0x80000000 | 0, 0x7fffffff];

const commands = fc.array(fc.record({ put: fc.nat(2), key: fc.nat(pool.length - 1), edge: fc.nat(4095) }), {
	maxLength: 150,
});

for (const [name, words, tableSeed] of [
	['IPv4, all in one slot', 1, 1],
	['IPv4, seeded', 1, 0x1234567],
	['IPv6, seeded', 4, 0x7654321],
	['IPv6, seed 0', 4, 0],
] as const) {
	test(`a table is a Map: ${name}`, t => {
		check(
			t,
			fc.property(commands, list => {
				const table = new AddressTable(words, tableSeed);
				const model = new Map<number, number>();
				for (const { put, key, edge } of list) {
					const number = pool[key] as number;
					if (put > 0) {
						table.set(keyOf(number, words), edge);
						model.set(number, edge);
					} else if (table.delete(keyOf(number, words)) !== model.delete(number)) throw new Error('delete');
					if (table.size !== model.size) throw new Error('size');
				}
				for (const number of pool)
					if (find(table, number, words) !== (model.get(number) ?? 0)) throw new Error(`find ${number}`);
			}),
			200,
		);
	});
}

test('a table is a Map with thousands of addresses that come and go', t => {
	t.log(`TEST_SEED=${seed}`);
	const next = numbers(seed);
	for (const words of [1, 4] as const) {
		const table = new AddressTable(words, next(0x7fffffff));
		const model = new Map<number, number>();
		for (let step = 0; step < 30_000; step++) {
			const number = next(4000) | 0xc0000000;
			if (next(3) > 0) {
				const edge = next(4096);
				table.set(keyOf(number, words), edge);
				model.set(number, edge);
			} else if (table.delete(keyOf(number, words)) !== model.delete(number)) t.fail(`delete ${number}`);
			const other = next(4000) | 0xc0000000;
			if (find(table, other, words) !== (model.get(other) ?? 0)) t.fail(`${other} after ${step} steps`);
		}
		t.is(table.size, model.size);
		for (const [number, edge] of model) if (find(table, number, words) !== edge) t.fail(String(number));
	}
});

/** Of four words, keys differ in one alone, and not always in the same: each word counts. */
function keyOf(number: number, words: 1 | 4): Int32Array {
	if (words === 1) return Int32Array.of(number);
	const key = Int32Array.of(0x20010db8, 0x0badcafe, 0x0badbeef, 0x0badf00d);
	key[(number >> 6) & 3] = number;
	return key;
}

function find(table: AddressTable, number: number, words: 1 | 4): number {
	if (words === 1) return table.find(number);
	const frame = new DataView(new ArrayBuffer(21));
	for (const [index, word] of keyOf(number, words).entries()) frame.setInt32(5 + index * 4, word);
	return table.find6(frame, 5);
}
