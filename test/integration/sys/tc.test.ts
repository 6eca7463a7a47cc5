import { spawn } from 'node:child_process';
import { once } from 'node:events';
import test from 'ava';
import { createVeth, deleteLink, requireLink, setLink } from '../../../src/sys/netlink/link.js';
import * as tc from '../../../src/sys/netlink/tc.js';
import { enterFreshNamespace, run } from '../../helpers/in-namespace.js';

let ifindex = 0;

test.before(enterFreshNamespace);
test.beforeEach(() => {
	createVeth({ name: 'v0', peer: 'v1' });
	setLink('v0', { up: true, addrGenModeNone: true });
	ifindex = requireLink('v0').ifindex;
});
test.afterEach.always(() => deleteLink('v0'));

/** Native sock_filter[] from `code jt jf k` lines, as `tc` takes them. */
function assemble(...lines: [number, number, number, number][]): Uint8Array {
	const bytes = new Uint8Array(lines.length * 8);
	lines.forEach(([code, jt, jf, k], index) => {
		new Uint16Array(bytes.buffer, index * 8, 1)[0] = code;
		bytes.set([jt, jf], index * 8 + 2);
		new Uint32Array(bytes.buffer, index * 8 + 4, 1)[0] = k;
	});
	return bytes;
}
const dropAll = assemble([6, 0, 0, 2]);
const passAll = assemble([6, 0, 0, 0xffffffff]);
const key = { priority: 1, handle: 1 };

test.serial('the kernel keeps the same filter as from `tc … bpf da bytecode`', t => {
	t.true(tc.ensureClsact(ifindex));
	tc.replaceClassicFilter(ifindex, 'ingress', { ...key, program: dropAll });
	const ours = run('tc', '-d', 'filter', 'show', 'dev', 'v0', 'ingress');
	t.true(tc.deleteFilter(ifindex, 'ingress', key));
	t.is(run('tc', 'filter', 'show', 'dev', 'v0', 'ingress'), '');
	const command = 'filter add dev v0 ingress prio 1 handle 1 protocol all bpf da bytecode';
	run('tc', ...command.split(' '), '1,6 0 0 2,');
	t.is(ours, run('tc', '-d', 'filter', 'show', 'dev', 'v0', 'ingress'));
	t.regex(ours, /direct-action .*bytecode '1,6 0 0 2'/);
	t.deepEqual(tc.listFilters(ifindex, 'ingress'), [
		{ ...key, kind: 'bpf', name: undefined, program: dropAll },
	]);
	t.deepEqual(tc.listFilters(ifindex, 'egress'), []);
});

test.serial('a diverting filter is the one that tc makes, is replaced, listed and deleted like others', t => {
	tc.ensureClsact(ifindex);
	const to = requireLink('v1').ifindex;
	const program = assemble([6, 0, 0, 0xffffffff]);
	const shown = (hook: string) =>
		run('tc', '-d', 'filter', 'show', 'dev', 'v0', hook).replace(/index \d+/g, 'index N');
	for (const [hook, kind, action] of [
		['ingress', 'redirect-ingress', 'mirred ingress redirect dev v1'],
		['egress', 'mirror-egress', 'mirred egress mirror dev v1 continue'],
	] as const) {
		tc.replaceDivertingFilter(ifindex, hook, { ...key, program }, { kind, to });
		const ours = shown(hook);
		t.true(tc.deleteFilter(ifindex, hook, key));
		const command = `filter add dev v0 ${hook} prio 1 handle 1 protocol all bpf bytecode`;
		run('tc', ...command.split(' '), '1,6 0 0 4294967295,', 'action', ...action.split(' '));
		t.is(ours, shown(hook));
		tc.replaceDivertingFilter(ifindex, hook, { ...key, program: passAll }, { kind, to });
		t.deepEqual(tc.listFilters(ifindex, hook), [{ ...key, kind: 'bpf', name: undefined, program: passAll }]);
		t.true(tc.deleteFilter(ifindex, hook, key));
		t.is(shown(hook), '');
	}
});

test.serial('clsact is ours to delete only if we made it', t => {
	t.false(tc.deleteClsact(ifindex));
	t.true(tc.ensureClsact(ifindex));
	t.false(tc.ensureClsact(ifindex));
	t.true(tc.deleteClsact(ifindex));
	run('tc', 'qdisc', 'add', 'dev', 'v0', 'ingress');
	t.false(tc.ensureClsact(ifindex));
	tc.replaceClassicFilter(ifindex, 'ingress', { ...key, program: dropAll });
	t.is(tc.listFilters(ifindex, 'ingress').length, 1);
	t.false(tc.deleteClsact(ifindex));
	t.regex(run('tc', 'qdisc', 'show', 'dev', 'v0'), /qdisc ingress/);
});

test.serial('filters of others are listed by kind and stay', t => {
	tc.ensureClsact(ifindex);
	run(
		...words(
			'tc filter add dev v0 ingress prio 5 protocol ip u32 match u32 0 0 action mirred egress redirect dev v0',
		),
	);
	tc.replaceClassicFilter(ifindex, 'ingress', { priority: 9, handle: 3, program: passAll });
	const kinds = tc
		.listFilters(ifindex, 'ingress')
		.map(({ priority, kind, program }) => [priority, kind, program?.length]);
	t.deepEqual(kinds.at(-1), [9, 'bpf', 8]);
	t.true(kinds.some(([priority, kind, length]) => priority === 5 && kind === 'u32' && length === undefined));
	t.false(tc.deleteFilter(ifindex, 'ingress', { priority: 5, handle: 1 }));
	t.true(tc.deleteFilter(ifindex, 'ingress', { priority: 9, handle: 3 }));
	t.true(tc.listFilters(ifindex, 'ingress').length > 0);
});

test.serial(
	'a program of the greatest length goes in and comes back; a longer or broken one is refused',
	t => {
		tc.ensureClsact(ifindex);
		const long = (length: number) =>
			assemble(
				...Array.from({ length: length - 1 }, (): [number, number, number, number] => [0, 0, 0, 7]),
				[6, 0, 0, 2],
			);
		tc.replaceClassicFilter(ifindex, 'ingress', { ...key, program: long(4000) });
		t.deepEqual(tc.listFilters(ifindex, 'ingress')[0]?.program, long(4000));
		tc.replaceClassicFilter(ifindex, 'ingress', { ...key, program: long(4096) });
		t.throws(() => tc.listFilters(ifindex, 'ingress'), { message: /EMSGSIZE/ });
		t.true(tc.deleteFilter(ifindex, 'ingress', key));
		t.deepEqual(tc.listFilters(ifindex, 'ingress'), []);
		const replace = (program: Uint8Array) => () =>
			tc.replaceClassicFilter(ifindex, 'ingress', { ...key, program });
		t.throws(replace(new Uint8Array(4097 * 8)), { code: 'failed', message: /no classic BPF program/ });
		t.throws(replace(new Uint8Array(0)), { code: 'failed' });
		t.throws(replace(assemble([0, 0, 0, 7])), { code: 'failed', message: /EINVAL/ });
		t.throws(() => tc.replaceClassicFilter(4711, 'ingress', { ...key, program: dropAll }), {
			code: 'not-found',
		});
	},
);

test.serial('nothing is there: nothing is listed or deleted', t => {
	t.deepEqual(tc.listFilters(ifindex, 'ingress'), []);
	t.false(tc.deleteFilter(ifindex, 'ingress', key));
	t.false(tc.deleteFilter(4711, 'ingress', key));
	t.throws(() => tc.replaceClassicFilter(ifindex, 'ingress', { ...key, program: dropAll }), {
		code: 'failed',
	});
});

test.serial(
	'a swap never opens: of a flood, not one frame reaches the stack during 2000 of them',
	async t => {
		// v1 moves to another namespace and floods v0, whose stack counts what comes through.
		const holder = spawn('unshare', ['--net', 'sh', '-c', 'echo; exec sleep 60']);
		await once(holder.stdout, 'data');
		const there = (...command: string[]) => ['nsenter', '-t', String(holder.pid), '-n', ...command] as const;
		run('ip', 'link', 'set', 'v1', 'netns', String(holder.pid));
		run(...there('ip', 'address', 'add', '10.0.0.2/24', 'dev', 'v1'));
		run(...there('ip', 'link', 'set', 'v1', 'up'));
		run(...there('ip', 'neighbour', 'add', '10.0.0.1', 'lladdr', requireLink('v0').mac, 'dev', 'v1'));
		run('ip', 'address', 'add', '10.0.0.1/24', 'dev', 'v0');
		const flood = spawn('nsenter', ['-t', String(holder.pid), '-n', process.execPath, '-e', flooder]);
		const received = () => requireLink('v0').stats.rx.packets;
		const inStack = () => Number(run('cat', '/proc/self/net/snmp').match(/^Ip: \d+ \d+ (\d+)/m)?.[1]);

		tc.ensureClsact(ifindex);
		const open = inStack();
		await until(() => inStack() > open + 100);
		tc.replaceClassicFilter(ifindex, 'ingress', { ...key, program: dropAll });
		const closed = inStack();
		const before = received();
		const variants = [dropAll, assemble([0, 0, 0, 1], [6, 0, 0, 2])];
		for (let i = 0; i < 2000; i++) {
			tc.replaceClassicFilter(ifindex, 'ingress', { ...key, program: variants[i % 2]! });
		}
		await until(() => received() > before + 1000);
		t.log(`${received() - before} frames during 2000 swaps`);
		t.is(inStack(), closed);
		t.is(tc.listFilters(ifindex, 'ingress').length, 1);
		tc.deleteFilter(ifindex, 'ingress', key);
		await until(() => inStack() > closed);
		flood.kill('SIGKILL');
		holder.kill('SIGKILL');
		await Promise.all([once(flood, 'exit'), once(holder, 'exit')]);
	},
);

const flooder = `
	const socket = require('dgram').createSocket('udp4');
	const send = () => socket.send('x', 9, '10.0.0.1', () => setImmediate(send));
	for (let i = 0; i < 8; i++) send();`;

async function until(condition: () => boolean): Promise<void> {
	while (!condition()) await new Promise(setImmediate);
}

function words(line: string): [string, ...string[]] {
	return line.split(' ') as [string, ...string[]];
}

test.serial('a device without a queue, until somebody gives it one', t => {
	run('tc', 'qdisc', 'replace', 'dev', 'v0', 'root', 'pfifo');
	tc.withoutQueue(ifindex);
	t.regex(run('tc', 'qdisc', 'show', 'dev', 'v0', 'root'), /^qdisc noqueue /);
	tc.withoutQueue(ifindex);
	run('tc', 'qdisc', 'replace', 'dev', 'v0', 'root', 'pfifo');
	t.regex(run('tc', 'qdisc', 'show', 'dev', 'v0', 'root'), /^qdisc pfifo /);
});
