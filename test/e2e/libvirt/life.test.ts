import test from 'ava';
import { until } from '../../../src/lab/wait.js';
import { capture } from './announced.js';
import { assertClean, assertNothingLeft } from './clean.js';
import { LibvirtHost } from './libvirt-host.js';

const web1 = { target: 'ipvt-web1', mac: '52:54:00:00:00:11', addresses: ['192.0.2.11', '2001:db8:1::11'] };
const web2 = { target: 'ipvt-web2', mac: '52:54:00:00:00:12', addresses: ['192.0.2.12'] };

let host: LibvirtHost;
test.before(async () => {
	host = await LibvirtHost.create();
});
test.after.always(() => host?.close());
test.afterEach.always(t => assertClean(t, host));

test.serial('start, ping through the master, reboot, destroy', async t => {
	await host.define({ name: 'web', nics: [web1] });
	const began = performance.now();
	await host.virsh('start', 'web');
	t.log(`virsh start: ${Math.round(performance.now() - began)} ms`);
	await host.answers('192.0.2.11');
	await host.answers('2001:db8:1::11');
	const slave = await host.slave('web1');
	const uuid = (await host.virsh('domuuid', 'web')).trim();
	t.like(slave, { ifname: 'ipvt-web1', mac: '52:54:00:00:00:11', state: 'up', master: 'eth0', learn: false });
	t.deepEqual(slave?.domain, { name: 'web', uuid, alias: 'net0', state: 'running' });
	t.regex(await host.ipvtap('list'), /web1 .* 192\.0\.2\.11, 2001:db8:1::11.* web \(running, net0\)\n/);
	t.regex(await host.ipvtap('show', 'web1'), /^domain: +web \(running, net0\)$/m);
	t.regex(await host.virsh('domiflist', 'web'), /ipvt-web1 +ethernet +- +virtio +52:54:00:00:00:11/);
	await host.virsh('reset', 'web');
	await until('the guest to be gone', 20_000, async () => !(await host.pings('192.0.2.11')));
	await host.answers('192.0.2.11');
	t.is((await host.slave('web1'))?.ifindex, slave?.ifindex);
	await host.virsh('destroy', 'web');
	await assertNothingLeft(t, host);
});

test.serial(
	"a started and a restored domain's addresses are announced, before its guest says anything",
	async t => {
		await host.define({ name: 'web', nics: [web1] });
		for (const begin of [
			['start', 'web', '--paused'],
			['restore', `${host.lan.folder}/web.save`, '--paused'],
		]) {
			const announced = await capture(t, host.lan);
			await host.virsh(...begin);
			for (const address of web1.addresses) await announced(address);
			t.is((await host.virsh('domstate', 'web')).trim(), 'paused');
			if (begin[0] === 'start') await host.virsh('save', 'web', `${host.lan.folder}/web.save`);
		}
		await host.virsh('destroy', 'web');
		await assertNothingLeft(t, host);
	},
);

test.serial('virsh domifstat and ipvtap stats count the same frames, each from its end', async t => {
	await host.define({ name: 'web', nics: [web1] });
	await host.virsh('start', 'web');
	await host.answers('192.0.2.11');
	// The guest's own chatter may fall between two looks, so they are taken until it doesn't.
	const { mine, theirs } = await until('a quiet moment', 10_000, async () => {
		const look = async () => (await host.slave('web1'))?.stats;
		const before = await look();
		const said = await host.virsh('domifstat', 'web', 'ipvt-web1');
		const mine = await look();
		if (before?.rx.packets !== mine?.rx.packets || before?.tx.packets !== mine?.tx.packets) return false;
		const counter = (name: string) => Number(new RegExp(`ipvt-web1 ${name} (\\d+)`).exec(said)?.[1]);
		return mine && { mine, theirs: { rx: counter('rx_packets'), tx: counter('tx_packets') } };
	});
	t.is(theirs.rx, mine.rx.packets);
	t.is(theirs.tx, mine.tx.packets);
});

test.serial('a guest powers itself off', async t => {
	const agent = await host.boot({ name: 'web', nics: [web1] });
	agent.post('poweroff -f');
	await until('the end', 10_000, async () => (await host.virsh('domstate', 'web')).trim() === 'shut off');
	await assertNothingLeft(t, host);
});

test.serial('QEMU is killed: its addresses are free at once, and it can start again', async t => {
	await host.define({ name: 'web', nics: [web1] });
	for (const _ of ['first', 'second']) {
		await host.virsh('start', 'web');
		await host.answers('192.0.2.11');
		process.kill(await host.qemuPid('web'), 'SIGKILL');
		await until(
			'libvirt to notice',
			10_000,
			async () => (await host.virsh('domstate', 'web')).trim() === 'shut off',
		);
		await assertNothingLeft(t, host);
	}
});

test.serial('QEMU dies while libvirtd is away', async t => {
	await host.define({ name: 'web', nics: [web1] });
	await host.virsh('start', 'web');
	await host.answers('192.0.2.11');
	await host.stopLibvirt('SIGKILL');
	process.kill(await host.qemuPid('web'), 'SIGKILL');
	await until('the slave and the domain to go', 20_000, async () => {
		const { slaves, domains } = await host.list();
		return slaves.length === 0 && domains === undefined;
	});
	t.deepEqual(await host.traces(), []);
	await host.startLibvirt();
	t.is((await host.virsh('domstate', 'web')).trim(), 'shut off');
	await assertNothingLeft(t, host);
});

test.serial('save keeps the addresses for the domain, restore brings it back to them', async t => {
	// As addresses and MACs may be written, too.
	const written = { ...web1, mac: '52:54:00:00:00:AB', addresses: ['192.0.2.11', '2001:DB8:1:0::0011'] };
	await host.define({ name: 'web', nics: [written] });
	await host.virsh('start', 'web');
	await host.answers('192.0.2.11');
	await host.virsh('save', 'web', `${host.lan.folder}/web.save`);
	t.like(await host.list(), { slaves: [], domains: [{ name: 'web', state: 'saved' }] });
	t.deepEqual(await host.traces(), []);
	t.regex(await host.ipvtap('list'), /^web +saved +web1 192\.0\.2\.11 2001:db8:1::11$/m);
	const refused = await host.tryIpvtap('attach', 'thief', '--master', 'eth0', '--ip', '192.0.2.11');
	t.is(refused.rc, 4);
	t.regex(
		refused.err,
		/error: the address 192\.0\.2\.11 is in use: it is kept for the saved domain 'web'\nhint: .*ipvtap detach web1/,
	);
	t.is((await host.tryIpvtap('attach', 'thief', '--master', 'eth0', '--ip', '2001:db8:1::11')).rc, 4);
	await host.stopIpvtapd();
	await host.startIpvtapd();
	t.like(await host.list(), { domains: [{ name: 'web', state: 'saved' }] }, 'a restart keeps it');
	await host.virsh('restore', `${host.lan.folder}/web.save`);
	await host.answers('192.0.2.11');
	t.like(await host.slave('web1'), { domain: { state: 'running' } });
	await host.virsh('managedsave', 'web');
	t.like(await host.list(), { slaves: [], domains: [{ name: 'web', state: 'saved' }] });
	await host.ipvtap('detach', 'web1');
	await assertNothingLeft(t, host);
});

// restarts.test.ts has them between any two steps of one domain's life.
test.serial('libvirtd and ipvtapd are killed under running guests, and away while one ends', async t => {
	await host.define({ name: 'web', nics: [web1] });
	await host.define({ name: 'other', nics: [web2] });
	await host.virsh('start', 'web');
	await host.virsh('start', 'other');
	await Promise.all([host.answers('192.0.2.11'), host.answers('192.0.2.12')]);
	const before = await host.slave('web1');
	await host.stopIpvtapd('SIGKILL');
	await host.startIpvtapd();
	await host.answers('192.0.2.11');
	const after = await host.slave('web1');
	t.is(after?.ifindex, before?.ifindex);
	t.deepEqual(after?.domain, before?.domain);
	await host.stopLibvirt('SIGKILL');
	await host.startLibvirt();
	t.true(await host.pings('192.0.2.11'));
	t.true(await host.pings('192.0.2.12'));
	await host.stopLibvirt('SIGKILL');
	await host.stopIpvtapd('SIGKILL');
	await host.startLibvirt();
	// The hook found no daemon, and that did the guests no harm.
	t.is((await host.virsh('domstate', 'web')).trim(), 'running');
	await host.startIpvtapd();
	await host.answers('192.0.2.12');
	await host.virsh('destroy', 'web');
	t.deepEqual(
		(await host.list()).slaves.map(({ name }) => name),
		['web2'],
	);
	await host.stopIpvtapd('SIGKILL');
	await host.virsh('destroy', 'other');
	await host.startIpvtapd();
	await assertNothingLeft(t, host);
});

test.serial('a daemon that has lost its memory learns of running guests from libvirt', async t => {
	await host.define({ name: 'web', nics: [web1] });
	await host.virsh('start', 'web');
	await host.answers('192.0.2.11');
	await host.stopIpvtapd('SIGKILL');
	await host.sh('rm "$IPVTAP_STATE_DIR"/state.json');
	await host.startIpvtapd();
	t.is(await host.slave('web1'), undefined);
	await host.stopLibvirt();
	await host.startLibvirt();
	await host.answers('192.0.2.11');
	// An offload may let it answer before that.
	const slave = await until('libvirt to tell', 10_000, () => host.slave('web1'));
	t.like(slave, { domain: { name: 'web', state: 'running', alias: 'net0' } });
});

test.serial('two NICs on two masters, one of which goes and comes back', async t => {
	const { name: host0 } = host.lan.host;
	const plugWire = () =>
		host.lan.laptop.ip(
			`link add wire1 type veth peer name eth1 netns ${host0}`,
			'link set wire1 up',
			'address add 198.51.100.3/24 dev wire1',
		);
	await plugWire();
	await host.lan.host.ip('link set eth1 up', 'address add 198.51.100.2/24 dev eth1');
	const dmz = {
		target: 'ipvt-dmz',
		mac: '52:54:00:00:00:13',
		addresses: ['198.51.100.11'],
		master: 'eth1',
		attributes: "flag='private' mode='l2'",
	};
	await host.define({ name: 'gw', nics: [web1, dmz] });
	await host.virsh('start', 'gw');
	await host.answers('192.0.2.11');
	await host.answers('198.51.100.11');
	const { masters, slaves } = await host.list();
	t.like(
		masters.find(({ name }) => name === 'eth1'),
		{ flag: 'private', slaves: 1 },
	);
	t.deepEqual(
		slaves.map(({ name, master, domain }) => [name, master, domain?.alias]),
		[
			['web1', 'eth0', 'net0'],
			['dmz', 'eth1', 'net1'],
		],
	);
	await host.lan.laptop.ip('link delete wire1');
	await until('the loss to show', 20_000, async () => (await host.slave('dmz'))?.problem !== undefined);
	t.true(await host.pings('192.0.2.11'));
	t.is((await host.virsh('domstate', 'gw')).trim(), 'running');
	await plugWire();
	await host.lan.host.ip('link set eth1 up', 'address add 198.51.100.2/24 dev eth1');
	await host.answers('198.51.100.11');
	await host.virsh('destroy', 'gw');
	t.is(
		(await host.list()).masters.find(({ name }) => name === 'eth1'),
		undefined,
		'opened for its slave, it closes with it',
	);
	await host.lan.laptop.ip('link delete wire1');
});
