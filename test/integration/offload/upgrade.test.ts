/**
 * Another version's programs, with maps that lie otherwise (src/lab/other-version.ts), are followed under traffic: by a
 * daemon that neither knows their layout nor numbers the edges as they do.
 */
import { join } from 'node:path';
import { buildOtherVersion, leaveOtherVersion, type OtherPort } from '../../../src/lab/other-version.js';
import { until } from '../../../src/lab/wait.js';
import { requireLink } from '../../../src/sys/netlink/link.js';
import { survivors } from '../../helpers/bpf-objects.js';
import { serialWith } from '../../helpers/kernel-age.js';
import { within } from '../../helpers/tap-guest.js';
import { host, Site } from '../datapath/site.js';
import { Flows } from './flows.js';
import { attached, isEmpty, masterOf, numbersOf } from './kernel-side.js';

for (const attach of ['tcx', 'clsact'] as const) {
	serialWith(attach)(`${attach}: from another version to this one under traffic`, async t => {
		const other = await buildOtherVersion();
		const site = await Site.create(`upgrade-${attach}`, {
			up: ['--offload', 'tc-bpf'],
			sharesMounts: attach === 'tcx',
		});
		t.teardown(() => site.close());
		const flows = await Flows.between(site);
		t.teardown(() => flows.close());
		const { slaves } = await site.product.list();
		const devices = numbersOf(site);
		await site.product.signalDaemon('SIGKILL');

		const place = attach === 'clsact' ? attach : { stateDir: join(site.product.folder, 'state') };
		within(site.host, () => leaveOtherVersion(other, portOf(site, slaves), place));
		const theirs = await attached(site);
		await flows.runWhile(30);
		flows.verify(t, 'the other version, without its daemon');
		flows.verifyResolution(t, 'the other version');

		await flows.runWhile(30, site.product.daemon());
		flows.verify(t, 'with a daemon of this version');
		flows.verifyResolution(t, 'this version');
		t.deepEqual(numbersOf(site), devices);
		await until('the other version to be gone', 20_000, () => isEmpty(survivors(theirs)));
		await site.product.json('down', 'eth0', '--force');
		await site.product.end();
		await site.product.assertNothingLeft();
	});
}

/** As the daemon that was killed had it. */
function portOf(site: Site, slaves: Slaves): OtherPort {
	const { ifindex } = within(site.host, () => requireLink('ipvp-eth0'));
	return {
		master: masterOf(site),
		host: { ifindex, mac: host.mac, addresses: [host.ipv4, host.ipv6] },
		slaves: slaves.map(({ ifindex, mac, addresses }) => ({
			ifindex,
			mac,
			addresses: addresses.map(({ address }) => address),
		})),
	};
}

type Slaves = Awaited<ReturnType<Site['product']['list']>>['slaves'];
