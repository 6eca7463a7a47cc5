import test from 'ava';
import fc from 'fast-check';
import { fdName, plainId, qemuIds } from '../../../qemu/ids.js';

const table: [name: string, netdev: string, plain: string][] = [
	['web1', 'net-web1', 'web1'],
	['1', 'net-1', '1'],
	['a.b_c-d', 'net-a.b_c-d', 'a_2eb_5fc_2dd'],
	['a,b', 'net_a_2cb', 'a_2cb'],
	['a b', 'net_a_20b', 'a_20b'],
	['a_2cb', 'net-a_2cb', 'a_5f2cb'],
	['weiß', 'net_wei_c3_9f', 'wei_c3_9f'],
	['', 'net_', ''],
];

for (const [name, netdev, plain] of table) {
	test(`the slave '${name}' is ${netdev} to QEMU`, t => {
		t.deepEqual(qemuIds(name), { netdev, device: netdev.replace('net', 'nic') });
		t.is(plainId(name), plain);
	});
}

test('any name gives ids that QEMU accepts', t => {
	fc.assert(
		fc.property(fc.string({ unit: 'grapheme' }), name => {
			const { netdev, device } = qemuIds(name);
			const fd = fdName(name, 'tap', 0);
			return [netdev, device, fd].every(id => /^[A-Za-z][A-Za-z0-9._-]*$/.test(id));
		}),
	);
	t.pass();
});

test('different names have different ids', t => {
	const name = fc.string({ unit: fc.constantFrom('a', '_', '-', '2', 'c', ',', 'ß', '.'), maxLength: 8 });
	fc.assert(
		fc.property(
			name,
			name,
			(one, other) => (qemuIds(one).netdev === qemuIds(other).netdev) === (one === other),
		),
	);
	t.pass();
});

test("Firecracker's ids have letters, digits and underscores, at most 64", t => {
	fc.assert(fc.property(fc.string({ unit: 'grapheme' }), name => /^[A-Za-z0-9_]{0,64}$/.test(plainId(name))));
	t.pass();
});
