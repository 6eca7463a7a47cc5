/**
 * `ipvtap run`: the user's QEMU as our child, with the slave's TAP as inherited descriptors from 3 on.
 *
 * From the moment the TAP is open it lives and dies with its descriptors: first ours, then QEMU's alone. So it is
 * gone after QEMU's end, however QEMU or we end, `kill -9` of either included.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { constants } from 'node:os';
import { IpvtapError } from '../src/errors.js';
import { setPersist } from '../src/sys/tap.js';
import { fdArguments, type Nic, qemuValue } from './netdev.js';
import { forwardSignals } from './signals.js';
import { closeAll, openQueues, type TapState } from './taps.js';

/** The first descriptor that isn't standard input, output or error. */
const firstFd = 3;

export interface RunOptions {
	slave: Nic & TapState;
	/** The command as the user gave it; `argv[0]` is looked up in PATH. */
	argv: readonly string[];
	vhost: boolean;
	/** Path for a `-qmp` socket of QEMU's, none when undefined. */
	qmp?: string;
}

/**
 * Runs the command to its end and gives back its exit status, 128 + n when signal n ended it.
 * @throws IpvtapError `usage` (no command, or it uses our descriptors), `conflict` (the TAP is in use),
 * `not-found` (command, TAP), `permission`, `failed`; the TAP is as it was then.
 */
export async function runQemu(options: RunOptions): Promise<number> {
	const { slave, argv, vhost, qmp } = options;
	const command = argv[0];
	if (command === undefined) {
		throw new IpvtapError('usage', 'run: there is no command', {
			hint: 'give one after --, as in: ipvtap run --master eth0 -- qemu-system-x86_64 -m 1G disk.img',
		});
	}
	refuseDaemon(argv);
	refuseOwnFds(argv, slave.queues);
	const args = [
		...argv.slice(1),
		...fdArguments(slave, firstFd, { vhost }),
		...(qmp === undefined ? [] : ['-qmp', `unix:${qemuValue(qmp)},server=on,wait=off`]),
	];
	const fds = openQueues(slave);
	// Before the child is made, so that a signal to it arriving early is not ours to die of.
	const forwarding = forwardSignals();
	try {
		const child = startWith(command, args, fds);
		forwarding.to(child);
		return await ended(child, command);
	} finally {
		forwarding.stop();
	}
}

/** The child has its copies of the descriptors when this returns or throws, and ours are closed. */
function startWith(command: string, args: string[], fds: number[]): ChildProcess {
	const tap = fds[0]!;
	try {
		setPersist(tap, false);
		const child = spawnWith(command, args, fds);
		// Without a child the slave has to stay what it was; whoever made it decides about it.
		if (child.pid === undefined) setPersist(tap, true);
		return child;
	} finally {
		closeAll(fds);
	}
}

function spawnWith(command: string, args: string[], fds: number[]): ChildProcess {
	try {
		return spawn(command, args, { stdio: ['inherit', 'inherit', 'inherit', ...fds] });
	} catch (cause) {
		setPersist(fds[0]!, true);
		throw notStarted(command, cause);
	}
}

function ended(child: ChildProcess, command: string): Promise<number> {
	return new Promise((resolve, reject) => {
		child.once('error', cause => reject(notStarted(command, cause)));
		child.once('exit', (status, signal) => {
			resolve(signal === null ? (status ?? 0) : 128 + constants.signals[signal]);
		});
	});
}

function notStarted(command: string, cause: unknown): IpvtapError {
	const code = cause instanceof Error && 'code' in cause ? String(cause.code) : String(cause);
	switch (code) {
		case 'ENOENT':
			return new IpvtapError('not-found', `run ${command}: there is no such program`, {
				hint: command.includes('/') ? 'check the path' : 'is it installed, and in PATH?',
				cause,
			});
		case 'EACCES':
			return new IpvtapError('permission', `run ${command}: it is not executable for you`, { cause });
		default:
			return new IpvtapError('failed', `run ${command}: ${code}`, { cause });
	}
}

/** `-daemonize` ends the command while QEMU goes on, and the slave is there for as long as the command. */
function refuseDaemon(argv: readonly string[]): void {
	if (!argv.some(argument => /^--?daemonize$/.test(argument))) return;
	throw new IpvtapError('usage', 'run: with -daemonize, the command would end before its guest', {
		hint: 'leave -daemonize out, or: qemu-system-x86_64 … $(ipvtap attach NAME --master M)',
	});
}

/** The TAP's queues are QEMU's descriptors 3, 4, …; an argument that names one of them would take it twice. */
function refuseOwnFds(argv: readonly string[], queues: number): void {
	for (const [index, argument] of argv.entries()) {
		// What goes to the guest's kernel is not QEMU's.
		if (index === 0 || argv[index - 1] === '-append') continue;
		for (const [, list] of argument.matchAll(/(?:^|,)(?:vhost)?fds?=([0-9:]+)(?=,|$)/g)) {
			const taken = list!.split(':').find(fd => Number(fd) >= firstFd && Number(fd) < firstFd + queues);
			if (taken === undefined) continue;
			throw new IpvtapError('usage', `run: '${argument}' uses descriptor ${taken}, which is ipvtap's TAP`, {
				hint: `leave ${argv[index - 1]} ${argument} out: ipvtap adds the arguments for its NIC itself`,
			});
		}
	}
}
