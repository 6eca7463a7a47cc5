import test from 'ava';
import fc from 'fast-check';
import { IpvtapError } from '../../../src/errors.js';
import {
	attribute,
	attributes,
	decodeMessages,
	encodeMessage,
	NLM_F_ACK,
	NLM_F_CREATE,
	NLM_F_EXCL,
	NLM_F_REQUEST,
	NLMSG_DONE,
	NLMSG_ERROR,
	nested,
	readAcknowledgement,
	readI32,
	readU64,
	text,
	u8,
	u16,
	u32,
} from '../../../src/sys/netlink/message.js';

// The goldens are what iproute2 6.1 sent on x86-64, printed by `strace -e trace=sendmsg -e write=3`.
const littleEndian = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1;
const golden = littleEndian ? test : test.skip;
const create = NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL;
const hex = (dump: string) => Buffer.from(dump.replaceAll(/\s/g, ''), 'hex');

golden('the bytes are those of `ip link add v0 mtu 1400 type veth peer name v1`', t => {
	const ifinfomsg = Buffer.alloc(16);
	const body = Buffer.concat([
		ifinfomsg,
		attribute(4, u32(1400)),
		attribute(3, text('v0')),
		attribute(
			18,
			attribute(1, Buffer.from('veth')),
			attribute(2, attribute(1, ifinfomsg, attribute(3, text('v1')))),
		),
	]);
	const sent = hex(`
		5c000000 10000506 d58e036b 00000000 00000000 00000000 00000000 00000000
		08000400 78050000 07000300 76300000
		2c001200 08000100 76657468 20000200
		1c000100 00000000 00000000 00000000 00000000 07000300 76310000`);
	// The kernel counts the padding of the last attribute in, iproute2 too.
	t.deepEqual(encodeMessage(16, create, 0x6b038ed5, body), sent);
});

golden('the bytes are those of `tc filter add … bpf da bytecode "1,6 0 0 2,"`', t => {
	const body = Buffer.concat([
		u32(0),
		u32(3),
		u32(1),
		u32(0xfffffff2),
		hex('00030100'),
		attribute(1, text('bpf')),
		attribute(2, attribute(4, u16(1)), attribute(5, hex('06000000 02000000')), attribute(8, u32(1))),
	]);
	const sent = hex(`
		4c000000 2c000506 d68e036b 00000000 00000000 03000000 01000000 f2ffffff
		00030100 08000100 62706600 20000200
		06000400 01000000 0c000500 06000000 02000000 08000800 01000000`);
	t.deepEqual(encodeMessage(44, create, 0x6b038ed6, body), sent);
});

golden('a refusal carries errno and the kernel’s sentence', t => {
	const echoed = hex('2c000000 10000500 01000000 00000000');
	const capped = Buffer.concat([u32(-22), echoed, attribute(1, text('Invalid MTU'))]);
	t.deepEqual(readAcknowledgement({ type: NLMSG_ERROR, flags: 0x300, sequence: 1, port: 0, body: capped }), {
		errno: 22,
		text: 'Invalid MTU',
	});
	const whole = Buffer.concat([u32(-22), echoed, Buffer.alloc(0x2c - 16), attribute(1, text('Invalid MTU'))]);
	t.is(
		readAcknowledgement({ type: NLMSG_ERROR, flags: 0x200, sequence: 1, port: 0, body: whole }).text,
		'Invalid MTU',
	);
	t.deepEqual(readAcknowledgement({ type: NLMSG_DONE, flags: 0, sequence: 1, port: 0, body: u32(0) }), {
		errno: 0,
		text: undefined,
	});
});

test('nested attributes are marked, and found without the mark', t => {
	const bytes = nested(18, attribute(1, u8(7)), attribute(2, u16(0x1234)));
	const inner = attributes(attributes(bytes).get(18)!);
	t.deepEqual([...inner.keys()], [1, 2]);
	t.deepEqual(inner.get(1), Buffer.from([7]));
});

test('what is encoded is decoded, whatever the lengths', t => {
	const message = fc.record({
		type: fc.nat(0xffff),
		flags: fc.nat(0xffff),
		sequence: fc.nat(0xffffffff),
		body: fc.uint8Array({ maxLength: 70 }),
	});
	const property = fc.property(fc.array(message, { maxLength: 5 }), messages => {
		const datagram = Buffer.concat(messages.map(m => encodeMessage(m.type, m.flags, m.sequence, m.body)));
		const decoded = [...decodeMessages(datagram)];
		t.deepEqual(
			decoded.map(({ type, flags, sequence, body }) => ({
				type,
				flags,
				sequence,
				body: Uint8Array.from(body),
			})),
			messages.map(({ body, ...rest }) => ({ ...rest, body: Uint8Array.from(body) })),
		);
	});
	fc.assert(property);
	t.pass();
});

test('arbitrary bytes decode, or are refused with an IpvtapError', t => {
	const property = fc.property(fc.uint8Array({ maxLength: 200 }), bytes => {
		try {
			for (const { body } of decodeMessages(Buffer.from(bytes))) attributes(body);
		} catch (error) {
			return error instanceof IpvtapError;
		}
		return true;
	});
	fc.assert(property, { numRuns: 2000 });
	t.pass();
});

test('a message or attribute longer than its container is refused', t => {
	t.throws(() => [...decodeMessages(Buffer.alloc(8))], { instanceOf: IpvtapError });
	t.throws(() => [...decodeMessages(Buffer.concat([u32(64), Buffer.alloc(12)]))], {
		message: /64 bytes at offset 0/,
	});
	t.throws(() => attributes(Buffer.concat([u16(9), u16(1), u32(0)])), { message: /attribute of 9 bytes/ });
	t.throws(() => attribute(1, new Uint8Array(65_536)), { message: /does not fit/ });
});

test('numbers keep their sign and size', t => {
	t.is(readI32(u32(-5), 0), -5);
	t.is(readI32(u32(0xfffffffb), 0), -5);
	const bytes = Buffer.alloc(8);
	littleEndian ? bytes.writeBigUInt64LE(2n ** 52n) : bytes.writeBigUInt64BE(2n ** 52n);
	t.is(readU64(bytes, 0), 2 ** 52);
});
