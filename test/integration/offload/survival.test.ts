/**
 * What the offload is for when things go wrong: the daemon is killed and started again under traffic, beside a guest
 * that forges. Nothing of the established is lost, nothing forged passes, and `down` leaves nothing but what others
 * had put there.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import test from 'ava';
import { until } from '../../../src/lab/wait.js';
import { KernelObject } from '../../../src/offload/tc-bpf/kernel-object.js';
import { isBpffs } from '../../../src/sys/bpf/bpffs.js';
import { attachTcx, linkDevice } from '../../../src/sys/bpf/link.js';
import { requireLink } from '../../../src/sys/netlink/link.js';
import { type ObjectIds, passProgram, survivors } from '../../helpers/bpf-objects.js';
import { serialWith } from '../../helpers/kernel-age.js';
import { exitOf } from '../../helpers/product.js';
import { numbers, seed } from '../../helpers/seed.js';
import { within } from '../../helpers/tap-guest.js';
import { arp, broadcastMac, ethernet } from '../datapath/frames.js';
import { type Guest, Site } from '../datapath/site.js';
import { Flows } from './flows.js';
import { attached, isEmpty, note, numbersOf } from './kernel-side.js';

/** In all, over both ways of attaching; docs/offload.md has the numbers of a run with a hundred. */
const kills = Number(process.env.TEST_KILLS ?? 10);

for (const [attach, mounts] of [
	['tcx', 'mounts that last'],
	['clsact', 'mounts of its own, which end with it'],
] as const) {
	serialWith(attach)(`${attach}: kill -9 over and over under traffic; the daemon has ${mounts}`, async t => {
		const site = await Site.create(`kill-${attach}`, {
			up: ['--offload', 'tc-bpf'],
			sharesMounts: attach === 'tcx',
		});
		t.teardown(() => site.close());
		const pupil = await learned(site);
		const flows = await Flows.between(site, pupil);
		t.teardown(() => flows.close());
		await flows.runWhile(30);
		flows.verify(t, 'before');
		const { drops } = await site.stats('liar');
		t.deepEqual(drops, flows.forged, 'each forged frame is counted under its reason');
		const devices = numbersOf(site);
		const objects: ObjectIds = { programs: [], maps: [] };

		const random = numbers(seed);
		let startMs = 0;
		for (let kill = 1; kill <= kills / 2; kill++) {
			const when = `kill ${kill} of seed ${seed}`;
			note(objects, await attached(site));
			if (kill === 1) await site.product.signalDaemon('SIGKILL');
			await flows.runWhile(20);
			flows.verify(t, `${when}: without a daemon`);
			flows.verifyResolution(t, when);
			const started = performance.now();
			if (kill % 4 === 1) {
				// Once in a while it may finish, and be killed at work.
				await flows.runWhile(10, site.product.daemon());
				startMs = performance.now() - started;
				t.deepEqual(numbersOf(site), devices, `${when}: the same devices`);
				await flows.runWhile(10);
				await site.product.signalDaemon('SIGKILL');
				continue;
			}
			const daemon = startDaemon(site);
			await flows.runWhile(10, sleep(random(Math.ceil(startMs))));
			daemon.kill('SIGKILL');
			await exitOf(daemon);
		}

		await flows.runWhile(50, site.product.daemon());
		flows.verify(t, 'with the last daemon');
		flows.verifyResolution(t, 'with the last daemon');
		t.deepEqual(numbersOf(site), devices, 'the same devices');
		note(objects, await attached(site));
		const { masters, slaves } = await site.product.list();
		t.deepEqual(
			masters.map(({ offload, offloadDetail, problem }) => ({ offload, offloadDetail, problem })),
			[{ offload: 'tc-bpf', offloadDetail: attach, problem: undefined }],
		);
		t.deepEqual(
			slaves.map(({ name, problem }) => [name, problem]).sort(),
			['liar', 'one', 'pupil', 'two'].map(name => [name, undefined]),
		);
		const forged = Object.values(flows.forged).reduce((sum, count) => sum + count);
		t.log(`${flows.sent} frames sent and none lost, ${forged} forged and none seen`);

		await site.product.json('down', 'eth0', '--force');
		await site.product.end();
		await site.product.assertNothingLeft();
		t.false(existsSync(join(site.product.folder, 'state', 'bpf')));
		t.false(isBpffs(join(site.product.folder, 'state', 'bpf')));
		t.true(objects.programs.length >= 6 && objects.maps.length >= 7);
		await until('programs and maps to be gone', 20_000, () => isEmpty(survivors(objects)));
	});

	serialWith(attach)(`${attach}: other people's programs stay`, async t => {
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
			// What comes behind a filter sees nothing of what that lets pass; ours comes before.
			const program = attach === 'tcx' ? passProgram() : theirs.programs.from_wire;
			return [ifindex, attachTcx(ifindex, program)] as const;
		});
		const show = () => site.host.exec('tc', ['filter', 'show', 'dev', 'eth0', 'ingress']);
		const before = await show();

		await site.product.json('set', 'eth0', '--offload', 'tc-bpf');
		const flows = await Flows.between(site);
		t.teardown(() => flows.close());
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
	const flows = await Flows.between(site);
	t.teardown(() => flows.close());
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

/** A guest with no static address, whose own the daemon has written down. */
async function learned(site: Site): Promise<Guest> {
	const pupil = await site.guest('pupil', 14, { learns: true });
	const { mac, ipv4 } = pupil;
	const claim = arp({ operation: 1, senderMac: mac, sender: ipv4, target: ipv4 });
	pupil.end.send(ethernet(broadcastMac, mac, 0x0806, claim));
	await until('the address to be learned', 10_000, () => site.product.state().includes(`"${ipv4}"`));
	return pupil;
}

/** As a service manager would, and without waiting for it. */
function startDaemon(site: Site): ChildProcess {
	const [file, ...words] = site.product.words;
	return spawn(file!, [...words, 'daemon'], { env: site.product.env, stdio: 'ignore' });
}
