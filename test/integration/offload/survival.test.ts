/**
 * What the offload is for when things go wrong: the daemon is killed and started again under traffic, beside a guest
 * that forges. Nothing of the established is lost, nothing forged passes, and `down` leaves nothing but what others
 * had put there.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { KernelObject } from '../../../src/offload/tc-bpf/kernel-object.js';
import { isBpffs } from '../../../src/sys/bpf/bpffs.js';
import { attachTcx, linkDevice } from '../../../src/sys/bpf/link.js';
import { requireLink } from '../../../src/sys/netlink/link.js';
import { within } from '../../helpers/tap-guest.js';
import { Site } from '../datapath/site.js';
import { Flows } from './flows.js';

for (const attach of ['tcx', 'clsact'] as const) {
	test.serial(`${attach}: kill -9 and a restart under traffic`, async t => {
		const site = await Site.create(`kill-${attach}`, {
			up: ['--offload', 'tc-bpf'],
			env: { IPVTAP_TC_ATTACH: attach },
			sharesMounts: true,
		});
		t.teardown(() => site.close());
		const flows = new Flows(
			site,
			await site.guest('one', 11),
			await site.guest('two', 12),
			await site.guest('liar', 13),
		);
		await flows.runWhile(30);
		flows.verify(t, 'before');
		t.deepEqual(
			(await site.stats('liar')).drops,
			flows.forged,
			'each forged frame is counted under its reason',
		);

		await site.product.signalDaemon('SIGKILL');
		await flows.runWhile(200);
		flows.verify(t, 'without a daemon');
		t.true(flows.answers('one', 'two'), 'a guest is still asked for its MAC');
		t.true(flows.hostAnswers('one'), 'the host is still answered for');

		// The host slave of the next daemon is a new device.
		flows.asksHost = false;
		const starting = site.product.daemon();
		await flows.runWhile(50, starting);
		flows.verify(t, 'with the next daemon');
		flows.asksHost = true;
		await flows.runWhile(10);
		flows.verify(t, 'with the host again');
		const { masters, slaves } = await site.product.list();
		t.deepEqual(
			masters.map(({ offload, offloadDetail, problem }) => ({ offload, offloadDetail, problem })),
			[{ offload: 'tc-bpf', offloadDetail: attach, problem: undefined }],
		);
		t.deepEqual(slaves.map(({ name, problem }) => [name, problem]).sort(), [
			['liar', undefined],
			['one', undefined],
			['two', undefined],
		]);

		await site.product.json('down', 'eth0', '--force');
		await site.product.end();
		await site.product.assertNothingLeft();
		t.false(isBpffs(join(site.product.folder, 'state', 'bpf')));
		t.false(existsSync(join(site.product.folder, 'state', 'bpf')));
	});

	test.serial(`${attach}: other people's programs stay`, async t => {
		const site = await Site.create(`others-${attach}`, {
			up: ['--offload', 'none'],
			env: { IPVTAP_TC_ATTACH: attach },
			sharesMounts: true,
		});
		t.teardown(() => site.close());
		const passAll = [
			'ingress',
			'prio',
			'7',
			'protocol',
			'all',
			'bpf',
			'da',
			'bytecode',
			'1,6 0 0 4294967295,',
		];
		await site.host.exec('tc', ['qdisc', 'replace', 'dev', 'eth0', 'clsact']);
		await site.host.exec('tc', ['filter', 'add', 'dev', 'eth0', ...passAll]);
		const theirs = new KernelObject();
		const [ifindex, link] = within(site.host, () => {
			const { ifindex } = requireLink('eth0');
			return [ifindex, attachTcx(ifindex, theirs.programs.from_wire)] as const;
		});
		const show = () => site.host.exec('tc', ['filter', 'show', 'dev', 'eth0', 'ingress']);
		const before = await show();

		await site.product.json('set', 'eth0', '--offload', 'tc-bpf');
		const flows = new Flows(
			site,
			await site.guest('one', 11),
			await site.guest('two', 12),
			await site.guest('liar', 13),
		);
		await flows.runWhile(20);
		flows.verify(t, 'beside others');
		t.not(await show(), before);
		await site.product.json('down', 'eth0', '--force');
		await site.product.end();

		t.is(await show(), before);
		t.is(
			within(site.host, () => linkDevice(link)),
			ifindex,
		);
		theirs.close();
	});
}

test.serial('the offload can be switched on and off under traffic, and the other way stays shut', async t => {
	const site = await Site.create('switch', { up: ['--offload', 'none'], sharesMounts: true });
	t.teardown(() => site.close());
	const flows = new Flows(
		site,
		await site.guest('one', 11),
		await site.guest('two', 12),
		await site.guest('liar', 13),
	);
	for (const offload of ['tc-bpf', 'none', 'tc-bpf']) {
		const done = site.product.json<{ offload: string }>('set', 'eth0', '--offload', offload);
		await flows.runWhile(10, done);
		t.is((await done).offload, offload);
		t.is(flows.forgedArrivals, 0);
		t.is(flows.twice, 0, 'no frame arrives twice');
		flows.forget();
		await flows.runWhile(50);
		flows.verify(t, offload);
	}
});
