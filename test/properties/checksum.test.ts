import test from 'ava';
import fc from 'fast-check';
import { replaceMacInChecksum, sumOf } from '../../src/wire/checksum.js';
import { internetChecksum, u16 } from '../helpers/frames.js';
import { check } from '../helpers/seed.js';

test('the sum is RFC 1071’s, written plainly, at any place and of any length', t => {
	check(
		t,
		fc.property(fc.uint8Array({ maxLength: 300 }), fc.nat(20), fc.nat(0xffff), (bytes, at, initial) => {
			const memory = new Uint8Array(at + bytes.length);
			memory.set(bytes, at);
			const sum = sumOf(new DataView(memory.buffer), at, bytes.length, initial);
			const plain = 0xffff - internetChecksum(Uint8Array.from([...u16(initial), ...bytes]));
			return sum === plain;
		}),
		1000,
	);
});

test('64 KB of ones don’t overflow', t => {
	t.is(sumOf(new DataView(new Uint8Array(65536).fill(0xff).buffer), 0, 65536, 0xffff), 0xffff);
});

test('replacing a MAC gives the checksum that computing it anew gives', t => {
	const mac = fc.record({ high: fc.nat(0xffff), low: fc.integer() });
	check(
		t,
		fc.property(
			fc.uint8Array({ minLength: 20, maxLength: 80 }),
			mac,
			fc.nat(5),
			(bytes, { high, low }, word) => {
				// All zeros have no checksum but ffff; no ICMPv6 message is that, and no master has a MAC of zeros.
				fc.pre((high | low) !== 0 && bytes.some(byte => byte !== 0));
				const at = 2 + word * 2;
				bytes.set([0, 0], 0);
				bytes.set(u16(internetChecksum(bytes)), 0);
				const frame = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
				replaceMacInChecksum(frame, at, high, low, 0);
				const anew = Uint8Array.from(bytes);
				anew.set([0, 0], 0);
				return (
					frame.getUint16(0) === internetChecksum(anew) &&
					frame.getUint16(at) === high &&
					frame.getInt32(at + 2) === low
				);
			},
		),
		1000,
	);
});

test('replacing a MAC and putting the old one back gives the same bytes', t => {
	const mac = fc.record({ high: fc.integer({ min: 1, max: 0xffff }), low: fc.integer() });
	check(
		t,
		fc.property(fc.uint8Array({ minLength: 10, maxLength: 40 }), mac, mac, (bytes, old, other) => {
			const frame = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
			frame.setUint16(2, old.high);
			frame.setInt32(4, old.low);
			bytes.set([0, 0], 0);
			bytes.set(u16(internetChecksum(bytes)), 0);
			const before = Uint8Array.from(bytes);
			replaceMacInChecksum(frame, 2, other.high, other.low, 0);
			replaceMacInChecksum(frame, 2, old.high, old.low, 0);
			return before.every((byte, index) => byte === bytes[index]);
		}),
		500,
	);
});
