/** `--limit` from the command line to the state file and back. What limits do to frames is in ../datapath. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import type { Slave } from '../../../src/control/model.js';
import { enterFreshNamespace } from '../../helpers/in-namespace.js';
import { Site } from './site.js';

test.before(enterFreshNamespace);

const usual = {
	tx: null,
	rx: null,
	slow: { rate: 1000, burst: 2000 },
	learn: { rate: 60, burst: 24 },
};

test.serial('a slave has the limits that it is given, and the usual ones besides', async t => {
	const site = new Site(t);
	t.deepEqual((await site.attach('plain')).limits, usual);
	const limited = await site.attach('web1', '--limit', 'tx=100mbit', '--limit', 'slow=none');
	const given = { ...usual, tx: { rate: 100_000_000, burst: 3_125_000 }, slow: null };
	t.deepEqual(limited.limits, given);
	t.regex((await site.run('show', 'web1')).stdout, /^limits: +tx=100mbit rx=none slow=none learn=60$/m);
	const changed = await site.json<Slave>('set', 'web1', '--limit', 'rx=1gbit/1m', '--limit', 'slow=default');
	t.deepEqual(changed.limits, { ...given, rx: { rate: 1e9, burst: 1_048_576 }, slow: usual.slow });
	const { status, stdout } = await site.run('set', 'web1', '--ip', '+192.0.2.10', '--limit', 'tx=none');
	t.is(status, 0);
	t.is(stdout, 'web1: 192.0.2.10, limits tx=none rx=1gbit/1m slow=1000 learn=60\n');
});

test.serial('a change that fails leaves limits and addresses as they were', async t => {
	const site = new Site(t);
	await site.attach('other', '--ip', '192.0.2.10');
	const before = await site.attach('web1', '--ip', '192.0.2.11', '--limit', 'tx=1mbit');
	const refused = await site.run('set', 'web1', '--limit', 'tx=none', '--ip', '+192.0.2.10');
	t.is(refused.status, 4);
	const after = await site.json<Slave>('show', 'web1');
	t.deepEqual(after.limits, before.limits);
	t.deepEqual(
		after.addresses.map(({ address }) => address),
		['192.0.2.11'],
	);
});

test.serial('limits outlive the daemon; only what was said is written down', async t => {
	const site = new Site(t);
	await site.attach('plain');
	const { limits } = await site.attach('web1', '--limit', 'rx=20mbit', '--limit', 'learn=none');
	const { slaves } = JSON.parse(readFileSync(join(site.stateDir, 'state.json'), 'utf8')) as {
		slaves: { limits?: unknown }[];
	};
	t.deepEqual(
		slaves.map(slave => slave.limits),
		[undefined, { rx: limits.rx, learn: null }],
	);
	await site.crash();
	t.deepEqual(
		(await site.list()).slaves.map(slave => slave.limits),
		[usual, limits],
	);
});
