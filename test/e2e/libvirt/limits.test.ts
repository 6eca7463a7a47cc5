/** Limits and permissions that a domain declares, and libvirt's own `<bandwidth>` beside them. */
import test from 'ava';
import { assertClean, assertNothingLeft } from './clean.js';
import { LibvirtHost } from './libvirt-host.js';

const web1 = { target: 'ipvt-web1', mac: '52:54:00:00:00:11', addresses: ['192.0.2.11'] };

let host: LibvirtHost;
test.before(async () => {
	host = await LibvirtHost.create();
});
test.after.always(() => host?.close());
test.afterEach.always(t => assertClean(t, host));

test.serial(
	'a domain declares limits and permissions; they outlive the daemon, and go back to the declared ones',
	async t => {
		const elements = "<ipvtap:limit tx='20mbit/64k' slow='none'/>";
		await host.define({ name: 'web', nics: [{ ...web1, elements, attributes: "allow='router'" }] });
		await host.virsh('start', 'web');
		const declared = {
			tx: { rate: 20_000_000, burst: 65_536 },
			rx: null,
			slow: null,
			learn: { rate: 60, burst: 24 },
		};
		t.deepEqual((await host.slave('web1'))?.limits, declared);
		await host.stopIpvtapd('SIGKILL');
		await host.startIpvtapd();
		t.deepEqual((await host.slave('web1'))?.limits, declared);
		t.deepEqual((await host.slave('web1'))?.allow, ['router']);
		await host.ipvtap('set', 'web1', '--limit', 'tx=none', '--allow', 'dhcp-server');
		await host.stopIpvtapd('SIGKILL');
		await host.startIpvtapd();
		t.is((await host.slave('web1'))?.limits.tx, null);
		t.deepEqual((await host.slave('web1'))?.allow, ['dhcp-server']);
		await host.virsh('destroy', 'web');
		await host.virsh('start', 'web');
		t.deepEqual((await host.slave('web1'))?.limits, declared);
		t.deepEqual((await host.slave('web1'))?.allow, ['router']);
	},
);

test.serial('a limit that makes no sense stops the start, with its place', async t => {
	await host.define({ name: 'web', nics: [{ ...web1, elements: "<ipvtap:limit rx='fast'/>" }] });
	const { rc, err } = await host.tryVirsh('start', 'web');
	t.not(rc, 0);
	t.regex(err, /\/ipvtap:nic\/ipvtap:limit\/@rx: found 'fast', allowed: a rate such as '100mbit'/);
	await assertNothingLeft(t, host);
});

test.serial(
	'libvirt’s own <bandwidth> is refused before libvirt makes a queue of it, or fails to',
	async t => {
		for (const kind of ['outbound', 'inbound']) {
			await host.define({
				name: kind,
				nics: [{ ...web1, device: `<bandwidth><${kind} average='1000'/></bandwidth>` }],
			});
			const { rc, err } = await host.tryVirsh('start', kind);
			t.not(rc, 0);
			t.regex(err, /\/interface\/bandwidth: found libvirt's own limits, allowed: none; use <limit tx=/);
			await assertNothingLeft(t, host);
		}
	},
);
