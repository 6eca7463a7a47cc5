import test from 'ava';
import { checkSupported } from '../../../src/control/supported.js';

test('what this version can do is accepted', t => {
	t.notThrows(() => checkSupported({}));
	t.notThrows(() => checkSupported({ mode: 'l2', flag: 'vepa', offload: 'auto' }));
	for (const offload of ['none', 'tc-bpf', '/usr/lib/ipvtap/hook.js'])
		t.notThrows(() => checkSupported({ offload }));
});

test('what it can not do is refused', t => {
	t.throws(() => checkSupported({ mode: 'l3' }), {
		code: 'usage',
		message: 'mode l3 is not supported in this version',
	});
	t.throws(() => checkSupported({ mode: 'l3s' }), { code: 'usage', message: /l3s is not supported/ });
	t.throws(() => checkSupported({ offload: 'xdp' }), {
		code: 'usage',
		message: "offload 'xdp': there is no such hook",
	});
	t.throws(() => checkSupported({ offload: './hook.js' }), { code: 'usage' });
});
