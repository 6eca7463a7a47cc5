import test from 'ava';
import { familyOf, isLinkLocal, parseAddress } from '../../../src/control/addresses.js';

for (const [text, canonical] of [
	['192.0.2.10', '192.0.2.10'],
	['192.0.2.10/32', '192.0.2.10'],
	['169.254.1.2', '169.254.1.2'],
	['2001:DB8:0:0:0:0:0:10', '2001:db8::10'],
	['2001:db8::10/128', '2001:db8::10'],
	['2001:db8:0:1:0:0:0:1', '2001:db8:0:1::1'],
	['fe80::1', 'fe80::1'],
	['fd00:0:0:0:1::', 'fd00::1:0:0:0'],
	['64:ff9b::192.0.2.1', '64:ff9b::c000:201'],
] as const) {
	test(`${text} is ${canonical}`, t => t.is(parseAddress(text), canonical));
}

for (const [text, why] of [
	['', 'neither'],
	['10', 'neither'],
	['10.1', 'neither'],
	['010.0.0.1', 'neither'],
	['0x0a.0.0.1', 'neither'],
	['256.0.0.1', 'neither'],
	['1.2.3.4.5', 'neither'],
	['web1', 'neither'],
	['fe80::1%eth0', 'neither'],
	['1::2::3', 'neither'],
	['192.0.2.10/24', 'it is a network'],
	['192.0.2.10/', 'it is a network'],
	['192.0.2.10/128', 'it is a network'],
	['2001:db8::/64', 'it is a network'],
	['224.0.0.1', 'a multicast group'],
	['ff02::1', 'a multicast group'],
	['127.0.0.1', 'a loopback address'],
	['::1', 'a loopback address'],
	['0.0.0.0', 'the unspecified address'],
	['::', 'the unspecified address'],
	['255.255.255.255', 'the broadcast address'],
	['240.0.0.1', 'it is reserved'],
	['::ffff:192.0.2.1', 'write it as IPv4'],
] as const) {
	test(`'${text}' can't be a guest's address: ${why}`, t => {
		const error = t.throws(() => parseAddress(text), { code: 'usage' });
		t.true(error?.message.startsWith(`'${text}' can't be a guest's address: `));
		t.true(error?.message.includes(why));
		t.truthy((error as { hint?: string }).hint);
	});
}

test('the hint for a network gives the address alone', t => {
	const error = t.throws(() => parseAddress('192.0.2.10/24')) as { hint?: string };
	t.regex(error.hint ?? '', /'192\.0\.2\.10'.*only \/32 is accepted/);
});

test('families and link-local addresses are told apart', t => {
	t.is(familyOf('192.0.2.1'), 'inet');
	t.is(familyOf('2001:db8::1'), 'inet6');
	t.true(isLinkLocal('fe80::1'));
	t.true(isLinkLocal('169.254.0.1'));
	t.false(isLinkLocal('192.0.2.1'));
});
