import test from 'ava';
import {
	checkInterfaceName,
	checkSlaveName,
	deriveIfname,
	deriveMac,
	parseMac,
	quote,
} from '../../../src/control/names.js';

const free = () => false;

for (const name of ['a', '1', 'web1', 'Web_1.lan-2', 'a..b', 'x'.repeat(63)]) {
	test(`'${name}' can be a slave's name`, t => t.is(checkSlaveName(name), name));
}

for (const [name, why] of [
	['', 'it is empty'],
	['x'.repeat(64), 'it has 64 characters'],
	['-', "it begins with '-'"],
	['..', "it begins with '.'"],
	['_x', "it begins with '_'"],
	['a b', "it has ' ' in it"],
	['../etc', "it has '/' in it"],
	['a\0b', "it has '\\u0000' in it"],
	['a\n', "it has '\\n' in it"],
	['ü', "it has 'ü' in it"],
	['😀', "it has '😀' in it"],
] as const) {
	test(`${quote(name)} can't be a slave's name`, t => {
		t.throws(() => checkSlaveName(name), {
			code: 'usage',
			message: `${quote(name)} can't be a slave's name: ${why}`,
		});
	});
}

for (const name of ['eth0', 'wlp0s20f3', 'eth0.100', 'a'.repeat(15), '-']) {
	test(`'${name}' can be an interface's name`, t => t.is(checkInterfaceName(name), name));
}

for (const name of ['', 'a'.repeat(16), '.', '..', 'a/b', 'a b', 'a:b', 'ä'.repeat(8)]) {
	test(`${quote(name)} can't be an interface's name`, t => {
		t.throws(() => checkInterfaceName(name), { code: 'usage', message: /can't be an interface's name: it / });
	});
}

test('a TAP is called after its slave where that fits, and after a hash of its name where not', t => {
	t.is(deriveIfname('web1', free), 'ipvt-web1');
	t.is(deriveIfname('a'.repeat(10), free), `ipvt-${'a'.repeat(10)}`);
	const long = deriveIfname('a'.repeat(11), free);
	t.regex(long, /^ipvt-[0-9a-f]{10}$/);
	t.is(deriveIfname('a'.repeat(11), free), long);
	t.not(deriveIfname('a'.repeat(12), free), long);
});

test("a TAP's name that is taken is avoided", t => {
	const first = deriveIfname('web1', ifname => ifname === 'ipvt-web1');
	t.regex(first, /^ipvt-[0-9a-f]{10}$/);
	t.not(
		deriveIfname('web1', ifname => ifname === 'ipvt-web1' || ifname === first),
		first,
	);
});

test('a MAC is derived from the names of slave and master, and stays the same', t => {
	const mac = deriveMac('web1', 'eth0', free);
	t.regex(mac, /^52:54:00(:[0-9a-f]{2}){3}$/);
	t.is(deriveMac('web1', 'eth0', free), mac);
	t.not(deriveMac('web1', 'eth1', free), mac);
	t.not(deriveMac('web2', 'eth0', free), mac);
	t.not(
		deriveMac('web1', 'eth0', taken => taken === mac),
		mac,
	);
});

test('MACs are taken in the usual spellings', t => {
	t.is(parseMac('52:54:00:AB:cd:01'), '52:54:00:ab:cd:01');
	t.is(parseMac('52-54-00-ab-cd-01'), '52:54:00:ab:cd:01');
});

for (const mac of [
	'',
	'52:54:00:ab:cd',
	'525400abcd01',
	'52:54:00:ab:cd:0g',
	'01:00:5e:00:00:01',
	'ff:ff:ff:ff:ff:ff',
	'00:00:00:00:00:00',
]) {
	test(`'${mac}' can't be a guest's MAC`, t => {
		t.throws(() => parseMac(mac), {
			code: 'usage',
			message: new RegExp(`^'${mac}' can't be a guest's MAC: it is `),
		});
	});
}

test('what is quoted fits on a line', t => {
	t.is(quote('x'.repeat(200)).length, 82);
	t.is(quote('a\x1b[31m"b"'), `'a\\u001b[31m"b"'`);
});
