import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { createInterface } from 'node:readline';

export interface Result {
	passed: number;
	failed: number;
	skipped: number;
}

export interface Outcome extends Result {
	/** Of tests that failed; one that AVA has no title for is called by what happened. */
	failures: string[];
	/** What there is to show of failed and skipped tests, line by line. */
	words: string[];
	/** By file, where AVA ran several, in seconds from one result to the next. */
	seconds: Map<string, number>;
}

/**
 * Runs AVA with these words and counts its TAP output: what ended without a result of its own, by an uncaught
 * exception, because it was killed or because it ran no test at all, is a failure.
 *
 * AVA's own limit doesn't reach its TAP reporter alive, and a test that holds up its process's event loop can't
 * keep a limit: whoever says nothing for `silenceMs` is killed here, after a look at what it waits for.
 */
export async function ava(words: readonly string[]): Promise<Outcome> {
	const outcome: Outcome = { passed: 0, failed: 0, skipped: 0, failures: [], words: [], seconds: new Map() };
	const fail = (title: string): void => {
		outcome.failed++;
		outcome.failures.push(title);
		outcome.words.push(`FAIL  ${title}`);
	};
	const child = spawn(process.execPath, [program, '--tap', ...words], {
		stdio: ['ignore', 'pipe', 'inherit'],
		// A process group of its own, so that nothing of it outlives its end.
		detached: true,
	});
	running.add(child);
	const silence = setTimeout(() => {
		fail(`nothing has ended for ${silenceMs / 1000} s; at work or waiting is:`);
		outcome.words.push(...processes());
		end(child);
	}, silenceMs);
	let shown = false;
	let last = performance.now();
	for await (const line of createInterface({ input: child.stdout })) {
		silence.refresh();
		const test = /^(not )?ok \d+ - (.*?)(?: # (SKIP|TODO).*)?$/i.exec(line);
		if (test) {
			const [, not, title = '', directive] = test;
			const file = title.split(' › ').slice(0, -1).join('/');
			outcome.seconds.set(file, (outcome.seconds.get(file) ?? 0) + (performance.now() - last) / 1000);
			last = performance.now();
			shown = not !== undefined || directive !== undefined;
			if (directive) {
				outcome.skipped++;
				outcome.words.push(`skip  ${title}`);
			} else if (not) fail(title);
			else outcome.passed++;
		} else if (shown && /^(\s|# {3})/.test(line)) {
			outcome.words.push(line);
		}
	}
	const status = await ended(child);
	clearTimeout(silence);
	running.delete(child);
	if (outcome.failed === 0 && status !== 0) fail(`AVA ended with ${status ?? 'a signal'}`);
	if (outcome.failed === 0 && outcome.passed + outcome.skipped === 0) fail('no test was run');
	return outcome;
}

export function ended(child: ChildProcess): Promise<number | null> {
	return new Promise((resolve, reject) => {
		if (child.exitCode !== null || child.signalCode !== null) resolve(child.exitCode);
		child.once('error', reject);
		child.once('exit', resolve);
	});
}

/** The labs' watchdogs, which are in sessions of their own, then clean up. */
function end(child: ChildProcess): void {
	try {
		process.kill(-child.pid!, 'SIGKILL');
	} catch {
		// It ended in between.
	}
}

/** Those that are younger than this run: guests and daemons are in other sessions than the test that waits for them. */
function processes(): string[] {
	const columns = 'etimes,pid,ppid,stat,wchan:20,args';
	const { stdout } = spawnSync('ps', ['-eww', '--forest', '-o', columns]);
	return String(stdout)
		.split('\n')
		.filter(line => Number.parseInt(line, 10) <= process.uptime())
		.map(line => `    ${line.slice(0, 160)}`);
}

const running = new Set<ChildProcess>();
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
	process.once(signal, () => {
		for (const child of running) end(child);
		process.kill(process.pid, signal);
	});
}

const program = 'node_modules/ava/entrypoints/cli.mjs';
/** Over twice of what the slowest test takes on a slow machine, and less than AVA's own limit. */
const silenceMs = 300_000;
