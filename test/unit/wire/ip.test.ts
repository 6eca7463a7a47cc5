import test from 'ava';
import {
	ipv4HeaderLength,
	ipv6Fits,
	isEthernetArp,
	isIpv4Group,
	isLinkLocal6,
	isUnspecified6,
} from '../../../src/wire/ip.js';
import { arp, type Ipv4Header, type Ipv6Header, ipv4, ipv6, octets, raw, udp } from '../../helpers/frames.js';

const view = (bytes: Uint8Array) => new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
const from4 = (header: Partial<Ipv4Header>) =>
	view(ipv4({ source: '192.0.2.1', destination: '192.0.2.2', ...header }, udp()).bytes);
const from6 = (header: Partial<Ipv6Header>) =>
	view(ipv6({ source: 'fe80::1', destination: 'fe80::2', ...header }, udp()).bytes);

test('the length of a right IPv4 header', t => {
	t.is(ipv4HeaderLength(from4({}), 0, 34), 20);
	t.is(ipv4HeaderLength(from4({ options: new Uint8Array(40) }), 0, 74), 60);
});

test('padding behind an IPv4 packet is allowed, a byte too few is not', t => {
	t.is(ipv4HeaderLength(from4({}), 0, 46), 20);
	t.is(ipv4HeaderLength(from4({}), 0, 33), 0);
	t.is(ipv4HeaderLength(from4({}), 0, 19), 0);
});

test('IPv4 that contradicts itself has no header', t => {
	for (const lie of [
		{ version: 6 },
		{ headerWords: 4 },
		{ headerWords: 9 },
		{ totalLength: 19 },
		{ totalLength: 35 },
	]) {
		t.is(ipv4HeaderLength(from4(lie), 0, 34), 0);
	}
});

test('an IPv4 packet may be as long as its length can say', t => {
	t.is(ipv4HeaderLength(from4({ totalLength: 65535 }), 0, 65535), 20);
});

test('IPv6 fits if header and payload do', t => {
	t.true(ipv6Fits(from6({}), 0, 54));
	t.true(ipv6Fits(from6({}), 0, 60));
	t.false(ipv6Fits(from6({}), 0, 53));
	t.false(ipv6Fits(from6({}), 0, 39));
	t.false(ipv6Fits(from6({ version: 4 }), 0, 54));
});

test('an empty IPv6 packet fits, a jumbogram does not', t => {
	const empty = (next: number) => view(ipv6({ source: '::1', destination: '::1' }, raw(next)).bytes);
	t.true(ipv6Fits(empty(59), 0, 40));
	t.false(ipv6Fits(empty(0), 0, 40));
});

test('only ARP of IPv4 over Ethernet is ARP', t => {
	const fields = { operation: 1, senderMac: '02:00:00:00:00:01', sender: '192.0.2.1', target: '192.0.2.2' };
	const right = view(arp(fields).bytes);
	t.true(isEthernetArp(right, 0, 28));
	t.false(isEthernetArp(right, 0, 27));
	for (let index = 0; index < 6; index++) {
		const prefix = [0, 1, 8, 0, 6, 4].map((byte, at) => (at === index ? byte + 1 : byte));
		t.false(isEthernetArp(view(arp({ ...fields, prefix }).bytes), 0, 28));
	}
});

test('groups, link-local and unspecified addresses are told apart', t => {
	const word = (address: string) => view(octets(address)).getInt32(0);
	t.deepEqual(
		['223.255.255.255', '224.0.0.0', '239.1.2.3', '255.255.255.255', '0.0.0.0'].map(address =>
			isIpv4Group(word(address)),
		),
		[false, true, true, true, false],
	);
	t.deepEqual(
		['fe80::1', 'febf::1', 'fec0::1', 'fe7f::1', 'ff02::1', '::'].map(address =>
			isLinkLocal6(view(octets(address)), 0),
		),
		[true, true, false, false, false, false],
	);
	t.deepEqual(
		['::', '::1', '1::', '0:0:1::'].map(address => isUnspecified6(view(octets(address)), 0)),
		[true, false, false, false],
	);
});
