import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { toolsEnv } from './command.js';

/**
 * Whatever a lab makes carries its process's number in its name: namespaces `ipvtap-<pid>-<name>`, and
 * folders of the same form in the temporary folder. So anybody can tell what is left of a dead process,
 * and three layers remove it: this process at its exit or on a signal, a watchdog the moment this
 * process is gone for any reason (`kill -9` included), and the next lab for what both have missed.
 */
export const ownPrefix = `ipvtap-${process.pid}-`;

/** The word by which the watchdog can be told from other shells in a list of processes. */
export const watchdogName = 'ipvtap-lab-watchdog';

/** Registers an undoing that has to happen before this process ends. The result takes it back. */
export function track(undo: () => void): () => void {
	guard();
	undos.add(undo);
	return () => undos.delete(undo);
}

/** Makes a folder for sockets and logs that doesn't outlive this process; the second value removes it. */
export function makeFolder(name: string): [folder: string, remove: () => void] {
	guard();
	const folder = mkdtempSync(join(tmpdir(), `${ownPrefix}${name}-`));
	const undo = (): void => rmSync(folder, { recursive: true, force: true });
	const forget = track(undo);
	return [
		folder,
		() => {
			forget();
			undo();
		},
	];
}

/** Removes what is left of labs whose process is dead. */
export function reapDead(): void {
	spawnSync('sh', ['-c', `${sweepScript}\nsweep_dead`, 'ipvtap-lab-reaper', tmpdir()], {
		stdio: 'ignore',
		env: toolsEnv,
	});
}

/** Removes everything of this process at once, without asking anybody to end gracefully. */
export function sweepOwn(): void {
	const script = `${sweepScript}\nsweep "$2"`;
	spawnSync('sh', ['-c', script, 'ipvtap-lab-sweep', tmpdir(), String(process.pid)], {
		stdio: 'ignore',
		env: toolsEnv,
	});
}

const undos = new Set<() => void>();
const fatalSignals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
let watchdog: ChildProcess | undefined;

/**
 * `ip netns pids` needs no names of programs, so daemons that have detached themselves are found too.
 * A process may fork while it is being killed, hence the repetition.
 */
const sweepScript = `
tmp=$1
remove_namespace() {
	for _ in 1 2 3 4 5; do
		pids=$(ip netns pids "$1" 2>/dev/null)
		[ -n "$pids" ] || break
		kill -9 $pids 2>/dev/null
	done
	ip netns delete "$1" 2>/dev/null
}
sweep() {
	for path in /run/netns/ipvtap-"$1"-*; do
		[ -e "$path" ] && remove_namespace "\${path##*/}"
	done
	rm -rf "$tmp"/ipvtap-"$1"-*
}
sweep_dead() {
	for path in /run/netns/ipvtap-* "$tmp"/ipvtap-*; do
		pid=\${path##*/ipvtap-}
		pid=\${pid%%-*}
		case $pid in '' | *[!0-9]*) continue ;; esac
		[ -d "/proc/$pid" ] || sweep "$pid"
	done
}
`;

function guard(): void {
	if (watchdog !== undefined) return;
	reapDead();
	process.once('exit', undoAll);
	for (const signal of fatalSignals) {
		process.once(signal, () => {
			undoAll();
			// Ends as the signal would have ended it, so that a shell sees the usual status. Where somebody
			// else listens too, the end is theirs to decide.
			if (process.listenerCount(signal) === 0) process.kill(process.pid, signal);
		});
	}
	watchdog = startWatchdog();
}

/**
 * A shell that waits for the end of its standard input, whose only writer is this process. It is in a
 * session of its own, so that Ctrl-C at the terminal doesn't reach it.
 */
function startWatchdog(): ChildProcess {
	const script = `trap '' INT TERM HUP\n${sweepScript}\nread -r _\nsweep "$2"`;
	const child = spawn('sh', ['-c', script, watchdogName, tmpdir(), String(process.pid)], {
		detached: true,
		stdio: ['pipe', 'ignore', 'ignore'],
		env: toolsEnv,
	});
	child.unref();
	// The type leaves out what every pipe of a child has: it is a socket, and can be let go of.
	(child.stdin as unknown as { unref(): void }).unref();
	return child;
}

function undoAll(): void {
	for (const undo of [...undos].reverse()) {
		undos.delete(undo);
		try {
			undo();
		} catch {
			// The rest has to be undone all the same, and nobody is left to tell.
		}
	}
}
