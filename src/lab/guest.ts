import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { IpvtapError } from '../errors.js';
import { makeFolder, track } from './cleanup.js';
import { closed, toolsEnv } from './command.js';
import { type CommandResult, GuestAgent } from './guest-agent.js';
import { type GuestImage, guestImage } from './guest-image.js';
import { agentPort } from './guest-init.js';
import type { Program } from './programs.js';

export interface GuestOptions {
	/** A word for messages and file names. */
	name: string;
	/** Words in front of `qemu-system-x86_64`, such as `ip netns exec NS ipvtap run --master eth0 --`. */
	prefix?: readonly string[];
	/** Further arguments of QEMU, such as `-netdev` and `-device`, or a `pcie-root-port` to hot-plug into. */
	args?: readonly string[];
	/** Addresses with prefix length by device; a device with none is only brought up. */
	addresses?: Readonly<Record<string, readonly string[]>>;
	/**
	 * Whether devices with a static IPv6 address make themselves another from a router's advertisement. Off
	 * by default, as Debian's ifupdown has it for them (interfaces(5), "autoconf"): Linux prefers the newer
	 * address as a source, and a slave with `--ip` may not use it. The default route is learned all the same.
	 */
	autoconf?: boolean;
	/** Default routers. */
	via?: readonly string[];
	/** Kernel settings, with slashes: `{ 'net/ipv6/conf/eth0/autoconf': 0 }`. Set before devices are up. */
	sysctl?: Readonly<Record<string, string | number>>;
	/** Programs of this machine's that the guest has beside busybox; it gets the memory for them. */
	programs?: readonly Program[];
	env?: NodeJS.ProcessEnv;
	/** File descriptors of this process that the command inherits as 3, 4, … */
	fds?: readonly number[];
	/** Milliseconds until an unfinished boot is given up. */
	bootTimeout?: number;
}

/**
 * A real guest: Debian's kernel in QEMU without KVM, driven through an agent on a virtio serial port. It
 * takes about 1.5 s to boot, and goes when this process does.
 */
export class Guest {
	readonly name: string;
	/** Folder of the guest's sockets and logs, removed when it has ended. */
	readonly folder: string;
	/** Path of the QMP socket, free for one client. */
	readonly qmp: string;
	/** Settles with the exit status of the command line when it has ended. */
	readonly exited: Promise<number>;
	readonly #agent: GuestAgent;
	readonly #child: ChildProcess;
	readonly #words: Buffer[] = [];
	#ended = false;

	private constructor(options: GuestOptions, image: GuestImage, folder: string, agent: GuestAgent) {
		this.name = options.name;
		this.folder = folder;
		this.qmp = join(folder, 'qmp.sock');
		this.#agent = agent;
		const [file, ...args] = commandLine(options, image, folder);
		this.#child = spawn(file!, args, {
			// A process group of its own: Ctrl-C at the terminal is ours to pass on, and all of it can be killed.
			detached: true,
			stdio: ['ignore', 'pipe', 'pipe', ...(options.fds ?? [])],
			env: options.env ?? toolsEnv,
		});
		this.#child.stdout?.on('data', (chunk: Buffer) => this.#words.push(chunk));
		this.#child.stderr?.on('data', (chunk: Buffer) => this.#words.push(chunk));
		const forget = track(() => this.#signalAll('SIGKILL'));
		this.exited = closed(this.#child, file!).finally(() => {
			this.#ended = true;
			forget();
			agent.close();
		});
		// Whoever waits for the boot or the end hears of it; nobody else has to.
		this.exited.catch(() => {});
	}

	/**
	 * Starts a guest and waits for its agent.
	 *
	 * @throws IpvtapError `failed` when QEMU ends instead, `timed-out` when the guest doesn't get that far;
	 * both with what the command line and the guest's console have said.
	 */
	static async boot(options: GuestOptions): Promise<Guest> {
		const image = await guestImage(options.programs);
		const [folder, removeFolder] = makeFolder(options.name);
		const agent = new GuestAgent(join(folder, 'agent.sock'));
		await agent.ready();
		const guest = new Guest(options, image, folder, agent);
		try {
			await guest.#booted(options.bootTimeout ?? bootTimeoutMs);
		} catch (error) {
			await guest.#end();
			removeFolder();
			throw error;
		}
		guest.exited.then(removeFolder, removeFolder);
		return guest;
	}

	/** QEMU's own process, whatever stands in front of it on the command line. */
	get qemuPid(): number {
		return Number(readFileSync(join(this.folder, 'qemu.pid'), 'utf8'));
	}

	/** What the guest's kernel and init have written. */
	get console(): string {
		try {
			return readFileSync(join(this.folder, 'console.log'), 'utf8').replaceAll('\r', '');
		} catch {
			return '';
		}
	}

	/** What the command line has written, QEMU's messages included. */
	get words(): string {
		return Buffer.concat(this.#words).toString();
	}

	/**
	 * Runs a script in the guest's shell and gives back what it printed. Scripts run one after another; one
	 * that leaves a program behind has to redirect its output.
	 *
	 * @throws IpvtapError `timed-out` after `timeout` milliseconds, 30 s by default.
	 */
	run(script: string, options: { timeout?: number } = {}): Promise<CommandResult> {
		return this.#agent.run(script, options.timeout ?? 30_000);
	}

	/**
	 * As {@link run}, for scripts that have to succeed: gives back what they printed.
	 *
	 * @throws IpvtapError `failed` when the exit status isn't 0.
	 */
	async exec(script: string, options: { timeout?: number } = {}): Promise<string> {
		const { rc, out } = await this.run(script, options);
		if (rc === 0) return out;
		throw new IpvtapError(
			'failed',
			`run in guest ${this.name}: exit status ${rc}: ${script}: ${out.slice(-2000)}`,
		);
	}

	/**
	 * Waits until no address of the guest is tentative any more, that is until duplicate address detection
	 * is through: a second or two after a device came up.
	 */
	async addressesReady(timeout = 10_000): Promise<void> {
		const flags = await this.exec(addressesReadyScript, { timeout });
		if (flags !== '') throw new IpvtapError('conflict', `guest ${this.name}: duplicate address: ${flags}`);
	}

	/** Powers the guest off and gives back the exit status of the command line. */
	async stop(): Promise<number> {
		if (this.#ended) return this.exited;
		this.#agent.post('poweroff -f');
		const timer = setTimeout(() => this.#signalAll('SIGKILL'), stopTimeoutMs);
		return this.exited.finally(() => clearTimeout(timer));
	}

	/**
	 * Kills QEMU, as a crash would, and leaves it to what stands in front of it to notice; that is killed too
	 * when it doesn't end soon.
	 */
	async kill(): Promise<number> {
		if (!this.#ended) signalTo(this.qemuPid, 'SIGKILL');
		const timer = setTimeout(() => this.#signalAll('SIGKILL'), stopTimeoutMs);
		return this.exited.finally(() => clearTimeout(timer));
	}

	async #booted(timeout: number): Promise<void> {
		const because = (): string =>
			[this.words.trim(), this.console.trim()].filter(Boolean).join('\n').slice(-4000) || 'no message';
		const ended = this.exited.then(rc => {
			throw new IpvtapError('failed', `boot guest ${this.name}: it ended with status ${rc}: ${because()}`);
		});
		await Promise.race([this.#agent.hello(this.name, timeout, because), ended]);
	}

	async #end(): Promise<void> {
		this.#signalAll('SIGTERM');
		const timer = setTimeout(() => this.#signalAll('SIGKILL'), stopTimeoutMs);
		await this.exited.catch(() => {}).finally(() => clearTimeout(timer));
	}

	#signalAll(signal: NodeJS.Signals): void {
		if (!this.#ended && this.#child.pid !== undefined) signalTo(-this.#child.pid, signal);
	}
}

/** A boot takes 1.5 s; 6.5 s is the worst seen on a busy machine. */
const bootTimeoutMs = 30_000;
const stopTimeoutMs = 10_000;
/** No lab guest has business for longer, in seconds. */
const lifetimeLimit = 3600;

/**
 * Waits in the guest: the flags of if_inet6 are IFA_F_TENTATIVE 0x40 and IFA_F_DADFAILED 0x08
 * (linux/if_addr.h). Prints the addresses that have failed.
 */
export const addressesReadyScript = `
while awk '$5 ~ /[4-7c-f].$/ && $5 !~ /[89a-f]$/ { tentative = 1 } END { exit !tentative }' /proc/net/if_inet6; do
	sleep 0.05
done
awk '$5 ~ /[89a-f]$/ { print $6, $1 }' /proc/net/if_inet6`;

/**
 * setpriv(1) asks the kernel to tell timeout(1) of our death, which passes it on to all of its group;
 * timeout also ends a guest that everybody has forgotten.
 */
function commandLine(options: GuestOptions, image: GuestImage, folder: string): string[] {
	return [
		...['setpriv', '--pdeathsig', 'TERM', 'timeout', '--kill-after', '5', String(lifetimeLimit)],
		...(options.prefix ?? []),
		...['qemu-system-x86_64', '-name', options.name],
		// q35 with an unpacked kernel: every one of 200 boots came up; microvm hangs without a PM timer.
		...['-M', 'q35', '-accel', 'tcg', '-cpu', 'max', '-m', options.programs === undefined ? '128' : '256'],
		...['-nodefaults', '-no-user-config', '-display', 'none', '-no-reboot'],
		...['-kernel', image.vmlinux, '-initrd', image.initramfs, '-append', kernelCommandLine(options)],
		...['-serial', `file:${join(folder, 'console.log')}`, '-pidfile', join(folder, 'qemu.pid')],
		...['-chardev', `socket,id=agent,path=${join(folder, 'agent.sock')}`],
		...['-device', 'virtio-serial-pci', '-device', `virtserialport,chardev=agent,name=${agentPort}`],
		...['-qmp', `unix:${join(folder, 'qmp.sock')},server=on,wait=off`],
		...(options.args ?? []),
	];
}

function kernelCommandLine(options: GuestOptions): string {
	const devices = Object.entries(options.addresses ?? {});
	const settled = devices.filter(([, addresses]) => options.autoconf !== true && addresses.some(isIpv6));
	const settings = {
		...Object.fromEntries(settled.map(([device]) => [`net/ipv6/conf/${device}/autoconf`, 0])),
		...options.sysctl,
	};
	const lists = {
		'lab.sysctl': Object.entries(settings).map(([name, value]) => `${name}=${value}`),
		'lab.ip': devices.flatMap(([device, addresses]) => addresses.map(address => `${device}@${address}`)),
		'lab.up': devices.filter(([, addresses]) => addresses.length === 0).map(([device]) => device),
		'lab.via': options.via ?? [],
	};
	const words = Object.entries(lists).flatMap(([name, list]) => (list.length > 0 ? [`${name}=${list}`] : []));
	return ['console=ttyS0 quiet panic=-1 mitigations=off', ...words].join(' ');
}

export function isIpv6(address: string): boolean {
	return address.includes(':');
}

function signalTo(pid: number, signal: NodeJS.Signals): void {
	try {
		process.kill(pid, signal);
	} catch {
		// It ended in between.
	}
}
