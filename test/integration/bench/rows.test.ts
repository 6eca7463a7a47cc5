/** Every row with few guests brings something on ipvtap, and so do the programs alone; never how much. */
import test from 'ava';
import { measureKernel } from '../../../src/bench/micro/kernel.js';
import { choosePeers, lackOf, OFFLOAD } from '../../../src/bench/peers/index.js';
import { buildPrograms } from '../../../src/bench/programs.js';
import { rows } from '../../../src/bench/rows/index.js';
import { forgedPassed } from '../../../src/bench/rows/metrics.js';
import { measure } from '../../../src/bench/run.js';
import { Site } from '../../../src/bench/site.js';
import { makeFolder } from '../../../src/lab/cleanup.js';
import { assertNothingLeft, snapshot } from '../../helpers/leaks.js';

const TIMING = { seconds: 0.05, warmup: 0.02 };
/** Somebody else may have the CPUs for all of so short a time. */
const ATTEMPTS = 20;

/** They take seconds, and others do nearly the same. */
const slow = ['disruption', 'unplugged-v2p', 'tcp-plain', 'tcp-9000-plain'];

/** A daemon may take longer to be there again than the traffic lasts; that it has taken over is looked at in any case. */
const once = ['upgrade'];

test('each row measures', async t => {
	const before = await snapshot();
	const [folder, removeFolder] = makeFolder('bench-rows');
	const [, make] = choosePeers([OFFLOAD], false);
	const site = new Site(make!, await buildPrograms(), folder);
	try {
		for (const row of rows) {
			if (row.guests.length !== 1 || row.guests[0]! > 9 || lackOf(row) !== undefined) continue;
			if (slow.includes(row.name)) continue;
			const place = await site.place(row.guests[0]!);
			const [first] = row.metrics;
			const least = first!.better === 'more' || first!.unit !== '' ? Number.MIN_VALUE : 0;
			const attempts = once.includes(row.name) ? 1 : ATTEMPTS;
			let value = -1;
			for (let attempt = 0; attempt < attempts && value < least; attempt++) {
				const run = await measure(row, [place], 0, TIMING);
				value = first!.of(run) ?? (attempts === 1 ? least : -1);
				t.is(row.metrics.find(({ name }) => name === forgedPassed.name)?.of(run) ?? 0, 0, row.name);
			}
			t.true(value >= least, `${row.name}: ${first!.name} ${value}`);
		}
	} finally {
		await site.close();
		removeFolder();
	}
	await assertNothingLeft(before);
	for (const { guests, detachMs, mapsMb } of site.setups) {
		t.is(detachMs?.length, guests);
		t.true(mapsMb! > 0);
	}
});

test('the eBPF programs decide as they have to while they are measured', async t => {
	const { cases, programs } = await measureKernel();
	t.true(cases.length > 12 && cases.every(({ ns }) => ns > 0));
	t.is(programs.length, 9);
	t.true(programs.every(({ instructions }) => instructions > 100));
});
