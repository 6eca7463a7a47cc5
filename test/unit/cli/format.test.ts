import test from 'ava';
import { bytes, details, reasons, sum, table } from '../../../src/cli/format.js';

test('tables are aligned, numbers to the right', t => {
	const text = table(
		[{ title: 'NAME' }, { title: 'RX', right: true }, { title: 'MORE' }],
		[
			['a', '1', 'x'],
			['longer', '1000', ''],
		],
	);
	t.is(text, 'NAME      RX  MORE\na          1  x\nlonger  1000\n');
});

test('an empty table has its title', t =>
	t.is(table([{ title: 'NAME' }, { title: 'RX' }], []), 'NAME  RX\n'));

test('colour is in the title alone, and changes no width', t => {
	const plain = table([{ title: 'A' }, { title: 'B' }], [['long', 'x']]);
	t.is(
		table([{ title: 'A' }, { title: 'B' }], [['long', 'x']], true),
		plain.replace('A     B', '\x1b[1mA     B\x1b[0m'),
	);
});

test('details leave out what there is not', t => {
	t.is(
		details([
			['name', 'a'],
			['address', 'b'],
			['more', undefined],
		]),
		'name:     a\naddress:  b\n',
	);
});

for (const [count, text] of [
	[0, '0 B'],
	[999, '999 B'],
	[1000, '1.0 kB'],
	[1234, '1.2 kB'],
	[9949, '9.9 kB'],
	[9950, '10 kB'],
	[999_499, '999 kB'],
	[999_500, '1.0 MB'],
	[1_234_567_890, '1.2 GB'],
	[2 ** 53, '9.0 PB'],
] as const) {
	test(`${count} bytes are ${text}`, t => t.is(bytes(count), text));
}

test('reasons come with their counts, the most frequent first', t => {
	t.is(reasons({ a: 1, b: 20, c: 3 }), '20 b, 3 c, 1 a');
	t.is(reasons({}), '-');
	t.is(sum({ a: 1, b: 20 }), 21);
});
