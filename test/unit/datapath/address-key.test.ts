import test from 'ava';
import { addressText, keyOf } from '../../../src/datapath/address-key.js';

for (const [text, family, words] of [
	['192.0.2.11', 4, [0xc000020b]],
	['255.255.255.255', 4, [0xffffffff]],
	['2001:db8:1::11', 6, [0x20010db8, 0x00010000, 0, 0x11]],
	['fe80::', 6, [0xfe800000, 0, 0, 0]],
	['::1', 6, [0, 0, 0, 1]],
] as const) {
	test(`${text} is made of its words, and comes back as text`, t => {
		const key = keyOf(text);
		t.is(key.family, family);
		t.deepEqual(
			Array.from(key.words, word => word >>> 0),
			[...words],
		);
		t.is(addressText(key.bytes, 0, family), text);
	});
}

test('text of an address has one form', t => {
	t.is(addressText(keyOf('2001:0DB8:0:0:0:0:0:01').bytes, 0, 6), '2001:db8::1');
	t.is(addressText(keyOf('fe80:0:0:1:0:0:0:1').bytes, 0, 6), 'fe80:0:0:1::1');
});

test('what is no address throws', t => {
	t.throws(() => keyOf('vm1'));
	t.throws(() => keyOf(''));
});
