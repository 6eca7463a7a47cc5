import test from 'ava';
import { checkSupported } from '../../../src/control/supported.js';

test('what this version can do is accepted', t => {
	t.notThrows(() => checkSupported({}));
	t.notThrows(() => checkSupported({ mode: 'l2', flag: 'vepa', offload: 'auto' }));
	for (const offload of ['none', 'tc-bpf', '/usr/lib/ipvtap/hook.js'])
		t.notThrows(() => checkSupported({ offload }));
});

test('what it can not do is refused', t => {
	t.throws(() => checkSupported({ mode: 'l3s', host: false }), {
		code: 'usage',
		message: /do without the host/,
	});
	t.throws(() => checkSupported({ mode: 'l3s' }, { host: false }), { code: 'usage' });
	t.throws(() => checkSupported({ mode: 'l3s', flag: 'vepa' }), { code: 'usage', message: /flag vepa/ });
	t.throws(() => checkSupported({ flag: 'vepa' }, { mode: 'l3s' }), { code: 'usage' });
	t.notThrows(() => checkSupported({ mode: 'l3' }, { mode: 'l3s', host: true }));
	t.notThrows(() => checkSupported({ mode: 'l3', flag: 'vepa' }, { host: false }));
	t.throws(() => checkSupported({ offload: 'xdp' }), {
		code: 'usage',
		message: "offload 'xdp': there is no such hook",
	});
	t.throws(() => checkSupported({ offload: './hook.js' }), { code: 'usage' });
});
