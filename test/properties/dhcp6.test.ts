/** The DHCPv6 parser against its slow twin, over messages that are right, cut short, changed and made up. */
import test from 'ava';
import * as fc from 'fast-check';
import { parseDhcp6 } from '../../src/wire/dhcp6.js';
import { bytesOf, u16 } from '../helpers/frames.js';
import { naiveDhcp6 } from '../helpers/naive-dhcp6.js';
import { check } from '../helpers/seed.js';

test('the parser and its twin read the same', t => {
	let readable = 0;
	check(
		t,
		fc.property(message(), bytes => {
			const expected = naiveDhcp6(bytes);
			if (expected) readable++;
			t.deepEqual(read(bytes), expected);
		}),
	);
	t.true(readable > 10, 'some messages could be read');
});

test('no truncation of a message throws, and none but the whole or one cut between options is read', t => {
	const bytes = bytesOf([7, 1, 2, 3], option(1, [0, 3, 0, 1, 82, 84, 0, 0, 0, 17]), option(3, association()));
	for (let length = 0; length <= bytes.length; length++) {
		const cut = bytes.slice(0, length);
		t.deepEqual(read(cut), naiveDhcp6(cut), `${length} bytes`);
		t.is(
			read(cut) !== undefined,
			length === 4 || length === 18 || length === bytes.length,
			`${length} bytes`,
		);
	}
});

/** Memory ends with the message, so that reading a byte too far throws. */
function read(bytes: Uint8Array): ReturnType<typeof naiveDhcp6> {
	const frame = new DataView(bytes.slice().buffer);
	const message = parseDhcp6(frame, 0, bytes.length);
	return (
		message && {
			...message,
			associations: message.associations.map(({ kind, id, addresses }) => ({
				kind,
				id,
				addresses: addresses.map(({ at, valid }) => ({
					address: Buffer.from(bytes.slice(at, at + 16)).toString('hex'),
					valid,
				})),
			})),
		}
	);
}

function message(): fc.Arbitrary<Uint8Array> {
	const value = fc.uint8Array({ maxLength: 40 });
	const iaAddress = fc.uint8Array({ minLength: 20, maxLength: 30 }).map(bytes => option(5, bytes));
	const inner = fc.array(fc.oneof(iaAddress, value), { maxLength: 3 });
	const ia = fc
		.tuple(fc.constantFrom(3, 4, 25), fc.uint8Array({ minLength: 2, maxLength: 12 }), inner)
		.map(([code, head, options]) => option(code, bytesOf(head, ...options)));
	const plain = fc.tuple(fc.constantFrom(1, 2, 6, 8, 14), value).map(([code, bytes]) => option(code, bytes));
	const whole = fc
		.tuple(fc.uint8Array({ minLength: 4, maxLength: 4 }), fc.array(fc.oneof(ia, plain), { maxLength: 5 }))
		.map(([head, options]) => bytesOf(head, ...options));
	const spoilt = fc
		.tuple(whole, fc.nat(), fc.nat(255))
		.map(([bytes, at, byte]) =>
			Uint8Array.from(bytes, (old, index) => (index === at % bytes.length ? byte : old)),
		);
	const cut = fc.tuple(whole, fc.nat()).map(([bytes, at]) => bytes.slice(0, at % (bytes.length + 1)));
	return fc.oneof(whole, spoilt, cut, fc.uint8Array({ maxLength: 100 }));
}

function option(code: number, value: ArrayLike<number>): Uint8Array {
	return bytesOf(u16(code), u16(value.length), value);
}

function association(): Uint8Array {
	return bytesOf([0, 0, 0, 1, 0, 0, 0, 60, 0, 0, 0, 90], option(5, new Uint8Array(24).fill(32)));
}
