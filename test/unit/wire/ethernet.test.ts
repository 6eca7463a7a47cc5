import test from 'ava';
import { formatMac, isGroupDestination, macEquals, parseMac, writeMac } from '../../../src/wire/ethernet.js';

for (const text of [
	'00:00:00:00:00:00',
	'ff:ff:ff:ff:ff:ff',
	'02:00:00:00:00:aa',
	'52:54:00:12:34:56',
	'fe:dc:ba:98:76:54',
]) {
	test(`${text} is read and written the same`, t => t.is(formatMac(parseMac(text)), text));
}

test('capital digits are read too', t => t.is(formatMac(parseMac('52:54:00:AB:CD:EF')), '52:54:00:ab:cd:ef'));

for (const text of [
	'',
	'52:54:00:12:34',
	'52:54:00:12:34:56:78',
	'52-54-00-12-34-56',
	'5254.0012.3456',
	'52:54:00:12:34:5g',
	' 52:54:00:12:34:56',
	'2:54:00:12:34:56',
]) {
	test(`'${text}' is no MAC`, t => t.throws(() => parseMac(text), { instanceOf: RangeError }));
}

test('a MAC that was written is equal, and one bit more is not', t => {
	const frame = new DataView(new ArrayBuffer(8));
	const { high, low } = parseMac('fe:dc:ba:98:76:54');
	writeMac(frame, 1, high, low);
	t.true(macEquals(frame, 1, high, low));
	for (let bit = 0; bit < 48; bit++) {
		const at = 1 + (bit >> 3);
		frame.setUint8(at, frame.getUint8(at) ^ (1 << (bit & 7)));
		t.false(macEquals(frame, 1, high, low));
		frame.setUint8(at, frame.getUint8(at) ^ (1 << (bit & 7)));
	}
});

test('the lowest bit of the first byte says group', t => {
	const frame = new DataView(new ArrayBuffer(6));
	for (const [first, group] of [
		[0x00, false],
		[0x01, true],
		[0x02, false],
		[0x33, true],
		[0xff, true],
		[0xfe, false],
	] as const) {
		frame.setUint8(0, first);
		t.is(isGroupDestination(frame, 0), group);
	}
});
