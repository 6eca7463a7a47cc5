/** DHCP clients as distributions ship them, each in a guest that is a Linux stack behind a slave's TAP. */
import type { ChildProcess } from 'node:child_process';
import { renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { staticBusybox } from '../../../src/lab/busybox.js';
import type { StackGuest } from '../../../src/lab/stack-guest.js';
import { until } from '../../../src/lab/wait.js';
import { type ClientName, type ClientOptions, clientRecipe } from '../../helpers/dhcp-clients.js';

export interface Client {
	readonly process: ChildProcess;
	/** What it has printed. */
	readonly log: string[];
	/** Ends the client, which gives its leases back first if it is one that does. */
	stop(signal?: NodeJS.Signals): Promise<void>;
}

/** Starts a client on the guest's `eth0`. */
export async function startClient(
	name: ClientName,
	guest: StackGuest,
	options: ClientOptions,
): Promise<Client> {
	const { files, words } = clientRecipe(name, guest.name, await staticBusybox(), options);
	for (const [file, text] of Object.entries(files)) {
		const path = join(options.folder, file);
		// Another client of the guest's may be running the one that is there.
		writeFileSync(`${path}.new`, text, { mode: file.endsWith('.sh') ? 0o755 : 0o644 });
		renameSync(`${path}.new`, path);
	}
	const [file, ...args] = words;
	const child = guest.namespace.spawn(file!, args, { stdio: ['ignore', 'pipe', 'pipe'] });
	const log: string[] = [];
	for (const stream of [child.stdout, child.stderr]) {
		createInterface(stream as Readable).on('line', line => log.push(line));
	}
	const stop = async (signal: NodeJS.Signals = 'SIGTERM'): Promise<void> => {
		child.kill(signal);
		await until(`the end of ${words.join(' ')}`, 20_000, () => (child.exitCode ?? child.signalCode) !== null);
	};
	return { process: child, log, stop };
}
