import test from 'ava';
import { addressChange } from '../../../src/cli/commands/set.js';

test('signs add and remove', t => {
	t.deepEqual(addressChange(['+192.0.2.1', '-2001:DB8::1', '+2001:db8::2/128']), {
		add: ['192.0.2.1', '2001:db8::2'],
		remove: ['2001:db8::1'],
	});
});

test('without signs, the list is whole', t =>
	t.deepEqual(addressChange(['192.0.2.1', '192.0.2.2']), { addresses: ['192.0.2.1', '192.0.2.2'] }));

test('the two are not mixed', t => {
	t.throws(() => addressChange(['+192.0.2.1', '192.0.2.2']), { code: 'usage', message: /mixed/ });
});

test('what is no address is refused with its sign off', t => {
	t.throws(() => addressChange(['+web1']), {
		code: 'usage',
		message: "'web1' can't be a guest's address: it is neither an IPv4 nor an IPv6 address",
	});
});
