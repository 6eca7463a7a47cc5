import { chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { until } from '../../../src/lab/wait.js';
import { assertClean, assertNothingLeft } from './clean.js';
import { interfaceXml } from './domain-xml.js';
import { LibvirtHost } from './libvirt-host.js';
import { emptyDisk } from './qcow2.js';

const web1 = { target: 'ipvt-web1', mac: '52:54:00:00:00:11', addresses: ['192.0.2.11'] };

let host: LibvirtHost;
test.before(async () => {
	host = await LibvirtHost.create();
});
test.after.always(() => host?.close());
test.afterEach.always(t => assertClean(t, host));

/** A domain whose guest is up; gives back a way to run commands in it. */
async function booted(nics = [web1]): Promise<(script: string) => Promise<string>> {
	const agent = await host.boot({ name: 'web', nics });
	return async script => (await agent.run(script, 20_000)).out;
}

/** With both NICs up in one subnet, a Linux guest answers on the first, which may not use the second's address. */
const useEth1 = (address: string): string =>
	`for _ in $(seq 200); do [ -e /sys/class/net/eth1 ] && break; usleep 20000; done
	ip link set eth0 down; ip link set eth1 up; ip addr add ${address}/24 dev eth1`;

/** For a guest that had none when it came up. */
const onlyNic = `for _ in $(seq 200); do [ -e /sys/class/net/eth0 ] && break; usleep 20000; done
	ip link set eth0 up; ip addr add 192.0.2.12/24 dev eth0`;

test.serial('attach --domain plugs in and detach --domain unplugs, in one command each', async t => {
	const inGuest = await booted();
	await host.ipvtap('attach', 'web2', '--master', 'eth0', '--ip', '192.0.2.12', '--domain', 'web');
	t.like(await host.slave('web2'), { state: 'up', domain: { name: 'web', state: 'running', alias: 'net1' } });
	await inGuest(useEth1('192.0.2.12'));
	await host.answers('192.0.2.12');
	t.regex(await host.virsh('domiflist', 'web'), /ipvt-web2 +ethernet/);
	await host.ipvtap('detach', 'web2', '--domain', 'web');
	t.is(await host.slave('web2'), undefined);
	t.notRegex(await host.virsh('domiflist', 'web'), /ipvt-web2/);
	await inGuest('ip link set eth0 up');
	await host.answers('192.0.2.11');
});

test.serial('attach --domain takes back what libvirt refuses', async t => {
	await host.define({ name: 'web', nics: [web1] });
	const shutOff = await host.tryIpvtap('attach', 'web2', '--master', 'eth0', '--domain', 'web', '--json');
	t.is(shutOff.rc, 1);
	t.regex(shutOff.err, /^error: virsh attach-device: .*domain is not running/);
	const nobody = await host.tryIpvtap('attach', 'web2', '--master', 'eth0', '--domain', 'nobody');
	t.is(nobody.rc, 3);
	t.regex(nobody.err, /^error: virsh dumpxml: .*nobody/);
	t.deepEqual((await host.list()).slaves, []);
	t.deepEqual(await host.traces(), []);
});

test.serial('detach --domain of a guest that does not let go: both stay, and go when it does', async t => {
	await booted();
	await host.ipvtap('attach', 'web2', '--master', 'eth0', '--ip', '192.0.2.12', '--domain', 'web');
	// A CPU that stands still answers no request to let go of a device.
	await host.virsh('suspend', 'web');
	const refused = await host.tryIpvtap('detach', 'web2', '--domain', 'web', '--json');
	t.is(refused.rc, 7, refused.err);
	t.regex(refused.err, /^error: .*let go/);
	t.like(await host.slave('web2'), { state: 'up', domain: { name: 'web' } });
	t.regex(await host.virsh('domiflist', 'web'), /ipvt-web2 +ethernet/);
	// libvirt has asked, and asks no more: the guest still answers when it can.
	await host.virsh('resume', 'web');
	await until('the slave to go', 10_000, async () => (await host.slave('web2')) === undefined);
	t.notRegex(await host.virsh('domiflist', 'web'), /ipvt-web2/);
});

test.serial('what --format libvirt prints is taken by virsh attach-device as it is', async t => {
	const inGuest = await booted();
	const xml = await host.ipvtap(
		'attach',
		'web2',
		'--master',
		'eth0',
		'--ip',
		'192.0.2.12',
		'--format',
		'libvirt',
	);
	const file = join(host.lan.folder, 'nic.xml');
	writeFileSync(file, xml);
	await host.virsh('attach-device', 'web', file);
	await inGuest(useEth1('192.0.2.12'));
	await host.answers('192.0.2.12');
	await host.virsh('detach-device', 'web', file);
	await until('QEMU to let go', 10_000, async () => (await host.slave('web2'))?.state === 'down');
	t.notRegex(await host.virsh('domiflist', 'web'), /ipvt-web2/);
	await host.ipvtap('detach', 'web2');
});

test.serial(
	'detach-device alone removes a slave of the domain; what is declared comes back by itself',
	async t => {
		const inGuest = await booted();
		const file = join(host.lan.folder, 'nic.xml');
		writeFileSync(file, interfaceXml(web1));
		await host.virsh('detach-device', 'web', file);
		await until('the slave to go', 10_000, async () => (await host.slave('web1')) === undefined);
		t.deepEqual(await host.traces(), []);
		// Without managed='no', libvirt makes the TAP itself; its name is declared.
		writeFileSync(file, interfaceXml(web1).replace(" managed='no'", ''));
		await host.virsh('attach-device', 'web', file);
		await until('the TAP to be adopted', 20_000, async () => (await host.slave('web1'))?.state === 'up');
		await inGuest(
			'for _ in $(seq 200); do [ -e /sys/class/net/eth0 ] && break; usleep 20000; done; ip link set eth0 up; ip addr add 192.0.2.11/24 dev eth0',
		);
		await host.answers('192.0.2.11');
	},
);

test.serial('a NIC that is declared for later is adopted when its TAP appears', async t => {
	const later = { target: 'ipvt-late', mac: '52:54:00:00:00:99', addresses: ['192.0.2.19'], absent: true };
	const inGuest = await booted([web1, later]);
	t.is(await host.slave('late'), undefined);
	await host.sh('ip tuntap add dev ipvt-late mode tap vnet_hdr');
	await until('the TAP to be adopted', 20_000, async () => (await host.slave('late')) !== undefined);
	const file = join(host.lan.folder, 'nic.xml');
	writeFileSync(file, interfaceXml(later));
	await host.virsh('attach-device', 'web', file);
	await inGuest(useEth1('192.0.2.19'));
	await host.answers('192.0.2.19');
	t.like(await host.slave('late'), { mac: later.mac, domain: { name: 'web', state: 'running' } });
});

test.serial('a declared NIC whose TAP libvirt made comes through save and restore', async t => {
	const later = { target: 'ipvt-late', mac: '52:54:00:00:00:99', addresses: ['192.0.2.19'], absent: true };
	const inGuest = await booted([web1, later]);
	const file = join(host.lan.folder, 'nic.xml');
	writeFileSync(file, interfaceXml(later).replace(" managed='no'", ''));
	await host.virsh('attach-device', 'web', file);
	await inGuest(useEth1('192.0.2.19'));
	await host.answers('192.0.2.19');
	await host.virsh('save', 'web', `${host.lan.folder}/web.save`);
	t.like(await host.list(), { slaves: [], domains: [{ name: 'web', state: 'saved' }] });
	await host.listen();
	await host.virsh('restore', `${host.lan.folder}/web.save`);
	await host.answers('192.0.2.19');
	t.like(await host.slave('late'), { domain: { name: 'web', state: 'running' } });
});

test.serial(
	'a NIC that is not declared comes through save and restore as it was, and can be unplugged then',
	async t => {
		const inGuest = await booted();
		await host.ipvtap('attach', 'web2', '--master', 'eth0', '--ip', '192.0.2.12', '--domain', 'web');
		await host.ipvtap('set', 'web2', '--limit', 'rx=50mbit');
		const limits = (await host.slave('web2'))?.limits;
		t.truthy(limits?.rx);
		await inGuest(useEth1('192.0.2.12'));
		await host.answers('192.0.2.12');
		const file = `${host.lan.folder}/web.save`;
		await host.virsh('save', 'web', file);
		t.deepEqual(await host.traces(), []);
		t.regex(await host.ipvtap('list'), /^web +saved +web1 192\.0\.2\.11, web2 192\.0\.2\.12$/m);
		t.is((await host.tryIpvtap('attach', 'thief', '--master', 'eth0', '--ip', '192.0.2.12')).rc, 4);
		await host.listen();
		await host.virsh('restore', file);
		await host.answers('192.0.2.12');
		t.like(await host.slave('web2'), { domain: { name: 'web', state: 'running' } });
		t.deepEqual((await host.slave('web2'))?.limits, limits);
		await host.ipvtap('detach', 'web2', '--domain', 'web');
		t.notRegex(await host.virsh('domiflist', 'web'), /ipvt-web2/);
		await host.virsh('save', 'web', file);
		t.notRegex(await host.ipvtap('list'), /web2/, 'what was unplugged is nobody’s');
		await host.ipvtap('detach', 'web1');
	},
);

test.serial('a NIC of a domain that declares nothing is remembered until its guest has ended', async t => {
	const agent = await host.boot({ name: 'web', nics: [], metadata: '' });
	const attach = ['attach', 'web2', '--master', 'eth0', '--ip', '192.0.2.12', '--domain', 'web'];
	await host.ipvtap(...attach);
	await agent.run(onlyNic, 20_000);
	await host.answers('192.0.2.12');
	const saved = { slaves: [], domains: [{ name: 'web', state: 'saved' }] };
	const back = async (...command: string[]) => {
		await host.listen();
		await host.virsh(...command);
		await host.answers('192.0.2.12');
		t.like(await host.slave('web2'), { domain: { name: 'web', state: 'running', alias: 'net0' } });
	};
	await host.virsh('managedsave', 'web');
	t.like(await host.list(), saved);
	t.is((await host.tryIpvtap('attach', 'thief', '--master', 'eth0', '--ip', '192.0.2.12')).rc, 4);
	await back('start', 'web');
	// Nobody hears what libvirt tells of the end. The domain's log says it, too.
	await host.stopIpvtapd('SIGKILL');
	await host.virsh('save', 'web', `${host.lan.folder}/web.save`);
	await host.startIpvtapd();
	t.like(await host.list(), saved);
	await back('restore', `${host.lan.folder}/web.save`);
	await host.stopLibvirt('SIGKILL');
	await host.startLibvirt();
	t.like(await host.slave('web2'), { domain: { state: 'running', alias: 'net0' } });
	// Started afresh, it has no NIC of ours, and nobody tells; what it is given then is a running domain's.
	await host.virsh('managedsave', 'web');
	await host.virsh('managedsave-remove', 'web');
	await host.listen();
	await host.virsh('start', 'web');
	await host.ipvtap(...attach);
	t.like(await host.slave('web2'), { domain: { state: 'running' } });
	// What is given up is not there to come back to, and the start says so.
	await host.virsh('managedsave', 'web');
	await host.ipvtap('detach', 'web2');
	await assertNothingLeft(t, host);
	const refused = await host.tryVirsh('start', 'web');
	t.regex(
		refused.err,
		/interface: there is no TAP ipvt-web2, .*nothing is known of it here\nhint: .*--mac 52:54:/,
	);
});

test.serial('a domain goes back to a snapshot with the NICs that it had then, declared or not', async t => {
	const disk = join(host.lan.folder, 'disk.qcow2');
	writeFileSync(disk, emptyDisk());
	chmodSync(disk, 0o666);
	await host.define({ name: 'web', nics: [web1], disk });
	await host.virsh('start', 'web');
	await host.ipvtap('attach', 'web2', '--master', 'eth0', '--ip', '192.0.2.12', '--domain', 'web');
	await host.virsh('snapshot-create-as', 'web', 'first');
	const before = await host.slave('web2');
	await host.virsh('snapshot-revert', 'web', 'first');
	t.not((await host.slave('web2'))?.ifindex, before?.ifindex, 'it has another TAP, for another QEMU');
	await host.answers('192.0.2.11');
	for (const name of ['web1', 'web2'])
		t.like(await host.slave(name), { state: 'up', domain: { name: 'web', state: 'running' } });
	await host.virsh('destroy', 'web');
	await host.virsh('undefine', 'web', '--snapshots-metadata');
	await assertNothingLeft(t, host);
});
