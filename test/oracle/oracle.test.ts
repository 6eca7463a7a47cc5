/**
 * The decision table once more, with the real kernel's ipvtap as the judge of who is right: where we follow it we
 * do so to the byte, and where we don't it is written down why.
 */
import test from 'ava';
import { missingKernel } from '../../src/lab/other-kernel.js';
import { type Consultation, consult } from './consult.js';
import { committedTable } from './document.js';
import { inquiries, notAsked, questions } from './questions.js';

const missing = await missingKernel();
const oracle = missing === undefined ? test.serial : test.serial.skip;
const because = missing === undefined ? '' : ` (no kernel to ask: ${missing})`;

let found: Consultation;

(missing === undefined ? test.serial.before : test.serial.before.skip)(
	`the kernel answers${because}`,
	async t => {
		found = await consult();
		const seconds = Object.entries(found.took).map(([name, took]) => `${name} ${(took / 1000).toFixed(1)} s`);
		t.log(`Linux ${found.kernel}: ${found.all.length} answers; ${seconds.join(', ')}`);
	},
);

test.serial('every case is put to the kernel but those it could not take', t => {
	const asked = inquiries().reduce((sum, inquiry) => sum + inquiry.asked.length, 0);
	const left = questions.filter(question => notAsked(question) !== undefined);
	t.is(asked + left.length, questions.length);
	t.true(
		left.every(({ one }) => one.frame.length > 65_000),
		'only what is longer than any frame of the kernel is left out',
	);
});

oracle(`no difference is there that nobody wrote down${because}`, t => {
	t.deepEqual(found.unexplained, []);
});

oracle(`no difference is written down that is gone${because}`, t => {
	t.deepEqual(found.stale, []);
});

oracle(`the kernel and we agree on what is ordinary${because}`, t => {
	const alike = found.all.filter(one => one.judgement.ours !== undefined && one.differences.length === 0);
	t.true(alike.length > 300, `${alike.length} cases are alike`);
});

oracle(`the table in docs/modes.md is what the kernel says (npm run oracle writes it)${because}`, t => {
	t.is(committedTable(), found.table.trim());
});
