import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import test from 'ava';
import { packageVersion } from '../../../src/config.js';
import { place } from './command-line.js';

const bin = fileURLToPath(new URL('../../../../bin', import.meta.url));

for (const [args, message, hint] of [
	[['lst'], "ipvtap: unknown command 'lst'", /did you mean list/],
	[['nonsense'], "ipvtap: unknown command 'nonsense'", /ipvtap --help/],
	[['--nonsense'], "ipvtap: unknown option '--nonsense'", /ipvtap --help/],
	[['up'], "ipvtap up: missing required argument 'master'", /ipvtap up --help/],
	[['up', 'eth0', 'eth1'], "ipvtap up: too many arguments for 'up'", /ipvtap up --help/],
	[['up', 'eth0', '--fla', 'private'], "ipvtap up: unknown option '--fla'", /did you mean --flag/],
	[
		['up', 'eth0', '--flag', 'x'],
		"ipvtap up: option '--flag <flag>' argument 'x' is invalid. Allowed choices are bridge, private, vepa",
		/ipvtap up --help/,
	],
	[['up', 'eth0', '--mode'], "ipvtap up: option '--mode <mode>' argument missing", /ipvtap up --help/],
	[
		['up', 'a-name-too-long-for-it'],
		"'a-name-too-long-for-it' can't be an interface's name: it has 22 bytes",
		/1 to 15 bytes/,
	],
	[['down', ''], "'' can't be an interface's name: it is empty", /1 to 15 bytes/],
	[
		['attach', 'web1'],
		"ipvtap attach: required option '--master <interface>' not specified",
		/ipvtap attach --help/,
	],
	[
		['attach', 'x'.repeat(64), '--master', 'eth0'],
		`'${'x'.repeat(64)}' can't be a slave's name: it has 64 characters`,
		/1 to 63 of/,
	],
	[
		['attach', '..', '--master', 'eth0'],
		"'..' can't be a slave's name: it begins with '.'",
		/begins with a letter or a digit/,
	],
	[['attach', 'a b', '--master', 'eth0'], "'a b' can't be a slave's name: it has ' ' in it", /1 to 63 of/],
	[['attach', '-', '--master', 'eth0'], "'-' can't be a slave's name: it begins with '-'", /1 to 63 of/],
	[
		['attach', 'a', '--master', 'eth0', '--ip', '10.0.0.0/8'],
		"'10.0.0.0/8' can't be a guest's address: it is a network",
		/only \/32/,
	],
	[
		['attach', 'a', '--master', 'eth0', '--ip', 'ff02::1'],
		"'ff02::1' can't be a guest's address: it is a multicast group",
		/one address/,
	],
	[
		['attach', 'a', '--master', 'eth0', '--mac', '01:00:00:00:00:01'],
		"'01:00:00:00:00:01' can't be a guest's MAC: it is a multicast address",
		/leave it out/,
	],
	[
		['attach', 'a', '--master', 'eth0', '--queues', '0'],
		"ipvtap attach: option '--queues <n>' argument '0' is invalid. It must be a whole number from 1 to 256",
		/ipvtap attach --help/,
	],
	[
		['attach', 'a', '--master', 'eth0', '--learn', 'maybe'],
		"ipvtap attach: option '--learn <on|off>' argument 'maybe' is invalid. Allowed choices are on, off",
		/--help/,
	],
	[
		['attach', 'a', '--master', 'eth0', '--format', 'x'],
		"ipvtap attach: there is no format 'x'",
		/qemu, helper, libvirt, firecracker, cloud-hypervisor/,
	],
	[
		['attach', 'a', '--master', 'eth0', '--limit', 'tx=100'],
		"--limit 'tx=100': '100' is not a limit of tx",
		/allowed: a rate such as '100mbit' or '100mbit\/256k'/,
	],
	[
		['set', 'web1', '--limit', 'bandwidth=1gbit'],
		"--limit 'bandwidth=1gbit': there is no limit 'bandwidth'",
		/keys are tx, rx, slow, learn/,
	],
	[['run'], "ipvtap run: missing required argument 'qemu'", /ipvtap run --help/],
	[
		['run', '--ip', 'x', '--', 'true'],
		"'x' can't be a guest's address: it is neither an IPv4 nor an IPv6 address",
		/one address/,
	],
	[['set', 'web1'], 'ipvtap set: nothing to change is given', /--ip \+A/],
	[
		['set', 'web1', '--ip', '+10.0.0.1', '--flag', 'vepa'],
		'ipvtap set: --ip, --limit and --allow are for slaves, the other options are for masters',
		/--ip \+A/,
	],
	[
		['set', 'web1', '--ip', '-x'],
		"'x' can't be a guest's address: it is neither an IPv4 nor an IPv6 address",
		/one address/,
	],
	[['detach', 'a/b'], "'a/b' can't be a slave's name: it has '/' in it", /1 to 63 of/],
] as const) {
	test(`ipvtap ${args.map(arg => `'${arg}'`).join(' ')} is a usage error`, async t => {
		const { run, files } = place(t);
		const { status, stdout, stderr } = await run(...args);
		const [first = '', second = '', ...rest] = stderr.trimEnd().split('\n');
		t.is(status, 2, stderr);
		t.is(stdout, '');
		t.true(first.startsWith(`error: ${message}`), first);
		t.true(second.startsWith('hint: '), second);
		t.regex(second, hint);
		t.deepEqual(rest, []);
		t.deepEqual(files(), [], 'no daemon was started');
	});
}

test('with --json the error is a document on stdout too', async t => {
	const { run } = place(t);
	for (const args of [
		['--json', 'up'],
		['up', '--json'],
	]) {
		const { status, stdout, stderr } = await run(...args);
		t.is(status, 2);
		t.deepEqual(JSON.parse(stdout), {
			error: {
				code: 'usage',
				message: "ipvtap up: missing required argument 'master'",
				hint: 'see: ipvtap up --help',
			},
		});
		t.regex(stderr, /^error: ipvtap up: missing/);
	}
	// Behind `--` it is QEMU's.
	t.is((await run('run', '--nonsense', '--', 'qemu', '--json')).stdout, '');
});

test('no command at all shows the help on stderr', async t => {
	const { status, stdout, stderr } = await place(t).run();
	t.is(status, 2);
	t.is(stdout, '');
	t.regex(stderr, /^Examples:\n/);
	t.regex(stderr, /\nerror: no command is given\nhint: /);
});

/** Of design 4, as far as this version has them. */
const contract = [
	'run',
	'up',
	'down',
	'attach',
	'detach',
	'set',
	'list|ls',
	'show',
	'stats',
	'trace',
	'daemon',
	'demo',
];

test('the version and the help are on stdout', async t => {
	const { run } = place(t);
	t.deepEqual(await run('--version'), { status: 0, stdout: `${packageVersion()}\n`, stderr: '' });
	const help = await run('--help');
	t.is(help.status, 0);
	t.regex(help.stdout, /^Examples:\n {2}sudo ipvtap run /);
	const commands = [...help.stdout.matchAll(/^ {2}([a-z|]+) (\[|\[options\])/gm)].map(match => match[1]);
	for (const name of contract) t.true(commands.includes(name), name);
	for (const command of commands.slice(0, -1).map(name => name?.split('|')[0] as string)) {
		const { status, stdout } = await run(command, '--help');
		t.is(status, 0);
		t.true(stdout.startsWith('Examples:\n'), command);
		t.regex(stdout, /--json/);
	}
});

test('without a daemon there is nothing, which is no error', async t => {
	const { run, files } = place(t);
	const list = await run('list');
	t.deepEqual([list.status, list.stderr], [0, '']);
	t.regex(list.stdout, /^MASTER .*\n\nSLAVE .*\n$/);
	t.deepEqual(JSON.parse((await run('list', '--json')).stdout), { masters: [], slaves: [] });
	t.deepEqual(JSON.parse((await run('stats', '--json')).stdout), { masters: [], slaves: [] });
	t.deepEqual(files(), []);
});

for (const args of [
	['show', 'x'],
	['trace', '--from', 'x', '--to', '192.0.2.1'],
	['stats', 'x'],
	['detach', 'x'],
	['detach', 'x', '--qmp', '/nowhere'],
	['down', 'eth0'],
	['set', 'x', '--ip', '+10.0.0.1'],
	['set', 'eth0', '--flag', 'vepa'],
]) {
	test(`without a daemon, ipvtap ${args.join(' ')} finds nothing`, async t => {
		const { run, files } = place(t);
		const { status, stdout, stderr } = await run(...args, '--json');
		t.is(status, 3, stderr);
		t.is((JSON.parse(stdout) as { error: { code: string } }).error.code, 'not-found');
		t.regex(stderr, /^error: .*\nhint: /);
		t.deepEqual(files(), []);
	});
}

test('a launcher without a build says so', t => {
	for (const name of ['ipvtap', 'ipvtapd', 'ipvtap-helper']) {
		const script = spawnSync(
			'sh',
			[
				'-c',
				`mkdir -p "$1/bin" && cp "$0" "$1/bin/" && exec "$1/bin/${name}"`,
				`${bin}/${name}`,
				place(t).folder,
			],
			{ encoding: 'utf8' },
		);
		t.is(script.status, 1);
		t.regex(
			script.stderr,
			/^error: ipvtap is not built: .*\/dist\/src\/cli\/main\.js is missing\nhint: cd .* && npm ci && npm run build\n$/,
		);
	}
});

test('a reader that has seen enough is no error', t => {
	const { folder } = place(t);
	const script = spawnSync('sh', ['-c', `"$0" list --json | true; "$0" --help | head -1`, `${bin}/ipvtap`], {
		encoding: 'utf8',
		env: { ...process.env, IPVTAP_SOCKET: `${folder}/a.sock`, IPVTAP_STATE_DIR: folder },
	});
	t.is(script.stderr, '');
	t.is(script.stdout, 'Examples:\n');
});

test('output that finds no room is a failure in our own words, and complaints that find none change nothing', t => {
	const { folder } = place(t);
	const env = { ...process.env, IPVTAP_SOCKET: `${folder}/a.sock`, IPVTAP_STATE_DIR: `${folder}/state` };
	const sh = (command: string) =>
		spawnSync('sh', ['-c', command, `${bin}/ipvtap`], { env, encoding: 'utf8' });
	const full = sh('"$0" list >/dev/full');
	t.is(full.status, 1);
	t.regex(full.stderr, /^error: can't write what there is to say: ENOSPC\nhint: .*\n$/);
	t.is(sh('"$0" nonsense 2>/dev/full').status, 2);
	t.is(sh('"$0" --help | true').stderr, '');
});
