/**
 * Passing signals on to a child that shares our terminal and process group.
 *
 * What is typed at a terminal (Ctrl-C, Ctrl-\, Ctrl-Z) goes to the whole foreground group, so the child has it
 * already: a second one makes many programs give up their orderly end. Node doesn't tell who sent a signal; being
 * in the foreground of a terminal is the best that can be known, so there a `kill -INT` of us alone is not passed
 * on, and SIGTERM is the signal to use.
 */
import type { ChildProcess } from 'node:child_process';
import { readFileSync } from 'node:fs';

export interface Forwarding {
	/** From now on the child gets what we get; what came before it existed, it gets at once. */
	to(child: ChildProcess): void;
	stop(): void;
}

/** From this call until `stop()`, none of these signals ends this process. */
export function forwardSignals(): Forwarding {
	let child: ChildProcess | undefined;
	const early: NodeJS.Signals[] = [];
	const handle = (signal: NodeJS.Signals): void => {
		if (child === undefined) early.push(signal);
		else pass(child, signal);
	};
	for (const signal of forwarded) process.on(signal, handle);
	return {
		to(started) {
			child = started;
			for (const signal of early.splice(0)) pass(started, signal);
		},
		stop() {
			for (const signal of forwarded) process.off(signal, handle);
		},
	};
}

function pass(child: ChildProcess, signal: NodeJS.Signals): void {
	// The kernel ignores SIGTSTP in a process group without a shell above it (setpgid(2), orphaned groups).
	if (!(typed.has(signal) && inForeground())) child.kill(signal === 'SIGTSTP' ? 'SIGSTOP' : signal);
	// The handler has replaced what the signal does by itself. SIGCONT, which a shell sends to both, undoes it.
	if (signal === 'SIGTSTP') process.kill(process.pid, 'SIGSTOP');
}

/** Whether our process group is the terminal's foreground one: fields 5 and 8 of proc(5)'s stat. */
function inForeground(): boolean {
	const stat = readFileSync('/proc/self/stat', 'latin1');
	// The second field is a name in parentheses, which may hold anything.
	const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
	return fields[2] === fields[5];
}

const forwarded = [
	'SIGINT',
	'SIGTERM',
	'SIGHUP',
	'SIGQUIT',
	'SIGUSR1',
	'SIGUSR2',
	'SIGTSTP',
	'SIGCONT',
] as const satisfies NodeJS.Signals[];
const typed: ReadonlySet<NodeJS.Signals> = new Set(['SIGINT', 'SIGQUIT', 'SIGTSTP']);
