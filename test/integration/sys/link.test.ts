import { spawn } from 'node:child_process';
import { once } from 'node:events';
import test from 'ava';
import { NetlinkError } from '../../../src/sys/netlink/error.js';
import * as links from '../../../src/sys/netlink/link.js';
import { createTap } from '../../../src/sys/tap.js';
import { enterFreshNamespace, run } from '../../helpers/in-namespace.js';

test.before(enterFreshNamespace);
test.afterEach.always(() => {
	const made = links.listLinks().filter(link => link.name !== 'lo');
	links.deleteLinks(made.map(link => link.ifindex));
});

test.serial('a device is found by name, by number and by alternative name', t => {
	links.createVeth({
		name: 'v0',
		peer: 'v1',
		mtu: 9000,
		mac: '02:00:00:00:00:01',
		peerMac: '02:00:00:00:00:02',
	});
	const v0 = links.requireLink('v0');
	t.like(v0, {
		name: 'v0',
		kind: 'veth',
		mac: '02:00:00:00:00:01',
		mtu: 9000,
		operstate: 'down',
		arpType: 1,
	});
	t.like(links.getLink('v1'), { mac: '02:00:00:00:00:02', mtu: 9000, linkIfindex: v0.ifindex });
	t.deepEqual(links.getLink(v0.ifindex), v0);
	run('ip', 'link', 'property', 'add', 'dev', 'v0', 'altname', 'a-name-too-long-for-the-kernel');
	t.is(links.getLink('a-name-too-long-for-the-kernel')?.ifindex, v0.ifindex);
	t.is(links.getLink('nobody'), undefined);
	t.is(links.getLink(4711), undefined);
	t.throws(() => links.requireLink('nobody'), {
		code: 'not-found',
		message: /there is no such network device/,
	});
});

test.serial('`ip -json` says the same about every device', t => {
	links.createVeth({ name: 'v0', peer: 'v1' });
	createTap('t0', { owner: undefined, queues: 1, vnetHeader: true });
	run('ip', 'link', 'add', 'br0', 'type', 'bridge');
	run('ip', 'link', 'set', 't0', 'master', 'br0', 'up');
	run('ip', 'link', 'set', 'v0', 'up');
	run('ip', 'link', 'set', 'v1', 'up');
	const theirs = JSON.parse(run('ip', '-json', '-details', '-stats', 'link')) as IpLink[];
	const name = (ifindex: number | undefined) => theirs.find(link => link.ifindex === ifindex)?.ifname;
	const ours = links.listLinks().map(link => ({
		ifindex: link.ifindex,
		ifname: link.name,
		kind: link.kind,
		address: link.mac,
		mtu: link.mtu,
		operstate: link.operstate.toUpperCase(),
		up: (link.flags & links.IFF_UP) !== 0,
		master: name(link.masterIfindex),
		link: name(link.linkIfindex),
		loopback: link.arpType === 772,
	}));
	t.deepEqual(
		ours,
		theirs.map(link => ({
			ifindex: link.ifindex,
			ifname: link.ifname,
			kind: link.linkinfo?.info_kind,
			address: link.address,
			mtu: link.mtu,
			operstate: link.operstate,
			up: link.flags.includes('UP'),
			master: link.master,
			link: link.link,
			loopback: link.link_type === 'loopback',
		})),
	);
});

test.serial('counters are those of the device', t => {
	links.createVeth({ name: 'v0', peer: 'v1' });
	links.setLink('v0', { up: true, addrGenModeNone: true, noarp: true });
	links.setLink('v1', { up: true, addrGenModeNone: true });
	run('ip', 'address', 'add', '10.0.0.1/24', 'dev', 'v0');
	const before = links.requireLink('v0').stats.tx;
	spawnPings('10.0.0.2', 5);
	const after = links.requireLink('v0').stats.tx;
	t.is(after.packets - before.packets, 5);
	t.is(after.bytes - before.bytes, 5 * 98);
	t.is(links.requireLink('v1').stats.rx.packets, after.packets);
});

test.serial('everything that can be set is set, and is left alone when not mentioned', t => {
	links.createVeth({ name: 'v0', peer: 'v1' });
	links.setLink('v0', {
		up: true,
		mtu: 1400,
		mac: '02:00:00:00:00:77',
		noarp: true,
		promisc: true,
		alias: 'ipvtap of eth0',
		addrGenModeNone: true,
	});
	const up = links.requireLink('v0');
	t.like(up, { mtu: 1400, mac: '02:00:00:00:00:77', alias: 'ipvtap of eth0' });
	t.is(up.flags & (links.IFF_UP | links.IFF_NOARP | links.IFF_PROMISC), up.flags & 0x181);
	links.setLink('v0', { promisc: false });
	t.is(links.requireLink('v0').flags & links.IFF_PROMISC, 0);
	t.is(links.requireLink('v0').flags & links.IFF_NOARP, links.IFF_NOARP);
	links.setLink('v0', { up: false, name: 'w0', noarp: false });
	t.like(links.requireLink('w0'), {
		ifindex: up.ifindex,
		mtu: 1400,
		flags: links.IFF_BROADCAST | links.IFF_MULTICAST,
	});
	links.setLink(up.ifindex, { name: 'v0' });
	t.is(links.getLink('w0'), undefined);
});

test.serial('with addrGenModeNone no link-local address ever exists', t => {
	links.createVeth({ name: 'v0', peer: 'v1', mtu: 1200 });
	// Below 1280 bytes the device has no IPv6: the setting must be made after the MTU and before `up`.
	links.setLink('v0', { mtu: 1500, up: true, addrGenModeNone: true });
	links.setLink('v1', { up: true, mtu: 1500 });
	t.is(run('ip', '-6', 'address', 'show', 'dev', 'v0'), '');
	t.regex(run('ip', '-6', 'address', 'show', 'dev', 'v1'), /fe80::/);
	links.setLink('v0', { up: false, mtu: 1200, addrGenModeNone: true });
	links.setLink('v0', { mtu: 1500, addrGenModeNone: true, up: true });
	t.is(run('ip', '-6', 'address', 'show', 'dev', 'v0'), '');
});

test.serial('a refusal says what, why, and in the kernel’s words', t => {
	links.createVeth({ name: 'v0', peer: 'v1' });
	const error = t.throws(() => links.setLink('v0', { mtu: 10 }), { instanceOf: NetlinkError });
	t.is(error?.message, 'change v0: Invalid argument (EINVAL): mtu less than device minimum');
	t.like(error, { code: 'failed', errnoName: 'EINVAL', kernelText: 'mtu less than device minimum' });
	t.throws(() => links.createVeth({ name: 'v0', peer: 'v2' }), {
		code: 'conflict',
		message: /^create veth v0: .*EEXIST/,
	});
	t.throws(() => links.setLink('nobody', { up: true }), { code: 'not-found' });
	t.throws(() => links.setLink('v0', { mac: '02:00' }), { code: 'usage' });
	t.throws(() => links.setLink('v0', { name: 'v1' }), { code: 'conflict' });
});

test.serial('deletion tells whether there was something, and takes many at once', t => {
	links.createVeth({ name: 'v0', peer: 'v1' });
	t.true(links.deleteLink('v0'));
	t.false(links.deleteLink('v0'));
	t.false(links.deleteLink(4711));
	for (let i = 0; i < 50; i++) createTap(`t${i}`, { owner: undefined, queues: 1, vnetHeader: true });
	links.createVeth({ name: 'kept', peer: 'kept2' });
	const doomed = links.listLinks().filter(link => link.kind === 'tun');
	t.is(doomed.length, 50);
	const start = performance.now();
	links.deleteLinks([...doomed.map(link => link.ifindex), 4711]);
	t.log(`50 devices deleted together in ${(performance.now() - start).toFixed(1)} ms`);
	t.deepEqual(
		links
			.listLinks()
			.map(link => link.name)
			.sort(),
		['kept', 'kept2', 'lo'],
	);
	links.deleteLinks([]);
	const both = ['lo', 'kept'].map(name => links.requireLink(name).ifindex);
	t.throws(() => links.deleteLinks(both), { message: /EOPNOTSUPP|ENOTSUP/ });
	t.notRegex(run('ip', '-d', 'link'), /group (?!default)/);
	t.truthy(links.getLink('kept'));
});

test.serial('a list taken while devices come and go lacks none of the others', async t => {
	for (let i = 0; i < 300; i++) createTap(`t${i}`, { owner: undefined, queues: 1, vnetHeader: true });
	const churn = spawn('sh', [
		'-c',
		'while :; do ip link add d0 type veth peer name d1; ip link del d0; done',
	]);
	await once(churn, 'spawn');
	for (let i = 0; i < 50; i++) {
		const names = new Set(links.listLinks().map(link => link.name));
		for (let tap = 0; tap < 300; tap++) if (!names.has(`t${tap}`)) t.fail(`t${tap} is missing`);
	}
	churn.kill('SIGKILL');
	await once(churn, 'exit');
	t.pass();
});

interface IpLink {
	ifindex: number;
	ifname: string;
	link?: string;
	master?: string;
	flags: string[];
	mtu: number;
	operstate: string;
	link_type: string;
	address: string;
	linkinfo?: { info_kind: string };
}

/** Nobody answers, so ping fails; what counts is what it sent. */
function spawnPings(address: string, count: number): void {
	try {
		run('ping', '-q', '-i', '0.01', '-W', '0.1', '-c', String(count), address);
	} catch {}
}
