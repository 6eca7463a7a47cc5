/** How `helperMain` ends badly without a TAP; the rest is in test/integration/qemu. */
import { closeSync, openSync } from 'node:fs';
import test from 'ava';
import { helperMain } from '../../../qemu/helper.js';
import { type ErrorCode, exitStatus, IpvtapError } from '../../../src/errors.js';

const gone = async (name: string): Promise<never> => {
	throw new IpvtapError('not-found', `no slave ${name}`);
};

const bad: [argv: string[], code: ErrorCode, said: RegExp][] = [
	[[], 'usage', /--fd is missing/],
	[['--use-vnet', '--br=a'], 'usage', /--fd is missing/],
	[['--use-vnet', '--fd=FILE'], 'usage', /--br is missing/],
	[['--fd=nine', '--br=a'], 'usage', /--fd=nine/],
	[['--fd=-1', '--br=a'], 'usage', /--fd=-1/],
	[['--fd=99999', '--br=a'], 'usage', /--fd=99999/],
	[['--fd=FILE', '--br=a'], 'usage', /no socket/],
	[['--fd=9', '--br=a', '--what'], 'usage', /--what/],
	[['--fd=9', '--br=a', 'what'], 'usage', /what/],
];

for (const [argv, code, said] of bad) {
	test.serial(`helper ${argv.join(' ')}`, async t => {
		const file = openSync('/dev/null', 'r');
		const lines: string[] = [];
		try {
			const words = argv.map(word => word.replace('FILE', String(file)));
			t.is(await helperMain(words, { lookup: gone, say: line => lines.push(line) }), exitStatus[code]);
		} finally {
			closeSync(file);
			process.exitCode = 0;
		}
		t.regex(lines[0] ?? '', /^ipvtap-helper: /);
		t.regex(lines[0] ?? '', said);
		t.regex(lines[1] ?? '', /^hint: /);
	});
}
