/** tc-flower where no NIC takes a rule, which is this machine. On a kernel that has `flower`: other-kernel.test.ts. */
import test from 'ava';
import { far, host, Site } from '../datapath/site.js';

test('tc-flower falls back to tc-bpf, says why in the log and in show, goes on when killed, and leaves nothing', async t => {
	const site = await Site.create('flower', { up: ['--offload', 'tc-flower'] });
	t.teardown(() => site.close());
	const one = await site.guest('one', 11);
	const passes = () => site.arrivals({ ...far, end: site.far }, one.end, { ...one, mac: host.mac });
	const status = async () => {
		const { offload, offloadDetail = '', warnings = [], problem } = (await site.product.list()).masters[0]!;
		t.deepEqual([offload, problem], ['tc-bpf', undefined]);
		t.regex(offloadDetail, /^(tcx|clsact); tc-flower: the NIC takes no rule$/);
		t.is(warnings.length, 1);
		t.regex(warnings[0]!, /^tc-flower: the NIC takes no rule \(.+\): .+; tc-bpf does the work$/);
		return warnings[0]!;
	};
	const said = await status();
	t.true(site.product.log().includes(said));
	passes();
	await site.product.signalDaemon('SIGKILL');
	passes();
	await site.product.daemon();
	t.is(await status(), said);
	passes();
	const refused = await site.product.ipvtap(['set', 'eth0', '--mode', 'l3s']);
	t.regex(
		refused.stderr,
		/^error: offload 'tc-flower': in l3s the host's stack takes what comes from the wire/,
	);
	await site.product.json('down', 'eth0', '--force');
	await site.product.end();
	await site.product.assertNothingLeft();
});
