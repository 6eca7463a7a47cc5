/** libvirt's own command, for what a hook must never do: ask and change running domains. */
import { spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { IpvtapError } from '../../src/errors.js';
import { type Domain, parseDomain } from './domain.js';

/** libvirt waits 5 s for a guest to let go of a device; QEMU may stand still for a moment besides. */
const patienceMs = 20_000;

/** @throws IpvtapError `not-found` (no virsh, no such domain), `failed` in libvirt's words. */
export async function describeDomain(domain: string): Promise<Domain> {
	return parseDomain(await virsh(['dumpxml', '--domain', domain]));
}

/** @param xml the `<interface>`. @throws IpvtapError as above. */
export async function attachDevice(domain: string, xml: string): Promise<void> {
	await withFile(xml, file => virsh(['attach-device', '--domain', domain, '--file', file, '--live']));
}

/** Asks the guest to let go of a NIC; whether it does shows later. @throws IpvtapError as above. */
export async function detachDevice(domain: string, xml: string): Promise<void> {
	await withFile(xml, file => virsh(['detach-device', '--domain', domain, '--file', file, '--live']));
}

/** virsh takes devices from files only, and can't open the socket that Node gives a child as its input. */
async function withFile(text: string, use: (path: string) => Promise<unknown>): Promise<void> {
	const folder = await mkdtemp(join(tmpdir(), 'ipvtap-virsh-'));
	try {
		const path = join(folder, 'device.xml');
		await writeFile(path, text);
		await use(path);
	} finally {
		await rm(folder, { recursive: true, force: true });
	}
}

function virsh(args: string[]): Promise<string> {
	// root's domains are the system's, and nobody else may use them without being asked for a password.
	const connection = process.env.LIBVIRT_DEFAULT_URI || 'qemu:///system';
	return new Promise((resolve, reject) => {
		const child = spawn('virsh', ['--quiet', '--connect', connection, ...args], {
			env: { ...process.env, LC_ALL: 'C' },
			stdio: ['ignore', 'pipe', 'pipe'],
			timeout: patienceMs,
			killSignal: 'SIGKILL',
		});
		let out = '';
		let err = '';
		child.stdout.setEncoding('utf8').on('data', (text: string) => {
			out += text;
		});
		child.stderr.setEncoding('utf8').on('data', (text: string) => {
			err += text;
		});
		child.once('error', cause => reject(notStarted(cause)));
		child.once('close', (status, signal) => {
			if (status === 0) resolve(out);
			else reject(refused(args[0] ?? '', signal === null ? err : `no end after ${patienceMs / 1000} s`));
		});
	});
}

function notStarted(cause: NodeJS.ErrnoException): IpvtapError {
	const missing = cause.code === 'ENOENT';
	return new IpvtapError(
		missing ? 'not-found' : 'failed',
		`can't run virsh: ${cause.code ?? cause.message}`,
		{
			hint: "install libvirt's clients: sudo apt install libvirt-clients",
			cause,
		},
	);
}

function refused(what: string, said: string): IpvtapError {
	const words = said
		.split('\n')
		.map(line => line.replace(/^error: /, '').trim())
		.filter(Boolean)
		.join(': ');
	if (/failed to get domain|Domain not found/.test(words))
		return new IpvtapError('not-found', `virsh ${what}: ${words}`, { hint: 'see: virsh list --all' });
	return new IpvtapError('failed', `virsh ${what}: ${words || 'it failed without a word'}`, {
		hint: 'see what libvirt thinks of the domain: virsh domstate, virsh domiflist',
	});
}
