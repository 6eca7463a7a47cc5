import test from 'ava';
import { assertClean, assertNothingLeft } from './clean.js';
import { namespace } from './domain-xml.js';
import { LibvirtHost } from './libvirt-host.js';

const web1 = { target: 'ipvt-web1', mac: '52:54:00:00:00:11', addresses: ['192.0.2.11'] };
const web2 = { target: 'ipvt-web2', mac: '52:54:00:00:00:12', addresses: ['192.0.2.12'] };

let host: LibvirtHost;
test.before(async () => {
	host = await LibvirtHost.create();
});
test.after.always(() => host?.close());
test.afterEach.always(t => assertClean(t, host));

async function refusedStart(name: string): Promise<string> {
	const { rc, err } = await host.tryVirsh('start', name);
	if (rc === 0) throw new Error(`${name} has started`);
	return err;
}

test.serial('bad metadata: each fault with its path, and nothing is made', async t => {
	const nic = `<ipvtap:nic target='ipvt-web1' master='eth0' mode='l4'><ipvtap:ip>192.0.2.0/24</ipvtap:ip></ipvtap:nic>`;
	const metadata = `<metadata><ipvtap:vm xmlns:ipvtap='${namespace}'>${nic}<ipvtap:nic target='ipvt-web9' master='eth0'/></ipvtap:vm></metadata>`;
	await host.define({ name: 'web', nics: [web1], metadata });
	const said = await refusedStart('web');
	const at = '/domain/metadata/ipvtap:vm/ipvtap:nic';
	t.true(said.includes(`${at}[1]/@mode: found 'l4', allowed: 'l2', 'l3', 'l3s'`), said);
	t.true(
		said.includes(`${at}[1]/ipvtap:ip: found '192.0.2.0/24', allowed: one host's IPv4 or IPv6 address`),
		said,
	);
	t.true(said.includes(`${at}[2]/@target: found 'ipvt-web9', allowed: `), said);
	await assertNothingLeft(t, host);
});

test.serial(
	'what only the daemon can know is refused with its path too, and the first NIC goes again',
	async t => {
		await host.define({ name: 'web', nics: [web1, { ...web2, addresses: ['192.0.2.2'] }] });
		const said = await refusedStart('web');
		t.regex(
			said,
			/ipvtap: prepare web: \/domain\/metadata\/ipvtap:vm\/ipvtap:nic\[2\]: the address 192\.0\.2\.2 is in use: it is the host's own/,
		);
		await assertNothingLeft(t, host);
	},
);

test.serial('a master that is gone', async t => {
	await host.define({ name: 'web', nics: [{ ...web1, master: 'eth7' }] });
	t.regex(await refusedStart('web'), /ipvtap:nic: .*eth7/);
	await assertNothingLeft(t, host);
});

test.serial('a flag that the master has not', async t => {
	await host.define({ name: 'web', nics: [{ ...web1, attributes: "flag='private'" }] });
	t.regex(
		await refusedStart('web'),
		/ipvtap:nic\/@flag: found 'private', allowed: 'bridge', which eth0 has\nhint: .*ipvtap set eth0 --flag private/,
	);
	await assertNothingLeft(t, host);
});

test.serial('no daemon: the start is refused with a sentence, and works when there is one', async t => {
	await host.define({ name: 'web', nics: [web1] });
	await host.stopIpvtapd();
	t.regex(
		await refusedStart('web'),
		/ipvtap: prepare web: can't reach ipvtapd at \S+: there is no such socket\nhint: start the daemon first \(sudo ipvtapd\)/,
	);
	await host.startIpvtapd();
	await host.ipvtap('up', 'eth0');
	await host.virsh('start', 'web');
	await host.answers('192.0.2.11');
});

test.serial('a daemon that does not answer costs some seconds, and no running guest', async t => {
	await host.define({ name: 'web', nics: [web1] });
	await host.virsh('start', 'web');
	await host.answers('192.0.2.11');
	await host.pauseIpvtapd(async () => {
		await host.define({ name: 'other', nics: [web2] });
		t.regex(await refusedStart('other'), /ipvtap: prepare other: ipvtapd did not answer in 2 s/);
		await host.stopLibvirt();
		await host.startLibvirt();
		t.is((await host.virsh('domstate', 'web')).trim(), 'running');
	});
	await host.answers('192.0.2.11');
});

test.serial('a start that QEMU refuses leaves nothing, and a saved domain saved', async t => {
	await host.define({ name: 'web', nics: [web1] });
	await host.virsh('start', 'web');
	await host.answers('192.0.2.11');
	await host.virsh('managedsave', 'web');
	await host.sh('mount --bind /bin/false /usr/bin/qemu-system-x86_64');
	await refusedStart('web');
	await host.sh('umount /usr/bin/qemu-system-x86_64');
	t.like(await host.list(), { slaves: [], domains: [{ name: 'web', state: 'saved' }] });
	await host.virsh('start', 'web');
	await host.answers('192.0.2.11');
});

test.serial(
	'domains that declare nothing of ours are none of ours, even where the hook can do nothing',
	async t => {
		await host.define({ name: 'plain', nics: [], metadata: '' });
		await host.sh('mount --bind /dev/null /usr/bin/curl');
		await host.virsh('start', 'plain');
		await host.define({ name: 'web', nics: [web1] });
		t.regex(
			await refusedStart('web'),
			/ipvtap: prepare web: can't reach ipvtapd: curl is not installed\nhint: sudo apt install curl/,
		);
		t.regex(
			(await host.tryIpvtap('libvirt', 'status')).out,
			/problem: the hook .* curl, which is not installed/,
		);
		await host.sh('umount /usr/bin/curl');
		await host.virsh('start', 'web');
		await host.answers('192.0.2.11');
	},
);
