import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { Registry } from '../../../src/control/registry.js';
import { loadState, removeState, type State, saveState } from '../../../src/control/state.js';

function folder(t: ExecutionContext): string {
	const path = mkdtempSync(join(tmpdir(), 'ipvtap-state-'));
	t.teardown(() => rmSync(path, { recursive: true }));
	return path;
}

function sample(): State {
	const registry = new Registry();
	registry.addMaster(registry.planMaster('eth0', { flag: 'private' }, true));
	registry.addSlave(
		registry.planSlave({
			name: 'web1',
			master: 'eth0',
			owner: 1000,
			addresses: ['192.0.2.1', '2001:db8::1'],
			limits: { tx: { rate: 1e8 }, slow: null },
		}),
	);
	return { masters: registry.masters(), slaves: registry.slaves() };
}

const empty: State = { masters: [], slaves: [] };

test('what is saved is loaded', t => {
	const path = join(folder(t), 'state.json');
	saveState(path, sample());
	t.deepEqual(loadState(path), { state: sample() });
	saveState(path, empty);
	t.deepEqual(loadState(path), { state: empty });
});

test('no file is an empty state', t => {
	const dir = folder(t);
	t.deepEqual(loadState(join(dir, 'state.json')), { state: empty });
	t.deepEqual(readdirSync(dir), []);
});

test('saving leaves one file, and removing none', t => {
	const dir = folder(t);
	const path = join(dir, 'sub', 'state.json');
	saveState(path, sample());
	t.deepEqual(readdirSync(join(dir, 'sub')), ['state.json']);
	removeState(path);
	removeState(path);
	t.deepEqual(readdirSync(join(dir, 'sub')), []);
});

const good = JSON.parse(JSON.stringify({ version: 1, ...sample() })) as {
	version: number;
	masters: Record<string, unknown>[];
	slaves: Record<string, unknown>[];
};

for (const [what, text, why] of [
	['an empty file', '', /JSON/],
	['half a file', JSON.stringify(good).slice(0, 100), /JSON/],
	['another version', JSON.stringify({ ...good, version: 2 }), /^version: /],
	['an unknown key', JSON.stringify({ ...good, more: 1 }), /^the whole: /],
	[
		'a bad address',
		JSON.stringify({ ...good, slaves: [{ ...good.slaves[0], addresses: ['224.0.0.1'] }] }),
		/^slaves\.0\.addresses\.0: /,
	],
	[
		'an address that is not canonical',
		JSON.stringify({ ...good, slaves: [{ ...good.slaves[0], addresses: ['2001:DB8::1'] }] }),
		/^slaves\.0\.addresses\.0: /,
	],
	[
		"a path for a TAP's name",
		JSON.stringify({ ...good, slaves: [{ ...good.slaves[0], ifname: '../x' }] }),
		/^slaves\.0\.ifname: /,
	],
	['a slave without its master', JSON.stringify({ ...good, masters: [] }), /a master that isn't there: eth0/],
	[
		'a name twice',
		JSON.stringify({ ...good, slaves: [good.slaves[0], good.slaves[0]] }),
		/'web1' is there twice/,
	],
] as const) {
	test(`${what} is moved aside, and reported`, t => {
		const dir = folder(t);
		const path = join(dir, 'state.json');
		writeFileSync(path, text);
		const { state, broken } = loadState(path);
		t.deepEqual(state, empty);
		t.regex(broken?.why ?? '', why);
		t.is(readFileSync(broken?.movedTo ?? '', 'utf8'), text);
		t.is(readdirSync(dir).length, 1);
	});
}

test('a folder that can not be written to is a permission error, or another failure, with a hint', t => {
	const dir = folder(t);
	// Root writes everywhere, but nobody makes a file inside a file.
	writeFileSync(join(dir, 'file'), '');
	chmodSync(join(dir, 'file'), 0o400);
	const error = t.throws(() => saveState(join(dir, 'file', 'state.json'), empty), {
		message: /^can't write /,
	}) as { hint?: string };
	t.truthy(error.hint);
});
