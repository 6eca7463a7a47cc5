/** What somebody with root does to the offload from outside, and what the kernel refuses: it comes back, or it is closed. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { until } from '../../../src/lab/wait.js';
import type { OffloadedPort } from '../../../src/offload/offload.js';
import { KernelObject } from '../../../src/offload/tc-bpf/kernel-object.js';
import { TcBpf } from '../../../src/offload/tc-bpf/tc-bpf.js';
import { linkDevice, pin } from '../../../src/sys/bpf/link.js';
import { closeFd } from '../../../src/sys/fd.js';
import { SysError } from '../../../src/sys/libc.js';
import { deleteLink, requireLink } from '../../../src/sys/netlink/link.js';
import { ensureClsact } from '../../../src/sys/netlink/tc.js';
import { createTap } from '../../../src/sys/tap.js';
import { detachLink } from '../../helpers/bpf-objects.js';
import { isOlderThan } from '../../helpers/kernel-age.js';
import { within } from '../../helpers/tap-guest.js';
import { Site } from '../datapath/site.js';
import { Flows } from './flows.js';
import { attached, isEmpty, masterOf, pinsOf } from './kernel-side.js';

for (const offload of ['tc-bpf', 'none']) {
	test.serial(`offload ${offload}: filters that somebody takes off come back`, async t => {
		const site = await Site.create(`unfiltered-${offload}`, { up: ['--offload', offload] });
		t.teardown(() => site.close());
		const flows = await Flows.between(site);
		t.teardown(() => flows.close());
		const { slaves } = await site.product.list();
		const devices = ['eth0', 'ipvh-eth0', 'ipvp-eth0', ...slaves.map(({ ifname }) => ifname)];
		const filters = async () => {
			const shown = await Promise.all(
				devices.flatMap(device =>
					['ingress', 'egress'].map(side => site.host.exec('tc', ['filter', 'show', 'dev', device, side])),
				),
			);
			return shown.map(text => text.match(/^filter .* handle .*?(?= direct| action| id)/gm));
		};
		const before = await filters();
		for (const device of devices) await site.host.exec('tc', ['qdisc', 'del', 'dev', device, 'clsact']);
		await until('the filters to be back', 10_000, async () => {
			const now = await filters();
			return JSON.stringify(now) === JSON.stringify(before);
		});
		flows.forget();
		await flows.runWhile(30);
		flows.verify(t, 'with filters put back');
		t.regex(site.product.log(), /filters of ours/);
		await site.product.json('down', 'eth0', '--force');
		await site.product.end();
		await site.product.assertNothingLeft();
	});
}

test.serial(
	'without its pins the offload ends with its daemon, closed, and begins again with the next',
	async t => {
		const site = await Site.create('unpinned', { up: ['--offload', 'tc-bpf'], sharesMounts: true });
		t.teardown(() => site.close());
		const flows = await Flows.between(site);
		t.teardown(() => flows.close());
		await flows.runWhile(10);
		flows.verify(t, 'before');
		const pins = pinsOf(site);
		const names = pins.names();
		t.is(names.length, 5, 'three guests, master and host');
		pins.close();
		await flows.runWhile(10);
		flows.verify(t, 'with its pins removed');

		await site.product.signalDaemon('SIGKILL');
		await until('the programs to be gone', 20_000, async () => isEmpty(await attached(site)));
		flows.forge(30);
		flows.verify(t, 'without programs');

		// In their places there are things now that are no links.
		const theirs = new KernelObject();
		const again = pinsOf(site);
		for (const name of names) again.set(name, theirs.maps.port.fd);
		again.set('whatever', theirs.maps.port.fd);
		mkdirSync(join(again.folder, 'more'));
		pin(theirs.maps.port.fd, join(again.folder, 'more', 'map'));
		theirs.close();
		await site.product.daemon();
		await flows.runWhile(30);
		flows.verify(t, 'with the next daemon');
		t.deepEqual(again.names().sort(), names.sort(), 'nothing else is in the folder');
		await site.product.json('down', 'eth0', '--force');
		await site.product.end();
		await site.product.assertNothingLeft();
	},
);

if (!isOlderThan(6, 6))
	test.serial('links that somebody detaches are closed, and come back', async t => {
		const site = await Site.create('detached', { up: ['--offload', 'tc-bpf'], sharesMounts: true });
		t.teardown(() => site.close());
		const flows = await Flows.between(site);
		t.teardown(() => flows.close());
		const pins = pinsOf(site);
		/** 0 for what is pinned anew at this moment. */
		const devices = (before: (link: number) => void = () => undefined): number[] =>
			pins.names().map(name => {
				const link = pins.get(name);
				if (link === undefined) return 0;
				before(link);
				const device = linkDevice(link);
				closeFd(link);
				return device;
			});
		t.deepEqual(devices(detachLink), [0, 0, 0, 0, 0], 'three guests, master and host');
		flows.forge(30);
		flows.verify(t, 'detached');
		const isBack = () => Promise.resolve(devices().length === 5 && !devices().includes(0));
		await until('the links to be back', 20_000, isBack);
		await flows.runWhile(30);
		flows.verify(t, 'attached again');
		t.regex(site.product.log(), /detached programs of ours/);
		await site.product.json('down', 'eth0', '--force');
		await site.product.end();
		await site.product.assertNothingLeft();
	});

test.serial(
	'a device that goes while it is attached is no failure; more addresses than there is room for are',
	async t => {
		const site = await Site.create('refused', { up: ['--offload', 'none'] });
		t.teardown(() => site.close());
		within(site.host, () => {
			const master = masterOf(site);
			const policy = { ifindex: master, mac: '02:00:00:00:00:01', mtu: 1500 };
			const context = {
				mode: 'l2',
				master,
				stateDir: join(site.product.folder, 'none'),
				ensureClsact,
				warn: t.fail,
			} as const;
			for (const attach of isOlderThan(6, 6) ? (['clsact'] as const) : (['tcx', 'clsact'] as const)) {
				const port = new TcBpf({ attach }).open(context) as OffloadedPort;
				port.setPort({ master: policy, host: 0, flag: 'bridge', nominated: false, punt: 0 });
				for (const [edge, name] of [
					[2, 'gone'],
					[3, 'here'],
				] as const) {
					createTap(name, { owner: undefined, queues: 1, vnetHeader: true });
					const { ifindex } = requireLink(name);
					if (name === 'gone') deleteLink(ifindex);
					const slave = { edge, ifindex, mac: `02:00:00:00:00:0${edge}`, learn: false };
					t.notThrows(() => port.addSlave(slave));
				}
				const address = (number: number) => `10.${number >> 16}.${(number >> 8) & 255}.${number & 255}`;
				for (let number = 0; number < 32_768; number++) port.addAddress(address(number), 3);
				t.throws(() => port.addAddress(address(32_768), 3), { instanceOf: SysError, message: /E2BIG/ });
				port.detach();
				deleteLink('here');
			}
		});
		await site.product.json('down', 'eth0', '--force');
		await site.product.end();
		await site.product.assertNothingLeft();
	},
);
