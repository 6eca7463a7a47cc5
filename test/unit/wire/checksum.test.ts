import test from 'ava';
import { pseudoHeader6, replaceMacInChecksum, sumOf } from '../../../src/wire/checksum.js';
import { parseMac } from '../../../src/wire/ethernet.js';
import { internetChecksum, ipv6, udp } from '../../helpers/frames.js';

const view = (...bytes: number[]) => new DataView(Uint8Array.from(bytes).buffer);

test("RFC 1071's own example adds up", t => {
	t.is(sumOf(view(0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7), 0, 8), 0xddf2);
});

test('an odd last byte counts as the high half of a word', t => {
	t.is(sumOf(view(0x12, 0x34, 0x56), 0, 3), 0x1234 + 0x5600);
});

test('carries come back in at the bottom', t => {
	t.is(sumOf(view(0xff, 0xff, 0xff, 0xff), 0, 4), 0xffff);
	t.is(sumOf(view(0xff, 0xff, 0x00, 0x02), 0, 4), 2);
});

test('nothing adds up to the sum it began with', t => {
	t.is(sumOf(view(), 0, 0, 7), 7);
});

test('the sum over a right datagram with its pseudo-header is all ones', t => {
	const { bytes } = ipv6({ source: 'fe80::1', destination: 'fe80::2' }, udp());
	const frame = new DataView(bytes.buffer, bytes.byteOffset);
	const length = bytes.length - 40;
	t.is(sumOf(frame, 40, length, pseudoHeader6(frame, 8, length, 17)), 0xffff);
});

test('a replaced MAC leaves a right checksum right', t => {
	const bytes = Uint8Array.of(0, 0, 0x52, 0x54, 0, 0, 0, 0x11, 1, 2);
	const frame = new DataView(bytes.buffer);
	frame.setUint16(0, internetChecksum(bytes));
	const { high, low } = parseMac('02:00:00:00:00:aa');
	replaceMacInChecksum(frame, 2, high, low, 0);
	t.deepEqual([...bytes.slice(2)], [2, 0, 0, 0, 0, 0xaa, 1, 2]);
	t.is(internetChecksum(bytes), 0);
});
