/** Puts the hook in its place and takes it away. What isn't ours is never touched. */
import {
	chmodSync,
	chownSync,
	lstatSync,
	mkdirSync,
	readFileSync,
	renameSync,
	rmdirSync,
	rmSync,
	writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { IpvtapError } from '../../src/errors.js';
import { hookScript, readHookScript } from './hook-script.js';

/** Where libvirt 6.5 and later looks for scripts beside the one that is called `qemu`. */
const hookFile = '/etc/libvirt/hooks/qemu.d/50-ipvtap';

/** @param root folder in front of it, for packagers. */
export function hookPath(root = '/'): string {
	return join(root, hookFile);
}

/** @param socket of the daemon that it is to talk to. @returns whether anything had to be written. @throws IpvtapError `conflict`, `permission`. */
export function installHook(socket: string, root?: string): boolean {
	const path = hookPath(root);
	const text = hookScript(socket);
	const there = found(path);
	if (there === 'foreign') throw foreign(path, 'install the hook');
	const { mode = 0, uid } = lstatSync(path, { throwIfNoEntry: false }) ?? {};
	if (
		there === 'ours' &&
		(mode & 0o7777) === 0o755 &&
		uid === process.geteuid?.() &&
		readFileSync(path, 'utf8') === text
	)
		return false;
	return touching('write', path, () => {
		mkdirSync(dirname(path), { recursive: true, mode: 0o755 });
		// Not beside it: libvirt runs whatever is executable there, also half of one.
		const fresh = join(dirname(dirname(path)), '.50-ipvtap.new');
		try {
			rmSync(fresh, { force: true });
			writeFileSync(fresh, text, { mode: 0o755, flag: 'wx' });
			chmodSync(fresh, 0o755);
			if (process.geteuid?.() === 0) chownSync(fresh, 0, 0);
			// libvirt may be about to run it: it finds the old one or the new one, whole.
			renameSync(fresh, path);
		} finally {
			rmSync(fresh, { force: true });
		}
		return true;
	});
}

/** @returns whether there was one. @throws IpvtapError `conflict`, `permission`. */
export function uninstallHook(root?: string): boolean {
	const path = hookPath(root);
	const there = found(path);
	if (there === 'nothing') return false;
	if (there === 'foreign') throw foreign(path, 'uninstall the hook');
	return touching('remove', path, () => {
		rmSync(path);
		try {
			rmdirSync(dirname(path));
		} catch {
			// Others have their hooks there.
		}
		return true;
	});
}

function found(path: string): 'nothing' | 'ours' | 'foreign' {
	const entry = lstatSync(path, { throwIfNoEntry: false });
	if (!entry) return 'nothing';
	return entry.isFile() && readHookScript(readFileSync(path, 'utf8')) !== undefined ? 'ours' : 'foreign';
}

function foreign(path: string, what: string): IpvtapError {
	return new IpvtapError('conflict', `can't ${what}: what is at ${path} is not ipvtap's`, {
		hint: `see what it is (ls -l ${path}), and move it to another name`,
	});
}

function touching<T>(what: string, path: string, task: () => T): T {
	try {
		return task();
	} catch (cause) {
		const code = (cause as NodeJS.ErrnoException).code ?? String(cause);
		const denied = ['EACCES', 'EPERM', 'EROFS'].includes(code);
		throw new IpvtapError(denied ? 'permission' : 'failed', `can't ${what} ${path}: ${code}`, {
			hint: denied ? 'run it as root (sudo), or give another --root' : 'see what is in the way',
			cause,
		});
	}
}
