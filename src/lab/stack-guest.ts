import { type ChildProcess, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { IpvtapError } from '../errors.js';
import { cached } from './cache.js';
import { type CommandOptions, closed, exec, type Finished, toolsEnv } from './command.js';
import { addressesReadyScript, isIpv6 } from './guest.js';
import { Namespace } from './namespace.js';

export interface StackGuestOptions {
	/** Names the guest's namespace. */
	name: string;
	/** Where the slave's TAP is, and its name. */
	slave: { namespace: Pick<Namespace, 'path'>; ifname: string };
	/** MAC of the guest's NIC, `eth0`; by default the kernel draws one. */
	mac?: string;
	/** Addresses with prefix length, as {@link StackGuest.addAddress} takes them. */
	addresses?: readonly string[];
	/** As in GuestOptions: whether the guest makes addresses from advertisements beside a static IPv6 one. */
	autoconf?: boolean;
	/** Checksum and segmentation offloads of the NIC, on by default as in a guest with virtio-net. */
	offloads?: boolean;
	mtu?: number;
	/** IPv6 duplicate address detection, on by default as in every guest. */
	dad?: boolean;
	/** Kernel settings of the guest by their names under /proc/sys with dots, made before its NIC is up. */
	sysctl?: Readonly<Record<string, string | number>>;
}

/**
 * A guest without QEMU: a namespace whose Linux stack sits behind the slave's TAP, with a small C program
 * in QEMU's place. Ready at once and quick, for tests that need many guests or much traffic.
 */
export class StackGuest {
	readonly name: string;
	readonly namespace: Namespace;
	/** Settles with the relay's exit status: 0 when the slave's TAP was deleted. */
	readonly exited: Promise<number>;
	readonly #relay: ChildProcess;

	private constructor(name: string, namespace: Namespace, relay: ChildProcess) {
		this.name = name;
		this.namespace = namespace;
		this.#relay = relay;
		this.exited = closed(relay, 'the relay');
		this.exited.catch(() => {});
	}

	/**
	 * Opens the slave's TAP by name, and sets the guest's NIC up.
	 *
	 * @throws IpvtapError `failed` when the TAP isn't there, is in use, or can't take a vnet header.
	 */
	static async start(options: StackGuestOptions): Promise<StackGuest> {
		const program = await relayProgram();
		const namespace = await Namespace.create(options.name);
		try {
			const { slave, offloads = true } = options;
			const args = [slave.namespace.path, slave.ifname, namespace.path, device, offloads ? 'on' : 'off'];
			const relay = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'], env: toolsEnv });
			const guest = new StackGuest(options.name, namespace, relay);
			await guest.#ready();
			await guest.#setUp(options);
			return guest;
		} catch (error) {
			await namespace.delete();
			throw error;
		}
	}

	/** The relay's process, which has the slave's TAP open in QEMU's stead. */
	get pid(): number {
		return this.#relay.pid!;
	}

	/** Runs a program in the guest to its end, whatever its exit status. */
	run(file: string, args: readonly string[] = [], options: CommandOptions = {}): Promise<Finished> {
		return this.namespace.run(file, args, options);
	}

	/** Runs a program in the guest that has to succeed, and gives back its standard output. */
	exec(file: string, args: readonly string[] = [], options: CommandOptions = {}): Promise<string> {
		return this.namespace.exec(file, args, options);
	}

	/** Adds an address with its prefix length, of either family. */
	addAddress(address: string): Promise<void> {
		return this.namespace.ip(`address add ${address} dev ${device}`);
	}

	/** Makes a router the default one of its family. */
	addDefaultRoute(router: string): Promise<void> {
		return this.namespace.ip(`route add default via ${router}`);
	}

	setMtu(mtu: number): Promise<void> {
		return this.namespace.ip(`link set ${device} mtu ${mtu}`);
	}

	/** Waits until duplicate address detection is through, a second or two after an address was added. */
	async addressesReady(timeout = 10_000): Promise<void> {
		const failed = await this.exec('sh', ['-c', addressesReadyScript], { timeout });
		if (failed !== '') throw new IpvtapError('conflict', `guest ${this.name}: duplicate address: ${failed}`);
	}

	/** Closes the slave's TAP and removes the guest. */
	async stop(): Promise<void> {
		this.#relay.kill('SIGKILL');
		await this.exited;
		await this.namespace.delete();
	}

	async #ready(): Promise<void> {
		const words: Buffer[] = [];
		this.#relay.stderr?.on('data', (chunk: Buffer) => words.push(chunk));
		const ended = this.exited.then(() => {
			throw new IpvtapError('failed', `start guest ${this.name}: ${Buffer.concat(words).toString().trim()}`);
		});
		ended.catch(() => {});
		await Promise.race([once(this.#relay.stdout!, 'data'), ended]);
	}

	async #setUp(options: StackGuestOptions): Promise<void> {
		const own = options.addresses?.some(isIpv6) && options.autoconf !== true;
		await this.namespace.sysctl({
			...options.sysctl,
			...(own ? { [`net.ipv6.conf.${device}.autoconf`]: 0 } : {}),
			...(options.dad === false
				? { [`net.ipv6.conf.${device}.accept_dad`]: 0, [`net.ipv6.conf.${device}.dad_transmits`]: 0 }
				: {}),
		});
		await this.namespace.ip(
			...(options.mac === undefined ? [] : [`link set ${device} address ${options.mac}`]),
			...(options.mtu === undefined ? [] : [`link set ${device} mtu ${options.mtu}`]),
			...(options.addresses ?? []).map(address => `address add ${address} dev ${device}`),
			`link set ${device} up`,
		);
	}
}

/** The name a guest's first NIC has without udev. */
const device = 'eth0';

/** Compiles the relay on first use; the cache key is its text. */
async function relayProgram(): Promise<string> {
	const source = join(projectFolder(), 'test', 'bench', 'relay.c');
	const hash = createHash('sha256')
		.update(await readFile(source))
		.digest('hex')
		.slice(0, 16);
	return cached(`relay-${hash}`, async path => {
		await exec('cc', ['-O2', '-Wall', '-Wextra', '-pthread', '-x', 'c', '-o', path, source]);
	});
}

/** The folder with package.json, whether this file runs from `dist` or from elsewhere. */
function projectFolder(): string {
	let folder = dirname(fileURLToPath(import.meta.url));
	while (!existsSync(join(folder, 'package.json'))) {
		if (folder === dirname(folder))
			throw new IpvtapError('not-found', 'find the project: no package.json above');
		folder = dirname(folder);
	}
	return folder;
}
