/** The shortest benchmark there is, end to end: what its report has and what it leaves behind; never how fast. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import test from 'ava';
import type { Results } from '../../../src/bench/report/summary.js';
import { makeFolder } from '../../../src/lab/cleanup.js';
import { type Finished, run } from '../../../src/lab/command.js';
import { Lan, lanMembers } from '../../../src/lab/lan.js';
import { assertNothingLeft, snapshot } from '../../helpers/leaks.js';

const cli = fileURLToPath(new URL('../../../src/cli/main.js', import.meta.url));
const [folder, removeFolder] = makeFolder('bench-test');
test.after.always(removeFolder);

function bench(...args: string[]): Promise<Finished> {
	return run(process.execPath, [cli, 'bench', '--out', folder, ...args], { timeout: 150_000 });
}

test.serial('one row, the bridge and ipvtap', async t => {
	const before = await snapshot();
	const page = join(folder, 'page.md');
	// Too short a time for disturbed runs to be made again: the machine may be busy for long.
	const shortest = ['--only', 'network', '--blocks', '1', '--seconds', '0.05', '--minutes', '0.01'];
	const { rc, out, err } = await bench(
		...shortest,
		...['--filter', 'v2v-64-poll', '--peers', 'ipvtap', '--report', page, '--json'],
	);
	t.is(rc, 0, err);
	const { lines, goals, raw } = JSON.parse(out) as {
		lines: { row: string; metric: string; cells: { peer: string; value?: { median: number } }[] }[];
		goals: { verdict: string }[];
		raw: string;
	};
	const speed = lines.find(({ metric }) => metric === 'frames/s')!;
	t.deepEqual(
		speed.cells.map(({ peer, value }) => [peer, (value?.median ?? 0) > 0]),
		[
			['bridge', true],
			['ipvtap', true],
		],
	);
	t.true(goals.some(({ verdict }) => verdict === 'not measured'));

	const results = JSON.parse(readFileSync(raw, 'utf8')) as Results;
	const order = results.runs.map(({ peer }) => peer).filter((peer, index, all) => peer !== all[index - 1]);
	t.deepEqual(order, ['bridge', 'ipvtap', 'bridge'], 'retries follow what they replace');
	t.is(results.setups.find(({ peer }) => peer === 'ipvtap')?.attachMs.length, 4);

	t.regex(readFileSync(page, 'utf8'), /!\[Frames a second\]\(page\/frames\.svg\)/);
	for (const name of readdirSync(join(folder, 'page'))) {
		t.regex(readFileSync(join(folder, 'page', name), 'utf8'), /^<svg [\s\S]*<\/svg>\n$/);
	}
	await assertNothingLeft(before);

	const again = await bench('--from', raw, '--json');
	t.is(again.rc, 0, again.err);
	t.deepEqual(JSON.parse(again.out), JSON.parse(out), 'raw results say the same later');
});

test.serial("round trips through a NIC of the user's", async t => {
	const lan = await Lan.create({ prefix: 'wire-', dnsmasq: [] });
	t.teardown(() => lan.close());
	const scope = { namespace: lan.host.name };
	const before = await snapshot(scope);
	const inside = (...args: string[]): Promise<Finished> => {
		const words = [process.execPath, cli, 'bench', '--wire', 'eth0', '--to', lanMembers.laptop.ipv4, ...args];
		return run('nsenter', [`--net=${lan.host.path}`, ...words], { timeout: 100_000 });
	};
	const asked = await inside('--ip', '192.0.2.77');
	t.is(asked.rc, 2);
	t.regex(asked.err, /brings eth0 up as a master.*\n.*--yes/);

	const { rc, out, err } = await inside('--ip', '192.0.2.77', '--blocks', '1', '--yes', '--json');
	t.is(rc, 0, err);
	const { lines } = JSON.parse(out) as { lines: { who: string; lost: number; p50: { median: number } }[] };
	t.deepEqual(
		lines.map(({ who, p50 }) => [who, p50.median > 0]),
		[
			['host', true],
			['ipvtap', true],
			['ipvtap-tc-bpf', true],
		],
	);
	await assertNothingLeft(before, scope);
});

test.serial('what makes no sense is refused before anything is set up', async t => {
	for (const [args, words] of [
		[['--filter', 'nothing'], /no row has such a name/],
		[['--peers', 'nobody'], /there is no such peer/],
		[['--blocks', 'x'], /want a number above 0/],
	] as const) {
		const { rc, err } = await bench(...args);
		t.is(rc, 2);
		t.regex(err, words);
	}
});
