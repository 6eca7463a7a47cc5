import test from 'ava';
import { openVhost, vhostAvailable } from '../../../qemu/vhost.js';
import { IpvtapError } from '../../../src/errors.js';

test('vhost-net is there exactly where its device opens for reading and writing', t => {
	t.true(vhostAvailable('/dev/null'));
	t.false(vhostAvailable('/dev/no-such-device'));
	t.false(vhostAvailable('/dev'));
});

test('why vhost-net does not open is said with what to do', t => {
	const error = t.throws(() => openVhost('/dev/no-such-device'), { instanceOf: IpvtapError });
	t.is(error.code, 'failed');
	t.regex(error.message, /ENOENT/);
	t.regex(error.hint ?? '', /modprobe vhost_net/);
});
