import test from 'ava';
import { checkSupported, effectiveOffload } from '../../../src/control/supported.js';

test('what this version can do is accepted', t => {
	t.notThrows(() => checkSupported({}));
	t.notThrows(() => checkSupported({ mode: 'l2', flag: 'vepa', offload: 'auto' }));
	t.notThrows(() => checkSupported({ offload: 'none' }));
	t.is(effectiveOffload('auto'), 'none');
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
	t.throws(() => checkSupported({ offload: 'tc-bpf' }), {
		code: 'usage',
		message: "offload 'tc-bpf' is not supported in this version",
	});
});
