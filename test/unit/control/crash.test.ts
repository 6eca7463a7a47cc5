import { spawn } from 'node:child_process';
import { once } from 'node:events';
import test from 'ava';

/** A thread that waits for frames, of which none come. */
const waiting = `
	const { PollSet, openEvent } = await import('${new URL('../../../src/sys/fd.js', import.meta.url)}');
	const { parentPort } = await import('node:worker_threads');
	parentPort.postMessage('waiting');
	new PollSet(openEvent()).wait(-1);
`;
const program = `
	import { once } from 'node:events';
	import { Worker } from 'node:worker_threads';
	import { crash } from '${new URL('../../../src/control/daemon.js', import.meta.url)}';
	import { createLog } from '${new URL('../../../src/log.js', import.meta.url)}';
	await once(new Worker(new URL(\`data:text/javascript,\${encodeURIComponent(${JSON.stringify(waiting)})}\`)), 'message');
	crash(createLog(), new Error('on purpose'));
`;

test('a daemon that crashes ends, whatever its frame threads wait for', async t => {
	const child = spawn(process.execPath, ['--input-type=module', '-e', program], {
		stdio: ['ignore', 'ignore', 'pipe'],
		timeout: 30_000,
		killSignal: 'SIGKILL',
	});
	let said = '';
	child.stderr.on('data', chunk => {
		said += chunk;
	});
	t.deepEqual(await once(child, 'close'), [1, null], said);
	t.regex(said, /"msg":"crashed; the next daemon adopts what is there"/);
});
