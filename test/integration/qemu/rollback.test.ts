/** How a plug that fails half-way is taken back, against a server that fails where the real QEMU won't on demand. */
import test from 'ava';
import { type Answer, after, done, greeting, refusal, serve, value } from '../../unit/qemu/qmp-server.js';
import { Site } from './support.js';

const silent: Answer = () => '';
const no = refusal('GenericError', 'no');
const gone = refusal('DeviceNotFound', 'gone');

const table: [what: string, failing: Record<string, Answer>, code: string, asked: string[]][] = [
	['getfd is refused', { 'getfd tap1-a': no }, 'failed', ['getfd tap0-a', 'getfd tap1-a', 'closefd tap0-a']],
	[
		'getfd is not answered',
		{ 'getfd tap1-a': silent },
		'timed-out',
		['getfd tap0-a', 'getfd tap1-a', 'closefd tap1-a', 'closefd tap0-a'],
	],
	[
		'netdev_add is refused',
		{ 'netdev_add net-a': no },
		'failed',
		['getfd tap0-a', 'getfd tap1-a', 'netdev_add net-a', 'closefd tap0-a', 'closefd tap1-a'],
	],
	[
		'netdev_add is not answered',
		{ 'netdev_add net-a': silent },
		'timed-out',
		[
			'getfd tap0-a',
			'getfd tap1-a',
			'netdev_add net-a',
			'netdev_del net-a',
			'closefd tap0-a',
			'closefd tap1-a',
		],
	],
	[
		'device_add is refused',
		{ 'device_add nic-a': no },
		'failed',
		['getfd tap0-a', 'getfd tap1-a', 'netdev_add net-a', 'device_add nic-a', 'netdev_del net-a'],
	],
	[
		'device_add is not answered, and was not done',
		{ 'device_add nic-a': silent, 'device_del nic-a': gone },
		'timed-out',
		[
			'getfd tap0-a',
			'getfd tap1-a',
			'netdev_add net-a',
			'device_add nic-a',
			'device_del nic-a',
			'netdev_del net-a',
		],
	],
	[
		'device_add is not answered, but was done: the backend stays under the NIC',
		{ 'device_add nic-a': silent },
		'timed-out',
		['getfd tap0-a', 'getfd tap1-a', 'netdev_add net-a', 'device_add nic-a', 'device_del nic-a'],
	],
	[
		'QEMU ends during device_add',
		{
			'device_add nic-a': (_, socket) => {
				socket.destroy();
				return '';
			},
		},
		'failed',
		['getfd tap0-a', 'getfd tap1-a', 'netdev_add net-a', 'device_add nic-a'],
	],
	['QEMU talks nonsense', { 'getfd tap0-a': () => '}{' }, 'failed', ['getfd tap0-a']],
	['the list of devices is none', { 'qom-list undefined': value(7) }, 'failed', []],
];

for (const [what, failing, code, asked] of table) {
	test.serial(`taken back when ${what}`, async t => {
		await Site.with('rollback', async site => {
			const slave = await site.slave('a', { queues: 2 });
			const seen: string[] = [];
			const answer = after((command, socket) => {
				const { id, fdname } = command.arguments ?? {};
				const words = `${command.execute} ${id ?? fdname}`;
				if (command.execute !== 'qom-list') seen.push(words);
				const usual = command.execute === 'qom-list' ? value([]) : done;
				return (failing[words] ?? usual)(command, socket);
			});
			await serve(`${site.folder}/fake.qmp`, greeting, answer, async qmpPath => {
				const options = { qmpPath, slave, vhost: false, timeoutMs: code === 'timed-out' ? 1500 : 20_000 };
				const { error, fds } = await site.call({ call: 'plug', options });
				t.is(error?.code, code, error?.message);
				t.is(fds[0], fds[1]);
			});
			t.deepEqual(seen, asked);
			t.false(await site.isHeld(slave.ifname));
		});
	});
}
