/**
 * Runs the test suites one after another and adds up their results. AVA's TAP output is counted, not guessed
 * from exit codes.
 *
 *     node dist/test/run.js [lint|unit|integration|oracle|e2e]…
 *
 * Tests that share a machine with others are at the mercy of its clock: each of their files is a run of its own, two
 * at a time, and one in which a test has failed is run again, alone, up to twice. What then fails has failed. That it
 * had to be is said.
 */
import { spawn } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { ava, ended, type Outcome, type Result } from './runner/ava.js';

interface Suite {
	name: string;
	run: () => Promise<Result>;
}

const suites: Suite[] = [
	{ name: 'lint', run: () => command('npx', ['--no-install', 'biome', 'check', '.']) },
	{ name: 'unit', run: () => atOnce('ava.config.js') },
	{ name: 'integration', run: () => fileByFile('ava.integration.config.js', 'dist/test/integration') },
	{ name: 'oracle', run: () => fileByFile('ava.oracle.config.js', 'dist/test/oracle') },
	{ name: 'e2e', run: () => fileByFile('ava.e2e.config.js', 'dist/test/e2e') },
];

/** Counts a command as one test. */
async function command(file: string, args: string[]): Promise<Result> {
	const child = spawn(file, args, { stdio: ['ignore', 'inherit', 'inherit'] });
	const passed = (await ended(child)) === 0;
	return { passed: passed ? 1 : 0, failed: passed ? 0 : 1, skipped: 0 };
}

async function atOnce(config: string): Promise<Result> {
	const outcome = await ava(['--config', config]);
	show(outcome);
	print(`# slowest: ${slowest(outcome.seconds)}`);
	return outcome;
}

async function fileByFile(config: string, folder: string): Promise<Result> {
	const outcomes = new Map<string, Outcome>();
	const seconds = new Map<string, number>();
	const run = async (name: string): Promise<void> => {
		const started = performance.now();
		const outcome = await ava(['--config', config, join(folder, name + SUFFIX)]);
		seconds.set(name, (seconds.get(name) ?? 0) + (performance.now() - started) / 1000);
		outcome.failures = outcome.failures.map(title => `${name} › ${title}`);
		show(outcome, name);
		outcomes.set(name, outcome);
	};
	const names = readdirSync(folder, { recursive: true, encoding: 'utf8' })
		.filter(file => file.endsWith(SUFFIX))
		.map(file => file.slice(0, -SUFFIX.length))
		.sort();
	const waiting = [...names];
	const lane = async (): Promise<void> => {
		for (let name = waiting.shift(); name !== undefined; name = waiting.shift()) await run(name);
	};
	await Promise.all(Array.from({ length: lanes }, lane));
	for (const name of names) {
		for (let again = 0; again < 2 && outcomes.get(name)!.failed > 0; again++) {
			const { failures } = outcomes.get(name)!;
			print(`again: ${name}`);
			await run(name);
			if (outcomes.get(name)!.failed === 0)
				print(`again: what had failed has passed now: ${failures.join('; ')}`);
		}
	}
	print(`# slowest: ${slowest(seconds)}`);
	return [...outcomes.values()].reduce(sum, none);
}

/** Each waits half of its time, so two files fill two processors. */
const lanes = 2;
const SUFFIX = '.test.js';

function show({ words }: Outcome, file?: string): void {
	if (words.length === 0) return;
	if (file !== undefined) print(`# in ${file}`);
	for (const line of words) print(line);
}

function slowest(seconds: ReadonlyMap<string, number>): string {
	return [...seconds]
		.sort(([, one], [, other]) => other - one)
		.slice(0, 8)
		.map(([file, time]) => `${file} ${Math.round(time)} s`)
		.join(', ');
}

function print(line: string): void {
	process.stdout.write(`${line}\n`);
}

function sum(one: Result, other: Result): Result {
	return {
		passed: one.passed + other.passed,
		failed: one.failed + other.failed,
		skipped: one.skipped + other.skipped,
	};
}

function summary({ passed, failed, skipped }: Result): string {
	return `${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`;
}

const none: Result = { passed: 0, failed: 0, skipped: 0 };
const wanted = process.argv.slice(2);
const unknown = wanted.filter(name => !suites.some(suite => suite.name === name));
if (unknown.length > 0) {
	process.stderr.write(`error: run the tests: there is no suite ${unknown.join(', ')}\n`);
	process.stderr.write(`hint: choose from ${suites.map(({ name }) => name).join(', ')}\n`);
	process.exit(2);
}

let total = none;
for (const { name, run } of suites) {
	if (wanted.length > 0 && !wanted.includes(name)) continue;
	const started = Date.now();
	print(`# ${name}`);
	const result = await run();
	print(`# ${name}: ${summary(result)} (${Math.round((Date.now() - started) / 1000)} s)`);
	total = sum(total, result);
}
print(summary(total));
process.exitCode = total.failed > 0 ? 1 : 0;
