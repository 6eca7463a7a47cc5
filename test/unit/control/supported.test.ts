import test from 'ava';
import { checkSupported, effectiveOffload } from '../../../src/control/supported.js';

test('what this version can do is accepted', t => {
	t.notThrows(() => checkSupported({}));
	t.notThrows(() => checkSupported({ mode: 'l2', flag: 'vepa', offload: 'auto' }));
	t.notThrows(() => checkSupported({ offload: 'none' }));
	t.is(effectiveOffload('auto'), 'none');
});

test('what it can not do is refused', t => {
	t.throws(() => checkSupported({ mode: 'l3' }), {
		code: 'usage',
		message: 'mode l3 is not supported in this version',
	});
	t.throws(() => checkSupported({ mode: 'l3s' }), { code: 'usage', message: /l3s is not supported/ });
	t.throws(() => checkSupported({ offload: 'tc-bpf' }), {
		code: 'usage',
		message: "offload 'tc-bpf' is not supported in this version",
	});
});
