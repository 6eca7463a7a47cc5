/** What `runQemu` refuses before it touches anything; the rest is in test/integration/qemu. */
import test from 'ava';
import { runQemu } from '../../../qemu/run.js';
import { IpvtapError } from '../../../src/errors.js';

const slave = { name: 'a', ifname: 'ipvt-a', mac: '52:54:00:00:00:01', mtu: 1500, queues: 2 };

const refused: [argv: string[], message: RegExp][] = [
	[[], /no command/],
	[['qemu', '-netdev', 'tap,id=x,fd=3'], /descriptor 3/],
	[['qemu', '-netdev', 'tap,id=x,fds=9:4'], /descriptor 4/],
	[['qemu', '-netdev', 'tap,id=x,fd=9,vhostfd=4,vhost=on'], /descriptor 4/],
	[['qemu', '-add-fd', 'fd=3,set=1'], /descriptor 3/],
	[['qemu', '-chardev', 'socket,fd=4,id=c'], /descriptor 4/],
	[['qemu', '-m', '1G', '-daemonize'], /-daemonize/],
];

for (const [argv, message] of refused) {
	test(`refused: ${argv.join(' ')}`, async t => {
		const error = await t.throwsAsync(runQemu({ slave, argv, vhost: false }), {
			instanceOf: IpvtapError,
			message,
		});
		t.is(error.code, 'usage');
		t.truthy(error.hint);
	});
}

/** These get past that check, and fail on the TAP, which doesn't exist, or isn't anybody's to open. */
const passed = [
	['qemu', '-netdev', 'tap,id=x,fd=5'],
	['qemu', '-netdev', 'tap,id=x,fd=30'],
	['qemu', '-append', 'fd=3'],
	['qemu', '-drive', 'file=/dev/fd/3,media=cdrom'],
	['fd=3'],
];

for (const argv of passed) {
	test(`not refused for its descriptors: ${argv.join(' ')}`, async t => {
		const gone = { ...slave, ifname: 'ipvt no name' };
		const error = await t.throwsAsync(runQemu({ slave: gone, argv, vhost: false }), {
			instanceOf: IpvtapError,
		});
		t.notRegex(error.message, /descriptor/);
	});
}

test('refused: a slave that has a QEMU', async t => {
	const running = runQemu({ slave: { ...slave, state: 'up' }, argv: ['qemu'], vhost: false });
	const error = await t.throwsAsync(running, { instanceOf: IpvtapError });
	t.is(error.code, 'conflict');
});
