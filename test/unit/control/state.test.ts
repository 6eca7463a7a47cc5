import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { Registry } from '../../../src/control/registry.js';
import { type State, StateFile } from '../../../src/control/state.js';

function folder(t: ExecutionContext): string {
	const path = mkdtempSync(join(tmpdir(), 'ipvtap-state-'));
	t.teardown(() => rmSync(path, { recursive: true }));
	return path;
}

/** @returns the file, and what it couldn't bring to the disk. */
function fileIn(dir: string): { file: StateFile; path: string; failures: string[] } {
	const path = join(dir, 'state.json');
	const failures: string[] = [];
	return { file: new StateFile(path, ({ message }) => failures.push(message)), path, failures };
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

test('what is saved is loaded, on the disk or not yet', async t => {
	const { file } = fileIn(folder(t));
	file.save(sample());
	t.deepEqual(file.load(), { state: sample() });
	file.save(empty);
	t.deepEqual(file.load(), { state: empty });
	await file.settled();
	t.deepEqual(file.load(), { state: empty });
});

test('no file is an empty state', t => {
	const dir = folder(t);
	t.deepEqual(fileIn(dir).file.load(), { state: empty });
	t.deepEqual(readdirSync(dir), []);
});

test('saving leaves one file, and removing none', async t => {
	const dir = join(folder(t), 'sub');
	const { file } = fileIn(dir);
	for (const state of [empty, sample(), empty, sample()]) file.save(state);
	await file.settled();
	t.deepEqual(readdirSync(dir), ['state.json']);
	t.deepEqual(file.load(), { state: sample() });
	file.save(empty);
	await file.remove();
	await file.remove();
	t.deepEqual(readdirSync(dir), []);
});

test('what is saved while the disk is at work is on it when all is settled', async t => {
	const dir = folder(t);
	const { file, path } = fileIn(dir);
	file.save(empty);
	// One turn later the first is on its way.
	await Promise.resolve();
	file.save(sample());
	t.deepEqual(file.load(), { state: sample() });
	await file.settled();
	t.deepEqual(readdirSync(dir), ['state.json']);
	t.is((JSON.parse(readFileSync(path, 'utf8')) as State).slaves.length, 1);
});

test('after a loss of power in between, the last whole state is loaded', t => {
	const dir = folder(t);
	const { file, path } = fileIn(dir);
	writeFileSync(path, JSON.stringify({ version: 1, ...empty }));
	writeFileSync(`${path}.sync`, JSON.stringify({ version: 1, ...sample() }));
	writeFileSync(`${path}.new`, '');
	t.deepEqual(file.load(), { state: sample() });
	writeFileSync(`${path}.sync`, JSON.stringify({ version: 1, ...sample() }).slice(0, 99));
	t.deepEqual(file.load(), { state: empty });
});

test('who waits is told when the disk takes nothing', async t => {
	const dir = folder(t);
	const { file, path, failures } = fileIn(dir);
	mkdirSync(path);
	file.save(sample());
	await file.settled();
	t.regex(failures.join(), /^can't bring to the disk .*state\.json: EISDIR$/);
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
		const { file, path } = fileIn(dir);
		writeFileSync(path, text);
		const { state, broken } = file.load();
		t.deepEqual(state, empty);
		t.regex(broken?.why ?? '', why);
		t.is(readFileSync(broken?.movedTo ?? '', 'utf8'), text);
		t.is(readdirSync(dir).length, 1);
	});
}

test("a master may have a slave's name: whoever renames an interface asks nobody", t => {
	const { file, path } = fileIn(folder(t));
	const text = JSON.stringify(good).replaceAll('"eth0"', `"${good.slaves[0]?.name}"`);
	writeFileSync(path, text);
	const { state, broken } = file.load();
	t.is(broken, undefined);
	t.is(state.masters[0]?.name, state.slaves[0]?.name);
});

test('a folder that can not be written to is a permission error, or another failure, with a hint', t => {
	const dir = folder(t);
	// Root writes everywhere, but nobody makes a file inside a file.
	writeFileSync(join(dir, 'file'), '');
	chmodSync(join(dir, 'file'), 0o400);
	const { file } = fileIn(join(dir, 'file'));
	const error = t.throws(() => file.save(empty), {
		message: /^can't write /,
	}) as { hint?: string };
	t.truthy(error.hint);
});
