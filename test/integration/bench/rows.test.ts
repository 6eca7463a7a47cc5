/** Every row with few guests brings something on ipvtap, and so do the programs alone; never how much. */
import test from 'ava';
import { measureKernel } from '../../../src/bench/micro/kernel.js';
import { choosePeers, lackOf, OFFLOAD } from '../../../src/bench/peers/index.js';
import { buildPrograms } from '../../../src/bench/programs.js';
import { rows } from '../../../src/bench/rows/index.js';
import { measure } from '../../../src/bench/run.js';
import { Site } from '../../../src/bench/site.js';
import { makeFolder } from '../../../src/lab/cleanup.js';
import { assertNothingLeft, snapshot } from '../../helpers/leaks.js';

const TIMING = { seconds: 0.05, warmup: 0.02 };
/** Somebody else may have the CPUs for all of so short a time. */
const ATTEMPTS = 20;

test('each row measures', async t => {
	const before = await snapshot();
	const [folder, removeFolder] = makeFolder('bench-rows');
	const [, make] = choosePeers([OFFLOAD], false);
	const site = new Site(make!, await buildPrograms(), folder);
	try {
		for (const row of rows) {
			if (row.guests.length !== 1 || row.guests[0]! > 9 || lackOf(row) !== undefined) continue;
			if (row.name === 'disruption') continue;
			const place = await site.place(row.guests[0]!);
			let value: number | undefined;
			for (let attempt = 0; attempt < ATTEMPTS && !value; attempt++) {
				value = row.metrics[0]!.of(await measure(row, [place], 0, TIMING));
			}
			t.true(value! > 0, `${row.name}: ${row.metrics[0]!.name} ${value}`);
		}
	} finally {
		await site.close();
		removeFolder();
	}
	await assertNothingLeft(before);
});

test('the eBPF programs decide as they have to while they are measured', async t => {
	const { cases, programs } = await measureKernel();
	t.true(cases.length > 12 && cases.every(({ ns }) => ns > 0));
	t.is(programs.length, 9);
	t.true(programs.every(({ instructions }) => instructions > 100));
});
