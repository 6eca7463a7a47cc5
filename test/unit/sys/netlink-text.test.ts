import test from 'ava';
import fc from 'fast-check';
import { IpvtapError } from '../../../src/errors.js';
import { ipBytes, ipText, macBytes, macText, parsePrefix } from '../../../src/sys/netlink/text.js';

const refused = test.macro((t, read: (text: string) => unknown, ...texts: string[]) => {
	for (const text of texts) t.throws(() => read(text), { instanceOf: IpvtapError, code: 'usage' }, text);
});

test(
	'no address',
	refused,
	ipBytes,
	'',
	'10.0.0',
	'10.0.0.01',
	'0x7f.1',
	'fe80::1%eth0',
	'10.0.0.1/8',
	'fe80:::1',
);
test(
	'no prefix',
	refused,
	parsePrefix,
	'10.0.0.0/33',
	'fd00::/129',
	'10.0.0.0/',
	'10.0.0.0/8/8',
	'10.0.0.0/-1',
	'default',
);
test(
	'no MAC address',
	refused,
	macBytes,
	'',
	'02:00:00:00:00',
	'02:00:00:00:00:0g',
	'2:0:0:0:0:1',
	'02-00-00-00-00-01',
);

test('addresses come back from their bytes as RFC 5952 writes them', t => {
	const text = (address: string) => ipText(ipBytes(address));
	t.is(text('10.0.0.1'), '10.0.0.1');
	t.is(text('2001:DB8:0:0:1:0:0:1'), '2001:db8::1:0:0:1');
	t.is(text('fe80:0:0:0:0:0:0:1'), 'fe80::1');
	t.is(text('::'), '::');
});

test('bytes come back from their text', t => {
	const ip = fc.oneof(
		fc.uint8Array({ minLength: 4, maxLength: 4 }),
		fc.uint8Array({ minLength: 16, maxLength: 16 }),
	);
	fc.assert(fc.property(ip, bytes => Buffer.compare(ipBytes(ipText(bytes)), bytes) === 0));
	const mac = fc.uint8Array({ minLength: 6, maxLength: 6 });
	fc.assert(fc.property(mac, bytes => Buffer.compare(macBytes(macText(bytes)), bytes) === 0));
	t.pass();
});

test('an address alone is a prefix of full length', t => {
	t.is(parsePrefix('10.0.0.1').length, 32);
	t.is(parsePrefix('fd00::1').length, 128);
	t.like(parsePrefix('fd00::/64'), { family: 'inet6', length: 64 });
});
