import { createConnection } from 'node:net';
import test from 'ava';
import type { Listing, Master, Slave } from '../../../src/control/model.js';
import { until } from '../../../src/lab/wait.js';
import { closeFd } from '../../../src/sys/fd.js';
import { getLink, requireLink } from '../../../src/sys/netlink/link.js';
import { openTap, setPersist, TAP_MTU_MAX } from '../../../src/sys/tap.js';
import { enterFreshNamespace, run as ip } from '../../helpers/in-namespace.js';
import { Site } from './site.js';

test.before(enterFreshNamespace);

const state = async (site: Site, name: string) => (await site.json<Slave | Master>('show', name)).state;

test.serial('a slave is up while somebody has its TAP open', async t => {
	const site = new Site(t);
	await site.attach('a');
	for (let round = 0; round < 3; round++) {
		t.is(await state(site, 'a'), 'down');
		const fd = openTap('ipvt-a');
		await until('the slave to be up', 20_000, async () => (await state(site, 'a')) === 'up');
		closeFd(fd);
		await until('the slave to be down', 20_000, async () => (await state(site, 'a')) === 'down');
	}
});

test.serial('a slave whose TAP is deleted is removed, and its addresses are free within 100 ms', async t => {
	const site = new Site(t);
	await site.attach('a', '--ip', '192.0.2.10');
	await site.attach('b');
	ip('ip', 'link', 'delete', 'ipvt-a');
	const began = performance.now();
	await until('the slave to be removed', 20_000, () => site.logged('slave detached') === 1);
	t.true(performance.now() - began < 100);
	t.deepEqual(
		(await site.list()).slaves.map(({ name }) => name),
		['b'],
	);
	t.is(site.logged('TAP was deleted by somebody else'), 1);
	await site.json('set', 'b', '--ip', '+192.0.2.10');
	ip('ip', 'link', 'delete', 'ipvt-b');
	await site.gone();
});

test.serial('a TAP that is given up by its holder goes with it', async t => {
	const site = new Site(t);
	await site.attach('a');
	const fd = openTap('ipvt-a');
	setPersist(fd, false);
	closeFd(fd);
	await site.gone();
	t.is(getLink('ipvt-a'), undefined);
});

test.serial('a TAP that is renamed is still its slave', async t => {
	const site = new Site(t);
	await site.attach('a');
	ip('ip', 'link', 'set', 'ipvt-a', 'down');
	ip('ip', 'link', 'set', 'ipvt-a', 'name', 'ipvt-z');
	await until('the new name', 20_000, async () => (await site.json<Slave>('show', 'a')).ifname === 'ipvt-z');
	await site.json('detach', 'a');
	t.is(getLink('ipvt-z'), undefined);
});

test.serial('a master may change its name, MAC and MTU', async t => {
	const site = new Site(t);
	await site.attach('a', '--ip', '192.0.2.10');
	const shown = async () => (await site.list()).masters[0] as Master;
	ip('ip', 'link', 'set', 'eth0', 'address', '02:00:00:00:00:77');
	await until('the new MAC', 20_000, async () => (await shown()).mac === '02:00:00:00:00:77');
	ip('ip', 'link', 'set', 'eth0', 'mtu', '1400');
	await until('the new MTU', 20_000, async () => (await shown()).mtu === 1400);
	await until(
		'the new MTU of the slave',
		20_000,
		async () => (await site.json<Slave>('show', 'a')).mtu === 1400,
	);
	ip('ip', 'link', 'set', 'eth0', 'down');
	await until('the master to be down', 20_000, async () => (await shown()).state === 'down');
	ip('ip', 'link', 'set', 'eth0', 'name', 'lan0');
	ip('ip', 'link', 'set', 'lan0', 'up');
	await until(
		'the new name',
		20_000,
		async () => (await shown()).name === 'lan0' && (await shown()).state === 'up',
	);
	t.is((await site.json<Slave>('show', 'a')).master, 'lan0');
	await site.crash();
	t.like(await site.json<Slave>('show', 'a'), { master: 'lan0' }, 'it is the new name that was written down');
	await site.json('down', 'lan0', '--force');
});

test.serial('masters that change places keep their slaves', async t => {
	const site = new Site(t, ['eth0', 'eth1']);
	const [a, b] = [
		await site.attach('a', '--ip', '192.0.2.10'),
		await site.attachTo('eth1', 'b', '--ip', '192.0.2.70'),
	];
	const before = await site.list();
	const ifindexOf = ({ masters }: Listing, name: string) =>
		masters.find(master => master.name === name)?.ifindex;
	renameAtOnce(['eth0', 'spare'], ['eth1', 'eth0'], ['spare', 'eth1']);
	const swapped = async () => {
		const now = await site.list();
		return (
			ifindexOf(now, 'eth0') === ifindexOf(before, 'eth1') &&
			ifindexOf(now, 'eth1') === ifindexOf(before, 'eth0')
		);
	};
	await until('the new names', 20_000, swapped);
	t.like(await site.json<Slave>('show', 'a'), { master: 'eth1', problem: undefined, addresses: a.addresses });
	t.like(await site.json<Slave>('show', 'b'), { master: 'eth0', problem: undefined, addresses: b.addresses });
	await site.crash();
	t.true(await swapped(), 'it is the new names that were written down');
	await site.json('down', 'eth0', '--force');
	await site.json('down', 'eth1', '--force');
});

test.serial(
	"a master that is given a slave's name, or that of one that is waited for, loses nobody",
	async t => {
		const site = new Site(t, ['eth0', 'eth1']);
		await site.attach('a', '--ip', '192.0.2.10');
		await site.attachTo('eth1', 'b', '--ip', '192.0.2.70');
		ip('ip', 'link', 'set', 'eth0', 'name', 'b');
		const masters = async () => (await site.list()).masters.map(({ name }) => name).sort();
		await until('the new name', 20_000, async () => (await masters()).includes('b'));
		await site.crash();
		t.deepEqual(await masters(), ['b', 'eth1']);
		t.deepEqual(
			(await site.list()).slaves.map(({ name, problem }) => [name, problem]),
			[
				['a', undefined],
				['b', undefined],
			],
		);
		ip('ip', 'link', 'delete', 'eth1');
		await until(
			'the loss to be seen',
			20_000,
			async () => (await site.json<Slave>('show', 'b')).problem !== undefined,
		);
		ip('ip', 'link', 'set', 'dev', 'b', 'name', 'eth1');
		await until(
			'it to be found',
			20_000,
			async () => (await site.json<Slave>('show', 'b')).problem === undefined,
		);
		t.like((await site.list()).masters, [{ name: 'eth1', slaves: 2 }]);
		await site.json('down', 'eth1', '--force');
	},
);

test.serial('each master has a host slave of its own, whatever it was called before', async t => {
	const site = new Site(t);
	const { host } = await site.json<Master>('up', 'eth0');
	ip('ip', 'link', 'set', 'eth0', 'name', 'lan0');
	ip('ip', 'link', 'add', 'eth0', 'type', 'veth', 'peer', 'name', 'sw9');
	const other = await site.json<Master>('up', 'eth0');
	t.is(other.host, `ipvh${other.ifindex}`);
	t.is((await site.json<Master>('show', 'lan0')).host, host);
	t.is((await site.run('up', `ipvp${other.ifindex}`)).status, 4, "it is ipvtap's own");
	// What a killed daemon has left is found by its name.
	await site.crash();
	ip('ip', 'link', 'delete', 'eth0');
	await site.json('list');
	await site.json('down', 'eth0');
	t.is(getLink(other.host as string), undefined);
	await site.json('down', 'lan0');
});

test.serial('an MTU that no TAP can have is followed as far as it goes', async t => {
	const site = new Site(t);
	await site.attach('a');
	const mtu = async (name: string) => (await site.json<Slave>('show', name)).mtu;
	ip('ip', 'link', 'set', 'eth0', 'mtu', '65535');
	await until('the new MTU', 20_000, async () => (await mtu('a')) === TAP_MTU_MAX);
	t.is((await site.attach('b')).mtu, TAP_MTU_MAX);
	ip('ip', 'link', 'set', 'eth0', 'mtu', '68');
	await until('the new MTU', 20_000, async () => (await mtu('a')) === 68);
	await site.json('down', 'eth0', '--force');
});

test.serial('a master that is deleted and comes back has its slaves again', async t => {
	const site = new Site(t);
	const slave = await site.attach('a', '--ip', '192.0.2.10');
	ip('ip', 'link', 'delete', 'eth0');
	await until(
		'the loss to be seen',
		20_000,
		async () => (await site.json<Master>('show', 'eth0')).problem !== undefined,
	);
	t.like(await site.json<Master>('show', 'eth0'), { state: 'down', problem: 'eth0 is gone', host: null });
	t.like(await site.json<Slave>('show', 'a'), { problem: 'eth0 is gone', addresses: slave.addresses });
	t.regex(
		(await site.run('list')).stdout,
		/\neth0 +failed [\s\S]*\na +eth0 +failed [\s\S]*\neth0: eth0 is gone\n/,
	);
	t.is(requireLink('ipvt-a').ifindex, slave.ifindex, 'the TAP waits');
	site.addMaster('eth0');
	await until(
		'the port to open',
		20_000,
		async () => (await site.json<Master>('show', 'eth0')).problem === undefined,
	);
	const { problem, addresses } = await site.json<Slave>('show', 'a');
	t.is(problem, undefined);
	t.deepEqual(addresses, slave.addresses);
	await site.json('detach', 'a');
});

test.serial('a master that is gone can be taken down, and refuses slaves', async t => {
	const site = new Site(t);
	await site.attach('a');
	ip('ip', 'link', 'delete', 'eth0');
	await until(
		'the loss to be seen',
		20_000,
		async () => (await site.json<Master>('show', 'eth0')).problem !== undefined,
	);
	const { status, stderr } = await site.run('attach', 'b', '--master', 'eth0');
	t.is(status, 3, stderr);
	t.regex(
		stderr,
		/^error: can't use 'eth0' as a master: there is no such interface\nhint: interfaces here: /,
	);
	t.is(getLink('ipvt-b'), undefined);
	await site.json('down', 'eth0', '--force');
	await site.gone();
});

test.serial('a daemon that finds no master keeps its slaves until there is one', async t => {
	const site = new Site(t);
	await site.attach('a', '--ip', '192.0.2.10');
	await site.crash();
	ip('ip', 'link', 'delete', 'eth0');
	t.like((await site.list()).slaves[0], {
		name: 'a',
		problem: "can't use 'eth0' as a master: there is no such interface",
	});
	site.addMaster('eth0');
	await until('the port to open', 20_000, async () => (await site.list()).slaves[0]?.problem === undefined);
});

test.serial('a master that is down is taken with a warning', async t => {
	const site = new Site(t);
	ip('ip', 'link', 'set', 'eth0', 'down');
	const { status, stdout, stderr } = await site.run('up', 'eth0', '--json');
	t.is(status, 0, stderr);
	const warning = 'eth0 is down: guests reach the wire when it is up (ip link set eth0 up)';
	t.is(stderr, `warning: ${warning}\n`);
	t.like(JSON.parse(stdout) as Master, { state: 'down', warnings: [warning] });
	ip('ip', 'link', 'set', 'eth0', 'up');
	await until('the master to be up', 20_000, async () => (await state(site, 'eth0')) === 'up');
});

test.serial('a slave of a `run` that is ended while it waits for it goes at once', async t => {
	const site = new Site(t);
	await site.json('up', 'eth0');
	const body = JSON.stringify({ master: 'eth0', ephemeral: true });
	const connection = createConnection(site.socket);
	connection.end(
		`PUT /v1/slaves/a HTTP/1.1\r\nHost: x\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
		() => connection.destroy(),
	);
	await until('it to be made and to go', 20_000, () => site.logged('slave detached') === 1);
	t.is(site.logged('slave attached'), 1);
	await site.gone();
});

test.serial('a slave of `run` that nobody opens is removed after 30 s', async t => {
	const site = new Site(t);
	await site.json('up', 'eth0');
	const put = ['-s', '-f', '-X', 'PUT', '-d', '{"master":"eth0","ephemeral":true}'];
	ip('curl', '--unix-socket', site.socket, ...put, 'http://ipvtap/v1/slaves/a');
	t.is((await site.list()).slaves.length, 1);
	await until('the slave to be removed', 35_000, () => site.logged('slave detached') === 1);
	t.is(getLink('ipvt-a'), undefined);
	await site.gone();
});

/** One batch: nobody looks at a device in between. */
function renameAtOnce(...names: [from: string, to: string][]): void {
	const lines = names.map(([from, to]) => `link set ${from} name ${to}`).join('\n');
	ip('sh', '-c', `echo "${lines}" | ip -batch -`);
}
