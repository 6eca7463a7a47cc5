import { closeSync, openSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { makeFolder } from '../../../src/lab/cleanup.js';
import { Namespace } from '../../../src/lab/namespace.js';
import { until } from '../../../src/lab/wait.js';
import { assertNoLeaks, assertNothingLeft, type Scope, snapshot } from '../../helpers/leaks.js';

let namespace: Namespace;

test.before(async () => {
	namespace = await Namespace.create('leaks');
	await namespace.ip(
		'link add d0 type veth peer name d1',
		'link set d0 up',
		'address add 192.0.2.1/24 dev d0',
	);
});

test.after.always(() => namespace?.delete());

/** Leaves something behind, and takes it back. */
interface Leak {
	kind: string;
	make: string;
	undo: string;
	expected: RegExp;
}

const leaks: readonly Leak[] = [
	{
		kind: 'a link',
		make: 'ip link add l0 type bridge',
		undo: 'ip link delete l0',
		expected: /left behind of links: ifname l0/,
	},
	{
		kind: 'a route',
		make: 'ip route add 198.51.100.7 dev d0',
		undo: 'ip route delete 198.51.100.7 dev d0',
		expected: /left behind of routes: .*dst 198\.51\.100\.7 dev d0/,
	},
	{
		kind: 'a rule',
		make: 'ip rule add from 198.51.100.7 lookup 99',
		undo: 'ip rule delete from 198.51.100.7 lookup 99',
		expected: /left behind of rules: .*198\.51\.100\.7/,
	},
	{
		kind: 'an address',
		make: 'ip address add 192.0.2.9/24 dev d0',
		undo: 'ip address delete 192.0.2.9/24 dev d0',
		expected: /left behind of addresses: d0 local 192\.0\.2\.9/,
	},
	{
		kind: 'a multicast group',
		make: 'ip maddress add 33:33:00:00:12:34 dev d0',
		undo: 'ip maddress delete 33:33:00:00:12:34 dev d0',
		expected: /left behind of groups: d0 link 33:33:00:00:12:34/,
	},
	{
		kind: 'a qdisc with a filter',
		make: 'tc qdisc add dev d0 clsact && tc filter add dev d0 ingress bpf da bytecode "1,6 0 0 2,"',
		undo: 'tc qdisc delete dev d0 clsact',
		expected: /left behind of qdiscs: .*clsact.*left behind of filters: d0 ingress .*bpf/s,
	},
	{
		kind: 'a promiscuous mode',
		make: 'ip link set d0 promisc on',
		undo: 'ip link set d0 promisc off',
		expected: /left behind of links: ifname d0 .*promiscuity 1/,
	},
	{
		kind: 'an nft table',
		make: 'nft add table inet left',
		undo: 'nft delete table inet left',
		expected: /left behind of nftTables: table inet left/,
	},
	{
		kind: 'a lost address',
		make: 'ip address delete 192.0.2.1/24 dev d0',
		undo: 'ip address add 192.0.2.1/24 dev d0',
		expected: /missing of addresses: d0 local 192\.0\.2\.1/,
	},
];

const finds = test.macro({
	title: (_, leak: Leak) => `${leak.kind} is found`,
	async exec(t: ExecutionContext, leak: Leak) {
		const scope = { namespace: namespace.name };
		const before = await snapshot(scope);
		assertNoLeaks(before, await snapshot(scope));
		await namespace.exec('sh', ['-c', leak.make]);
		const error = await t.throwsAsync(async () => assertNoLeaks(before, await snapshot(scope)));
		t.regex(error!.message, leak.expected);
		await namespace.exec('sh', ['-c', leak.undo]);
		await t.notThrowsAsync(assertNothingLeft(before, scope));
	},
});

for (const leak of leaks) test.serial(finds, leak);

test.serial('a process, a namespace, an open file and a file are found', async t => {
	const [folder, remove] = makeFolder('leaks');
	t.teardown(remove);
	const scope: Scope = {
		namespace: namespace.name,
		commands: /sleep 43210/,
		pids: [process.pid],
		folders: [folder],
	};
	const before = await snapshot(scope);
	const other = await Namespace.create('other');
	other.spawn('sleep', ['43210'], { stdio: 'ignore' });
	namespace.spawn('sleep', ['43211'], { stdio: 'ignore' });
	await until('both programs', 20_000, async () =>
		(await Promise.all([other.pids(), namespace.pids()])).every(pids => pids.length > 0),
	);
	const file = join(folder, 'forgotten');
	await writeFile(file, '');
	const fd = openSync(file, 'r');
	const error = await t.throwsAsync(async () => assertNoLeaks(before, await snapshot(scope)));
	for (const expected of ['processes: sleep 43210', 'processes: sleep 43211', `namespaces: ${other.name}`]) {
		t.true(error!.message.includes(`left behind of ${expected}`), error!.message);
	}
	t.true(error!.message.includes(`left behind of fds: ${process.pid} ${file}`));
	t.true(error!.message.includes(`left behind of files: ${file}`));
	closeSync(fd);
	await other.delete();
});
