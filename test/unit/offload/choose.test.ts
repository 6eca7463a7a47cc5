/** From `--offload` to a hook, and what is said where there is none. */
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { checkOffload, chooseOffload } from '../../../src/offload/choose.js';

const folder = mkdtempSync(join(tmpdir(), 'ipvtap-hooks-'));
test.after.always(() => rmSync(folder, { recursive: true }));

function module(name: string, code: string): string {
	const path = join(folder, name);
	writeFileSync(path, code, { mode: 0o644 });
	return path;
}

test('none is none, without a word', async t => {
	t.deepEqual(await chooseOffload('none', 'l2'), {});
});

test('a hook that lacks the rules of a mode is none for it', async t => {
	const path = module(
		'l2.mjs',
		"export default { name: 'mine', probe: mode => (mode === 'l2' ? undefined : 'no rules of ' + mode), open: () => ({}) };",
	);
	t.is((await chooseOffload(path, 'l2')).hook?.name, 'mine');
	await t.throwsAsync(chooseOffload(path, 'l3s'), { message: `offload '${path}': no rules of l3s` });
});

test('tc-flower is asked for by name, and not in l3s', async t => {
	t.notThrows(() => checkOffload('tc-flower'));
	await t.throwsAsync(chooseOffload('tc-flower', 'l3s'), {
		message: /^offload 'tc-flower': in l3s the host's stack takes what comes from the wire/,
	});
});

test('a word that is no hook is refused', t => {
	t.throws(() => checkOffload('xdp'), { message: "offload 'xdp': there is no such hook" });
	t.throws(() => checkOffload('./hook.mjs'), { message: /there is no such hook/ });
	t.notThrows(() => checkOffload('/hook.mjs'));
});

test('a module is a hook, or makes one', async t => {
	const hook = "{ name: 'mine', probe: () => undefined, open: () => ({}) }";
	const plain = await chooseOffload(module('plain.mjs', `export default ${hook};`), 'l2');
	t.is(plain.hook?.name, 'mine');
	const made = module('made.mjs', `export default ({ TcBpf }) => { new TcBpf(); return ${hook}; };`);
	t.is((await chooseOffload(made, 'l2')).hook?.name, 'mine');
});

test('a module that can not work here says why', async t => {
	const path = module(
		'picky.mjs',
		"export default { name: 'picky', probe: () => 'it wants a Tuesday', open: () => ({}) };",
	);
	await t.throwsAsync(chooseOffload(path, 'l2'), { message: `offload '${path}': it wants a Tuesday` });
});

test('a module that is none, is broken, or is not there', async t => {
	const none = module('none.mjs', 'export const hook = 1;');
	await t.throwsAsync(chooseOffload(none, 'l2'), { message: /neither is nor makes an XmitOffload/ });
	const broken = module('broken.mjs', 'this is no JavaScript');
	await t.throwsAsync(chooseOffload(broken, 'l2'), { message: /it can't be loaded: / });
	await t.throwsAsync(chooseOffload('/nowhere/hook.mjs', 'l2'), { message: /there is no such file/ });
});

test('a module that others may change is not loaded', async t => {
	const path = module('loose.mjs', 'throw new Error("I was loaded");');
	chmodSync(path, 0o666);
	await t.throwsAsync(chooseOffload(path, 'l2'), { message: /others than root may change/ });
});
