import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { Lock } from '../../../src/control/lock.js';

function path(t: ExecutionContext): string {
	const folder = mkdtempSync(join(tmpdir(), 'ipvtap-lock-'));
	t.teardown(() => rmSync(folder, { recursive: true }));
	return join(folder, 'lock');
}

test('a lock is held once, and says by whom', t => {
	const file = path(t);
	const lock = Lock.acquire(file, '/run/a.sock');
	t.truthy(lock);
	t.is(Lock.acquire(file, '/run/b.sock'), null);
	t.deepEqual(Lock.holder(file), { pid: process.pid, socket: '/run/a.sock' });
	lock?.release();
	t.false(existsSync(file));
	t.is(Lock.holder(file), null);
	Lock.acquire(file, '/run/b.sock')?.release();
});

test('a holder that is killed leaves a file, but no lock', async t => {
	const file = path(t);
	const module = new URL('../../../src/control/lock.js', import.meta.url).href;
	const code = `const { Lock } = await import(${JSON.stringify(module)});
		globalThis.lock = Lock.acquire(${JSON.stringify(file)}, 'theirs'); console.log('locked'); setInterval(() => {}, 1e6);`;
	const child = spawn(process.execPath, ['--input-type=module', '-e', code], {
		stdio: ['ignore', 'pipe', 'inherit'],
	});
	await once(child.stdout, 'data');
	t.is(Lock.acquire(file, 'ours'), null);
	t.deepEqual(Lock.holder(file), { pid: child.pid as number, socket: 'theirs' });
	child.kill('SIGKILL');
	await once(child, 'exit');
	t.true(existsSync(file));
	const lock = Lock.acquire(file, 'ours');
	t.deepEqual(Lock.holder(file), { pid: process.pid, socket: 'ours' });
	lock?.release();
});
