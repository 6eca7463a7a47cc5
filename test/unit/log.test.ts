import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import test from 'ava';

test("a log that can't be written ends nobody", async t => {
	const program = `
		const { createLog } = await import('${new URL('../../src/log.js', import.meta.url)}');
		const log = createLog();
		for (let line = 0; line < 20_000; line++) log.info({ line }, 'a line that the disk has no room for');
		process.stdout.write('alive');
	`;
	const words = ['-c', '"$0" --input-type=module -e "$1" 2>/dev/full', process.execPath, program];
	t.is((await promisify(execFile)('sh', words)).stdout, 'alive');
});
