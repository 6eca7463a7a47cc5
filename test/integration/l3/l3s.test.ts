/** Mode l3s with real stacks: the host's netfilter, conntrack and routing see what guests send and get, both ways. */
import { once } from 'node:events';
import test from 'ava';
import type { StackGuest } from '../../../src/lab/stack-guest.js';
import { until } from '../../../src/lab/wait.js';
import { beyond, host, inner, laptop, ping, RoutedWorld, router } from './world.js';

let world: RoutedWorld;
let one: StackGuest;
let two: StackGuest;

const settings = [
	'net/ipv4/conf/eth0/forwarding',
	'net/ipv4/conf/all/forwarding',
	'net/ipv6/conf/all/forwarding',
	'net/ipv6/conf/eth0/forwarding',
	'net/ipv6/conf/eth0/force_forwarding',
];

/** As `cat` gives them; a kernel that lacks one says so. */
async function forwarding(): Promise<string[]> {
	const script = settings.map(path => `cat /proc/sys/${path} 2>/dev/null || echo none`).join('\n');
	return (await world.lan.host.exec('sh', ['-c', script])).trim().split('\n');
}

test.before(async () => {
	world = await RoutedWorld.create('l3s');
	// With one switch for all of IPv6's forwarding, Linux before 6.17 would drop its routes from advertisements.
	if ((await forwarding())[4] === 'none') await world.lan.host.sysctl({ 'net.ipv6.conf.eth0.accept_ra': 2 });
	await world.product.up('eth0', '--mode', 'l3s');
	one = await world.guest('one', 11);
	two = await world.guest('two', 12);
});

test.after.always(async () => {
	await world?.close();
});

test.serial(
	'guests reach each other, the host, the LAN, and what is behind its router, in both families',
	async t => {
		for (const to of [
			...['192.0.2.12', host.ipv4, laptop.ipv4, router.ipv4, beyond.ipv4],
			...['2001:db8:1::12', host.ipv6, laptop.ipv6, router.ipv6, beyond.ipv6],
		]) {
			const { received, said } = await ping(one, to);
			t.is(received, 2, said);
		}
		for (const [from, to] of [
			[world.lan.laptop, '192.0.2.11'],
			[world.lan.laptop, '2001:db8:1::11'],
			[world.beyond, '192.0.2.12'],
			[world.beyond, '2001:db8:1::12'],
			[world.lan.host, '192.0.2.11'],
			[world.lan.host, '2001:db8:1::12'],
		] as const) {
			const { received, said } = await ping(from, to);
			t.is(received, 2, said);
		}
		const macs = (await world.lan.macsSeen()).map(({ mac }) => mac);
		t.deepEqual(macs, [host.mac], 'one MAC on the wire');
	},
);

test.serial('the hop between guests is the host', async t => {
	t.regex((await ping(one, '192.0.2.12', '-t1', '-c1')).said, /From 192\.0\.2\.2 .*Time to live exceeded/);
	t.regex((await ping(one, beyond.ipv4, '-t1', '-c1')).said, /From 192\.0\.2\.2 .*Time to live exceeded/);
});

test.serial(
	'forwarding is on for the two devices, and the host keeps its routes from advertisements',
	async t => {
		const [master4, all4, all6, master6, forced] = await forwarding();
		t.deepEqual([master4, all4], ['1', '0']);
		if (forced !== 'none') t.deepEqual([all6, master6, forced], ['0', '0', '1']);
		// The LAN's router advertises a prefix; the host has made itself an address of it.
		t.regex(await world.lan.host.exec('ip', ['-6', 'address', 'show', 'dev', 'eth0']), /dynamic|mngtmpaddr/);
	},
);

test.serial(
	"the host's rules hold for guests: a port is closed, replies pass by conntrack, counters count",
	async t => {
		await world.lan.host.exec('nft', ['-f', '-'], {
			input: `table inet rules {
			counter closed { }
			counter established { }
			counter opened { }
			chain forward {
				type filter hook forward priority 0; policy drop;
				ct state established,related counter name established accept
				tcp dport 8080 counter name closed reject with tcp reset
				iifname "ipvh-eth0" counter name opened accept
			}
		}`,
		});
		const servers = [8080, 8081].map(port =>
			two.namespace.spawn(
				process.execPath,
				[
					'-e',
					`require('net').createServer(s => s.end('hello')).listen(${port}, '::', () => console.log('ready'))`,
				],
				{ stdio: ['ignore', 'pipe', 'ignore'] },
			),
		);
		await Promise.all(servers.map(server => once(server.stdout!, 'data')));
		const fetch = (from: Pick<StackGuest, 'exec'>, to: string, port: number): Promise<string> =>
			from.exec(
				process.execPath,
				[
					'-e',
					`const s = require('net').connect(${port}, '${to}'); s.on('data', d => process.stdout.write(d)); s.on('error', e => process.stdout.write(e.code))`,
				],
				{ timeout: 10_000 },
			);
		for (const to of ['192.0.2.12', '2001:db8:1::12']) {
			t.is(await fetch(one, to, 8081), 'hello', to);
			t.is(await fetch(one, to, 8080), 'ECONNREFUSED', to);
		}
		// What nobody in here asked for doesn't come in, and the answer to what was asked for does.
		t.is((await ping(world.lan.laptop, '192.0.2.11')).received, 0);
		t.is((await ping(one, laptop.ipv4)).received, 2);
		t.is((await ping(one, beyond.ipv6)).received, 2);
		const json = JSON.parse(await world.lan.host.exec('nft', ['-j', 'list', 'counters'])) as {
			nftables: { counter?: { name: string; packets: number } }[];
		};
		const counts = Object.fromEntries(
			json.nftables.flatMap(({ counter }) => (counter ? [[counter.name, counter.packets]] : [])),
		) as Record<string, number>;
		t.is(counts['closed'], 2);
		t.true(counts['established']! >= 8, JSON.stringify(counts));
		t.true(counts['opened']! >= 4, JSON.stringify(counts));
		for (const server of servers) server.kill('SIGKILL');
		await world.lan.host.exec('nft', ['delete', 'table', 'inet', 'rules']);
	},
);

test.serial('the host forwards between guests and its other networks', async t => {
	t.is(
		(await ping(one, inner.ipv4)).received,
		0,
		'the way back is the other device, which does not forward yet',
	);
	await world.lan.host.sysctl({ 'net.ipv4.conf.eth1.forwarding': 1 });
	t.is((await ping(one, inner.ipv4)).received, 2);
	await world.lan.host.sysctl({ 'net.ipv4.conf.eth1.forwarding': 0 });
});

test.serial('private keeps guests apart, vepa is refused, and so is a port without the host', async t => {
	await world.product.json('set', 'eth0', '--flag', 'private');
	t.is((await ping(one, '192.0.2.12')).received, 0);
	t.is((await ping(one, beyond.ipv4)).received, 2);
	await world.product.json('set', 'eth0', '--flag', 'bridge');
	const vepa = await world.product.ipvtap(['set', 'eth0', '--flag', 'vepa']);
	t.is(vepa.status, 2);
	t.regex(vepa.stderr, /mode l3s can't have flag vepa/);
	const alone = await world.product.ipvtap(['up', 'eth1', '--mode', 'l3s', '--no-host']);
	t.is(alone.status, 2);
	t.regex(alone.stderr, /mode l3s can't do without the host/);
});

test.serial(
	'a neighbour on the LAN that checks whether a guest still lives is answered, in unicast too',
	async t => {
		const { laptop: other } = world.lan;
		t.is((await ping(other, '2001:db8:1::11')).received, 2);
		for (const address of ['192.0.2.11', '2001:db8:1::11']) {
			await other.ip(`neighbour change ${address} dev eth0 nud probe`);
			await until(`${address} to be reachable again`, 10_000, async () =>
				/REACHABLE/.test(await other.exec('ip', ['neighbour', 'show', address])),
			);
		}
		t.pass();
	},
);

test.serial('modes change under traffic, no address is lost, and the settings are restored', async t => {
	const before = await forwarding();
	t.is(before[0], '1');
	const addresses = async (): Promise<string[]> =>
		(await world.product.list()).slaves
			.flatMap(({ addresses: own }) => own.map(({ address }) => address))
			.sort();
	const owned = await addresses();
	const flows = [
		two.namespace.spawn('ping', ['-n', '-i0.05', '-W1', beyond.ipv4], {
			stdio: ['ignore', 'pipe', 'ignore'],
		}),
		two.namespace.spawn('ping', ['-n', '-i0.05', '-W1', '2001:db8:1::11'], {
			stdio: ['ignore', 'pipe', 'ignore'],
		}),
	];
	const said = ['', ''];
	for (const [index, flow] of flows.entries()) {
		flow.stdout!.on('data', chunk => {
			said[index] += String(chunk);
		});
	}
	const modes = ['l2', 'l3', 'l3s', 'l3', 'l2', 'l3s', 'l2'] as const;
	for (const mode of modes) {
		const master = await world.mode(mode);
		t.is(master.mode, mode);
		const replies = said.map(text => text.split('bytes from').length);
		await until(`replies in mode ${mode}`, 10_000, async () =>
			said.every((text, index) => text.split('bytes from').length > replies[index]! + 5),
		);
	}
	for (const flow of flows) {
		flow.kill('SIGINT');
		await once(flow, 'exit');
	}
	for (const text of said) {
		const [, sent, received] = /(\d+) packets transmitted, (\d+) received/.exec(text)!.map(Number);
		t.log(`${sent! - received!} of ${sent} lost over seven changes`);
		// Some two a change, however long it was until the next.
		t.true(sent! - received! <= 5 * modes.length, `${received} of ${sent}`);
	}
	t.deepEqual(await addresses(), owned);
	t.deepEqual(await forwarding(), ['0', '0', '0', '0', before[4] === 'none' ? 'none' : '0']);
});

test.serial('a daemon that was killed leaves forwarding on, and the next one restores it', async t => {
	await world.mode('l3s');
	t.is((await forwarding())[0], '1');
	await world.product.signalDaemon('SIGKILL');
	t.is((await forwarding())[0], '1');
	// The next command's daemon adopts them.
	await world.product.list();
	await until('traffic again', 10_000, async () => (await ping(one, beyond.ipv4)).received === 2);
	await world.product.json('down', 'eth0', '--force');
	const after = await forwarding();
	t.deepEqual(after, ['0', '0', '0', '0', after[4] === 'none' ? 'none' : '0']);
});
