/** What stands between a domain and its NICs: the hook's file, libvirt's version, other people's hooks. */
import { execFile } from 'node:child_process';
import { accessSync, constants, lstatSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { hookScript, readHookScript } from './hook-script.js';
import { hookPath } from './installer.js';

export interface Finding {
	/** `problem`: NICs won't come. `note`: worth knowing. */
	level: 'problem' | 'note';
	/** A word for scripts. */
	id: string;
	message: string;
	/** What to do about it; absent where nothing has to be done. */
	hint?: string;
}

export interface HookStatus {
	path: string;
	installed: boolean;
	/** Installed, and nothing in the way. */
	ok: boolean;
	/** `9.0.0`; null where there is no libvirt. */
	libvirt: string | null;
	/** The socket that the hook talks to. */
	socket: string | null;
	findings: Finding[];
}

/** @param socket of the daemon that commands talk to here. */
export async function hookStatus(socket: string, root?: string): Promise<HookStatus> {
	const path = hookPath(root);
	const libvirt = root === undefined ? await libvirtVersion() : null;
	const file = lookAtFile(path, socket, root !== undefined);
	const findings = [
		...file.findings,
		...lookAtNeighbours(path),
		...(root === undefined ? [...lookAtCurl(), ...lookAtLibvirt(libvirt, path)] : []),
	];
	return {
		path,
		installed: file.installed,
		ok: file.installed && !findings.some(({ level }) => level === 'problem'),
		libvirt,
		socket: file.socket,
		findings,
	};
}

/** @param staged in a folder that a package is made of, whose files' owners are the package's affair. */
function lookAtFile(
	path: string,
	socket: string,
	staged: boolean,
): Pick<HookStatus, 'installed' | 'socket' | 'findings'> {
	const entry = lstatSync(path, { throwIfNoEntry: false });
	const install = 'sudo ipvtap libvirt install';
	if (!entry) {
		const findings = [problem('absent', 'the hook is not installed', install)];
		return { installed: false, socket: null, findings };
	}
	const text = entry.isFile() ? readFileSync(path, 'utf8') : '';
	const said = readHookScript(text);
	if (said === undefined) {
		const hint = `move it to another name, then: ${install}`;
		return {
			installed: false,
			socket: null,
			findings: [problem('shadowed', `what is at ${path} is not ipvtap's`, hint)],
		};
	}
	const findings: Finding[] = [];
	if ((entry.mode & 0o111) !== 0o111)
		findings.push(
			problem(
				'not-executable',
				`${path} is not executable, so libvirt passes over it`,
				`sudo chmod 755 ${path}`,
			),
		);
	if ((entry.uid !== 0 && !staged) || (entry.mode & 0o022) !== 0)
		findings.push(
			problem(
				'unsafe',
				`${path} can be changed by others than root, and libvirt runs it as root`,
				`sudo chown root:root ${path} && sudo chmod 755 ${path}`,
			),
		);
	if (findings.length === 0 && text !== hookScript(said))
		findings.push(note('other-version', 'the hook was written by another ipvtap', install));
	if (said !== socket)
		findings.push(
			note(
				'other-socket',
				`the hook talks to ${said}, but commands here to ${socket}`,
				`set IPVTAP_SOCKET, or: ${install}`,
			),
		);
	return { installed: true, socket: said, findings };
}

/** libvirt runs `qemu` first, then `qemu.d` in the order of the names; each gets what the one before it printed. */
function lookAtNeighbours(path: string): Finding[] {
	const findings: Finding[] = [];
	const dispatcher = join(dirname(dirname(path)), 'qemu');
	if (lstatSync(dispatcher, { throwIfNoEntry: false })) {
		findings.push(
			note(
				'dispatcher',
				`there is a hook ${dispatcher} of somebody else's: libvirt runs it before ours, and a failure of it stops a start before ours`,
			),
		);
		if (!may(dispatcher, constants.X_OK))
			findings.push(
				note(
					'dispatcher-not-executable',
					`${dispatcher} is not executable, so libvirt passes over it`,
					`sudo chmod 755 ${dispatcher}, if its owner wants it run`,
				),
			);
	}
	for (const name of namesIn(dirname(path))) {
		if (join(dirname(path), name) === path || !readsAsOurs(join(dirname(path), name))) continue;
		findings.push(
			problem('twice', `${join(dirname(path), name)} is a second hook of ipvtap's`, 'remove one of the two'),
		);
	}
	return findings;
}

/** In the hook's PATH, which is libvirt's own, and unlikely to be less than the system's. */
function lookAtCurl(): Finding[] {
	const folders = ['/usr/local/sbin', '/usr/local/bin', '/usr/sbin', '/usr/bin', '/sbin', '/bin'];
	if (folders.some(folder => may(join(folder, 'curl'), constants.X_OK))) return [];
	return [
		problem(
			'no-curl',
			'the hook talks to the daemon by curl, which is not installed',
			'sudo apt install curl',
		),
	];
}

function lookAtLibvirt(version: string | null, path: string): Finding[] {
	if (version === null)
		return [
			note(
				'no-libvirt',
				'no libvirt is found here, so nobody runs the hook',
				'sudo apt install libvirt-daemon-system',
			),
		];
	if (olderThan(version, 6, 5)) {
		return [
			problem(
				'libvirt-too-old',
				`libvirt ${version} doesn't look into qemu.d, only 6.5 and later do`,
				`upgrade libvirt, or let /etc/libvirt/hooks/qemu end with: exec ${path} "$@"`,
			),
		];
	}
	const running = daemonStarted();
	const written = statSync(path, { throwIfNoEntry: false })?.ctimeMs;
	if (running && written !== undefined && written > running.at)
		return [
			note(
				'reload',
				`${running.name} was started before the hook was written, and may not know of it yet`,
				reloadHint(running),
			),
		];
	return [];
}

/** How to make a running libvirt look for hooks again; undefined if none runs. */
export function reloadCommand(): string | undefined {
	const running = daemonStarted();
	return running && reloadHint(running);
}

function reloadHint({ name, pid }: { name: string; pid: number }): string {
	return `sudo systemctl reload ${name} (or: sudo kill -HUP ${pid})`;
}

/** The daemon that runs QEMU, one for all drivers or one for this, and when it began. */
function daemonStarted(): { name: string; pid: number; at: number } | undefined {
	for (const pid of readdirSync('/proc')) {
		if (!/^\d+$/.test(pid)) continue;
		try {
			const name = readFileSync(`/proc/${pid}/comm`, 'utf8').trim();
			if (name === 'libvirtd' || name === 'virtqemud')
				return { name, pid: Number(pid), at: statSync(`/proc/${pid}`).ctimeMs };
		} catch {
			// It ended in between.
		}
	}
	return undefined;
}

async function libvirtVersion(): Promise<string | null> {
	for (const program of ['virtqemud', 'libvirtd', 'virsh']) {
		const env = { ...process.env, PATH: `${process.env.PATH ?? ''}:/usr/sbin:/sbin` };
		const said = await promisify(execFile)(program, ['--version'], { timeout: 5000, env }).catch(
			() => undefined,
		);
		const version = /\b(\d+\.\d+\.\d+)\b/.exec(said?.stdout ?? '')?.[1];
		if (version !== undefined) return version;
	}
	return null;
}

function olderThan(version: string, major: number, minor: number): boolean {
	const [first = 0, second = 0] = version.split('.').map(Number);
	return first < major || (first === major && second < minor);
}

function readsAsOurs(path: string): boolean {
	const entry = statSync(path, { throwIfNoEntry: false });
	return entry?.isFile() === true && readHookScript(readFileSync(path, 'latin1')) !== undefined;
}

function namesIn(folder: string): string[] {
	return lstatSync(folder, { throwIfNoEntry: false })?.isDirectory() ? readdirSync(folder) : [];
}

function may(path: string, mode: number): boolean {
	try {
		accessSync(path, mode);
		return true;
	} catch {
		return false;
	}
}

function problem(id: string, message: string, hint: string): Finding {
	return { level: 'problem', id, message, hint };
}

function note(id: string, message: string, hint?: string): Finding {
	return { level: 'note', id, message, ...(hint === undefined ? {} : { hint }) };
}
