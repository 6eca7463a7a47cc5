/**
 * Runs the test suites one after another and adds up their results. AVA's TAP output is counted, not guessed
 * from exit codes: a suite that ran no test at all is a failure.
 *
 *     node dist/test/run.js [lint|unit|integration|oracle|e2e]…
 *
 * Tests that share a machine with others are at the mercy of its clock: a file of which one has failed is run again,
 * alone, up to twice, and what then fails has failed. That it had to be is said.
 */
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createInterface } from 'node:readline';

interface Result {
	passed: number;
	failed: number;
	skipped: number;
}

interface Outcome extends Result {
	/** Titles, with the file in front where there are several. */
	failures: string[];
	/** AVA's own; not 0 also for what belongs to no test. */
	status: number | null;
}

interface Suite {
	name: string;
	run: () => Promise<Result>;
}

const suites: Suite[] = [
	{ name: 'lint', run: () => command('npx', ['--no-install', 'biome', 'check', '.']) },
	{ name: 'unit', run: () => ava('ava.config.js') },
	{ name: 'integration', run: () => patiently('ava.integration.config.js', 'dist/test/integration') },
	{ name: 'oracle', run: () => ava('ava.oracle.config.js') },
	{ name: 'e2e', run: () => patiently('ava.e2e.config.js', 'dist/test/e2e') },
];

/** Counts a command as one test. */
async function command(file: string, args: string[]): Promise<Result> {
	const child = spawn(file, args, { stdio: ['ignore', 'inherit', 'inherit'] });
	const passed = (await ended(child)) === 0;
	return { passed: passed ? 1 : 0, failed: passed ? 0 : 1, skipped: 0 };
}

/** Runs a suite, and then up to twice those of its files again, alone, in which a test has failed the last time. */
async function patiently(config: string, folder: string): Promise<Result> {
	const first = await ava(config);
	let last = first;
	let files: (string | undefined)[] = [];
	for (let again = 0; again < 2 && last.failed > 0; again++) {
		// Of a file that ran by itself AVA doesn't give the name.
		if (files.length !== 1) files = [...new Set(last.failures.map(title => fileOf(title, folder)))];
		// What can't be laid at a file's door can't be tried again.
		if (last.failed > last.failures.length || files.includes(undefined)) break;
		print(`again: ${files.join(' ')}`);
		const { failures } = last;
		last = await ava(config, '--concurrency', '1', ...(files as string[]));
		if (last.failed === 0) print(`again: what had failed has passed now: ${failures.join('; ')}`);
	}
	return { ...first, passed: first.passed + first.failed - last.failed, failed: last.failed };
}

/** `cli › run › a title` is of FOLDER/cli/run.test.js. */
function fileOf(title: string, folder: string): string | undefined {
	const words = title.split(' › ');
	for (let count = words.length - 1; count > 0; count--) {
		const file = `${folder}/${words.slice(0, count).join('/')}.test.js`;
		if (existsSync(file)) return file;
	}
	return undefined;
}

/** Counts AVA's tests, and shows the names of slow and failed ones as they come, with their reasons. */
async function ava(config: string, ...words: string[]): Promise<Outcome> {
	const child = spawn('npx', ['--no-install', 'ava', '--tap', '--config', config, ...words], {
		stdio: ['ignore', 'pipe', 'inherit'],
	});
	const result: Outcome = { passed: 0, failed: 0, skipped: 0, failures: [], status: null };
	let shown = false;
	const seconds = new Map<string, number>();
	let last = performance.now();
	for await (const line of createInterface({ input: child.stdout })) {
		const test = /^(not )?ok \d+ - (.*?)(?: # (SKIP|TODO).*)?$/i.exec(line);
		if (test) {
			const [, not, title = '', directive] = test;
			const file = title.split(' › ').slice(0, -1).join('/');
			seconds.set(file, (seconds.get(file) ?? 0) + (performance.now() - last) / 1000);
			last = performance.now();
			shown = not !== undefined || directive !== undefined;
			if (directive) result.skipped++;
			else if (not) {
				result.failed++;
				result.failures.push(title);
			} else result.passed++;
			if (shown) print(`${not ? 'FAIL' : 'skip'}  ${title}`);
		} else if (shown && /^(\s|# {3})/.test(line)) {
			print(line);
		}
	}
	result.status = await ended(child);
	print(`# slowest: ${slowest(seconds)}`);
	// An uncaught exception or a rejected promise between two tests leaves no `not ok` of its own.
	if (result.failed === 0 && (result.status !== 0 || result.passed === 0)) result.failed++;
	return result;
}

/** Where files run one after another, what passes before a test's result is its file's; else some of it. */
function slowest(seconds: ReadonlyMap<string, number>): string {
	return [...seconds]
		.sort(([, one], [, other]) => other - one)
		.slice(0, 8)
		.map(([file, time]) => `${file || 'the file'} ${Math.round(time)} s`)
		.join(', ');
}

function ended(child: ReturnType<typeof spawn>): Promise<number | null> {
	return new Promise((resolve, reject) => {
		child.once('error', reject);
		child.once('close', resolve);
	});
}

function print(line: string): void {
	process.stdout.write(`${line}\n`);
}

function summary({ passed, failed, skipped }: Result): string {
	return `${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`;
}

const wanted = process.argv.slice(2);
const unknown = wanted.filter(name => !suites.some(suite => suite.name === name));
if (unknown.length > 0) {
	process.stderr.write(`error: run the tests: there is no suite ${unknown.join(', ')}\n`);
	process.stderr.write(`hint: choose from ${suites.map(({ name }) => name).join(', ')}\n`);
	process.exit(2);
}

const total: Result = { passed: 0, failed: 0, skipped: 0 };
for (const { name, run } of suites) {
	if (wanted.length > 0 && !wanted.includes(name)) continue;
	const started = Date.now();
	print(`# ${name}`);
	const result = await run();
	print(`# ${name}: ${summary(result)} (${Math.round((Date.now() - started) / 1000)} s)`);
	total.passed += result.passed;
	total.failed += result.failed;
	total.skipped += result.skipped;
}
print(summary(total));
process.exitCode = total.failed > 0 ? 1 : 0;
