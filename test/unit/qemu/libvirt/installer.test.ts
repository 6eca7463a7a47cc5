import {
	chmodSync,
	chownSync,
	mkdirSync,
	mkdtempSync,
	readdirSync,
	readFileSync,
	rmSync,
	statSync,
	symlinkSync,
	writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { hookScript, readHookScript } from '../../../../qemu/libvirt/hook-script.js';
import { hookPath, installHook, uninstallHook } from '../../../../qemu/libvirt/installer.js';
import { hookStatus } from '../../../../qemu/libvirt/status.js';

const socket = '/run/ipvtap/ipvtap.sock';

function root(t: ExecutionContext): string {
	const folder = mkdtempSync(join(tmpdir(), 'ipvtap-root-'));
	t.teardown(() => rmSync(folder, { recursive: true }));
	return folder;
}

/** Ids of what status finds. */
async function ids(folder: string): Promise<string[]> {
	return (await hookStatus(socket, folder)).findings.map(({ id }) => id);
}

test('install writes an executable with absolute paths; again it writes nothing', async t => {
	const folder = root(t);
	const path = hookPath(folder);
	t.is(path, join(folder, 'etc/libvirt/hooks/qemu.d/50-ipvtap'));
	t.true(installHook(socket, folder));
	t.is(statSync(path).mode & 0o7777, 0o755);
	t.is(readHookScript(readFileSync(path, 'utf8')), socket);
	t.false(installHook(socket, folder));
	t.deepEqual(readdirSync(dirname(path)), ['50-ipvtap']);
	t.deepEqual(await ids(folder), []);
	t.true(installHook('/run/other.sock', folder));
	t.deepEqual(await ids(folder), ['other-socket']);
});

test('uninstall removes ours and nobody else’s', t => {
	const folder = root(t);
	const path = hookPath(folder);
	t.false(uninstallHook(folder));
	installHook(socket, folder);
	writeFileSync(join(dirname(path), '10-other'), '');
	writeFileSync(join(dirname(dirname(path)), 'qemu'), '');
	t.true(uninstallHook(folder));
	t.deepEqual(readdirSync(dirname(path)), ['10-other']);
	t.deepEqual(readdirSync(dirname(dirname(path))).sort(), ['qemu', 'qemu.d']);
});

test('what is not ours is left alone', async t => {
	const folder = root(t);
	const path = hookPath(folder);
	mkdirSync(dirname(path), { recursive: true });
	t.deepEqual(await ids(folder), ['absent']);
	writeFileSync(path, '#!/bin/sh\n');
	t.throws(() => installHook(socket, folder), { message: /not ipvtap's/ });
	t.throws(() => uninstallHook(folder), { message: /not ipvtap's/ });
	t.deepEqual(await ids(folder), ['shadowed']);
	rmSync(path);
	symlinkSync('/nowhere', path);
	t.throws(() => installHook(socket, folder), { message: /not ipvtap's/ });
	t.deepEqual(await ids(folder), ['shadowed']);
	rmSync(path);
	mkdirSync(path);
	t.deepEqual(await ids(folder), ['shadowed']);
});

test('status names what is in the way', async t => {
	const folder = root(t);
	const path = hookPath(folder);
	installHook(socket, folder);
	chmodSync(path, 0o644);
	t.deepEqual(await ids(folder), ['not-executable']);
	t.true(installHook(socket, folder), 'install mends it');
	chmodSync(path, 0o775);
	t.deepEqual(await ids(folder), ['unsafe']);
	t.true(installHook(socket, folder), 'and this');
	if (process.geteuid?.() === 0) chownSync(path, 1000, 1000);
	t.deepEqual(await ids(folder), [], 'whose a packager’s files are shows when they are installed');
	t.is(readHookScript(hookScript("/it's/ipvtap.sock")), "/it's/ipvtap.sock");
	writeFileSync(path, `${hookScript(socket)}\n# changed\n`);
	t.deepEqual(await ids(folder), ['other-version']);
	installHook(socket, folder);
	const dispatcher = join(dirname(dirname(path)), 'qemu');
	writeFileSync(dispatcher, '#!/bin/sh\n');
	t.deepEqual(await ids(folder), ['dispatcher', 'dispatcher-not-executable']);
	chmodSync(dispatcher, 0o755);
	t.deepEqual(await ids(folder), ['dispatcher']);
	t.like(await hookStatus(socket, folder), { installed: true, ok: true, libvirt: null });
	writeFileSync(join(dirname(path), '60-copy'), readFileSync(path), { mode: 0o755 });
	t.deepEqual(await ids(folder), ['dispatcher', 'twice']);
});

// With a folder of its own for --root, status says nothing of the libvirt of this machine; without, it asks the one in
// PATH, which here is one that nobody can install any more.
test.serial('a libvirt that is too old to look into qemu.d is told, with the way out', async t => {
	const folder = root(t);
	writeFileSync(join(folder, 'virtqemud'), '#!/bin/sh\necho "virtqemud (libvirt) 6.0.0"\n', { mode: 0o755 });
	const path = process.env.PATH;
	t.teardown(() => {
		process.env.PATH = path;
	});
	process.env.PATH = `${folder}:${path}`;
	const { libvirt, ok, findings } = await hookStatus(socket);
	t.is(libvirt, '6.0.0');
	t.false(ok);
	const old = findings.find(({ id }) => id === 'libvirt-too-old');
	t.regex(old?.hint ?? '', /upgrade libvirt, or let .*hooks\/qemu end with: exec .*50-ipvtap "\$@"/);
});
