import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { Writable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import test from 'ava';
import { runDemo } from '../../../src/lab/demo.js';
import { type DemoReport, formatReport } from '../../../src/lab/demo-report.js';
import { until } from '../../../src/lab/wait.js';
import { assertNothingLeft, snapshot } from '../../helpers/leaks.js';

const cli = fileURLToPath(new URL('../../../src/cli/main.js', import.meta.url));

function collector(): Writable & { text: string } {
	const output = new Writable({
		write(chunk, _encoding, done) {
			collected.text += String(chunk);
			done();
		},
	});
	const collected = Object.assign(output, { text: '' });
	return collected;
}

test.serial('everybody reaches everybody, the switch sees the master alone, and nothing is left', async t => {
	const before = await snapshot();
	const output = collector();
	const report = await runDemo({ cli: [process.execPath, cli], output, color: false, json: true });
	t.deepEqual(JSON.parse(output.text), report, 'one JSON document and nothing else');
	t.deepEqual(
		report.reach.filter(({ ok }) => !ok),
		[],
	);
	t.is(report.reach.length, 5 * 4 * 2, 'five peers, each to the four others, in two families');
	t.is(report.switch.macs.length, 1);
	t.like(report.switch.macs[0], { mac: report.switch.masterMac, dropped: 0 });
	t.true(report.ok);
	t.deepEqual(leftOf(process.pid), []);
	t.log(`guests up after ${report.bootMs} ms, all done after ${report.totalMs} ms`);
	await t.notThrowsAsync(assertNothingLeft(before));
});

const report: DemoReport = {
	ok: false,
	reach: [
		{ from: 'vm1', to: 'host', family: 4, address: '192.0.2.2', ok: true, received: 3, rttMs: 0.5 },
		{ from: 'host', to: 'vm1', family: 4, address: '192.0.2.11', ok: false, received: 0 },
		{ from: 'vm1', to: 'host', family: 6, address: '2001:db8:1::2', ok: false, received: 2, rttMs: 1 },
		{ from: 'host', to: 'vm1', family: 6, address: '2001:db8:1::11', ok: true, received: 3, rttMs: 10.25 },
	],
	switch: {
		masterMac: '02:1a:00:00:00:02',
		macs: [
			{ mac: '02:1a:00:00:00:02', packets: 10, dropped: 0 },
			{ mac: '02:1a:00:00:00:99', packets: 2, dropped: 2 },
		],
	},
	bootMs: 1,
	totalMs: 2,
};

test('the report is a table with a column for each peer, and says what is wrong', t => {
	const lines = formatReport(report, false).split('\n');
	t.deepEqual(lines.slice(2, 9), [
		'IPv4               vm1       host',
		'vm1                  -    0.50 ms',
		'host         no answer          -',
		'',
		'IPv6               vm1       host',
		'vm1                  -     2 of 3',
		'host          10.25 ms          -',
	]);
	t.true(lines.some(line => /02:1a:00:00:00:99 .*not the master's: 2 frames, 2 dropped/.test(line)));
});

test('the report is coloured only when asked, and says the same', t => {
	const escapes = new RegExp(`${String.fromCharCode(27)}\\[\\d+m`, 'g');
	const colored = formatReport(report, true);
	t.regex(colored, escapes);
	t.is(colored.replaceAll(escapes, ''), formatReport(report, false));
});

/** Runs the demo in a process of its own, as a shell would. */
function startDemo(): ChildProcess {
	const module = new URL('../../../src/lab/demo.js', import.meta.url).href;
	const script = `
		const { runDemo } = await import(${JSON.stringify(module)});
		await runDemo({ cli: ${JSON.stringify([process.execPath, cli])}, output: process.stdout, color: false, json: false });
	`;
	return spawn(process.execPath, ['--input-type=module', '-e', script], {
		stdio: ['ignore', 'pipe', 'inherit'],
	});
}

/** Everything that carries the demo's process number: in its name, or in a program's words or environment. */
function leftOf(pid: number): string[] {
	const mark = `ipvtap-${pid}-`;
	const processes = readdirSync('/proc').filter(
		name =>
			/^\d+$/.test(name) &&
			(content(name, 'cmdline').includes(mark) || content(name, 'environ').includes(mark)),
	);
	const names = [...readdirSync('/run/netns'), ...readdirSync(tmpdir())].filter(name =>
		name.startsWith(mark),
	);
	return [...processes, ...names];
}

/** Empty for a process that has ended. */
function content(pid: string, file: string): string {
	try {
		return readFileSync(`/proc/${pid}/${file}`, 'utf8');
	} catch {
		return '';
	}
}

/** Settles when the demo has said the words. */
function says(demo: ChildProcess, words: string): Promise<void> {
	let said = '';
	return new Promise((resolve, reject) => {
		demo.once('exit', () => reject(new Error(`the demo ended before it said: ${words}`)));
		demo.stdout!.on('data', chunk => {
			said += String(chunk);
			if (said.includes(words)) resolve();
		});
	});
}

function qemuRuns(demo: ChildProcess): Promise<boolean> {
	const mark = `-name\0vm2\0`;
	return until('QEMU', 10_000, () =>
		leftOf(demo.pid!).some(pid => {
			const words = content(pid, 'cmdline');
			return words.startsWith('qemu-system') && words.includes(mark);
		}),
	);
}

const moments: [moment: string, reached: (demo: ChildProcess) => Promise<unknown>][] = [
	['while the LAN is built', demo => says(demo, 'Building')],
	['while ipvtap starts', demo => says(demo, 'ipvtap run')],
	['while the guests boot', demo => says(demo, 'ipvtap run').then(() => qemuRuns(demo))],
	['during the pings', demo => says(demo, 'Everybody pings')],
	['while it shuts down', demo => says(demo, 'Shutting down')],
];

for (const [moment, reached] of moments) {
	test.serial(`Ctrl-C ${moment} leaves nothing behind`, async t => {
		const before = await snapshot();
		const demo = startDemo();
		const ended = once(demo, 'exit');
		await reached(demo);
		demo.kill('SIGINT');
		t.deepEqual(await ended, [null, 'SIGINT']);
		// A process that was told to end may need a moment for it.
		await until('all of it to be gone', 20_000, () => leftOf(demo.pid!).length === 0);
		await t.notThrowsAsync(assertNothingLeft(before));
	});
}

test.serial('kill -9 while the guests boot leaves nothing behind either', async t => {
	const before = await snapshot();
	const demo = startDemo();
	const ended = once(demo, 'exit');
	await says(demo, 'ipvtap run');
	await qemuRuns(demo);
	demo.kill('SIGKILL');
	await ended;
	await until('the watchdog', 8000, () => leftOf(demo.pid!).length === 0);
	await t.notThrowsAsync(assertNothingLeft(before));
});
