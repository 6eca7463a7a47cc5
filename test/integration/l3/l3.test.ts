/** Mode l3 with real stacks: the host's routes and neighbours decide, and errors come from the host's address. */
import test from 'ava';
import type { Master } from '../../../src/control/model.js';
import type { StackGuest } from '../../../src/lab/stack-guest.js';
import { until } from '../../../src/lab/wait.js';
import { beyond, host, inner, laptop, ping, RoutedWorld, router } from './world.js';

let world: RoutedWorld;
let one: StackGuest;
let two: StackGuest;

test.before(async () => {
	world = await RoutedWorld.create('l3');
	await world.product.up('eth0', '--mode', 'l3');
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
	},
);

test.serial('the LAN and what is behind reach guests, without a route to them', async t => {
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
	const seen = await world.lan.macsSeen();
	t.deepEqual(
		seen.map(({ mac }) => mac),
		[host.mac],
		'one MAC on the wire',
	);
});

test.serial('what the host has on other devices is reached through the host, if it forwards', async t => {
	t.is((await ping(one, '203.0.113.1')).received, 2, "the host's address on another device");
	t.is((await ping(one, inner.ipv4)).received, 0, 'it does not forward');
	await world.lan.host.sysctl({ 'net.ipv4.ip_forward': 1 });
	t.is((await ping(one, inner.ipv4)).received, 2);
	await world.lan.host.sysctl({ 'net.ipv4.ip_forward': 0 });
});

test.serial("routes are followed as they change, and errors come from the host's address", async t => {
	const { host: inside } = world.lan;
	for (const [line, said] of [
		['route add unreachable 198.51.100.0/24', /From 192\.0\.2\.2 .*Destination Host Unreachable/],
		['route replace prohibit 198.51.100.0/24', /From 192\.0\.2\.2 .*Packet filtered/],
		['route add prohibit 2001:db8:2::/64', /From 2001:db8:1::2 .*Administratively prohibited/],
		['route replace unreachable 2001:db8:2::/64', /From 2001:db8:1::2 .*No route/],
	] as const) {
		await inside.ip(line);
		const to = line.includes(':') ? beyond.ipv6 : beyond.ipv4;
		// An event is followed within milliseconds, but not before `ip` returns.
		await until(line, 20_000, async () => said.test((await ping(two, to, '-c1', '-W1')).said));
	}
	await inside.ip('route delete unreachable 2001:db8:2::/64', 'route replace blackhole 198.51.100.0/24');
	await until('the blackhole', 20_000, async () => {
		await ping(one, beyond.ipv4, '-c1', '-W1');
		return ((await world.drops('one'))['blackhole'] ?? 0) > 0;
	});
	await inside.ip('route delete 198.51.100.0/24');
	await until('the default route again', 20_000, async () => (await ping(one, beyond.ipv4)).received === 2);
	t.is((await ping(one, beyond.ipv6)).received, 2);

	await inside.ip('route delete default');
	await until('no route', 20_000, async () =>
		/From 192\.0\.2\.2 .*Destination Net Unreachable/.test((await ping(one, beyond.ipv4, '-c1', '-W1')).said),
	);
	// Two gateways on the link: the laptop becomes a router too, and is asked in vain, as it doesn't forward.
	await inside.ip(`route add default via ${laptop.ipv4}`);
	await until(
		'the other gateway',
		20_000,
		async () => (await ping(one, beyond.ipv4, '-c1', '-W1')).received === 0,
	);
	await inside.ip(`route replace default via ${router.ipv4}`);
	await until('the first gateway', 20_000, async () => (await ping(one, beyond.ipv4)).received === 2);
	const { drops } = await world.product.stats('one');
	t.true((drops['no-route'] ?? 0) > 0, JSON.stringify(drops));
});

test.serial(
	'of two next hops each flow keeps to one, and both have some; one that is dead has none',
	async t => {
		const { host: inside, laptop: other, router: first } = world.lan;
		const seen = async (by: typeof first) => {
			const json = await by.exec('nft', ['-j', 'list', 'set', 'inet', 'flows', 'seen']);
			const [, { set }] = JSON.parse(json).nftables as [unknown, { set: { elem?: string[] } }];
			return set.elem ?? [];
		};
		for (const by of [first, other]) await by.exec('nft', ['-f', '-'], { input: flowsTable });
		const spread = async () => {
			for (const by of [first, other]) await by.exec('nft', ['flush', 'set', 'inet', 'flows', 'seen']);
			const pings = 'for n in $(seq 100 163); do ping -q -c1 -W1 198.51.100.$n & done; wait';
			await one.run('sh', ['-c', pings]);
			return Promise.all([first, other].map(seen));
		};
		const route = `198.51.100.0/24 nexthop via ${router.ipv4} weight 3 nexthop via ${laptop.ipv4}`;
		await inside.ip(`route add ${route}`);
		const [byRouter = [], byLaptop = []] = await until('both to be used', 10_000, async () => {
			const found = await spread();
			return found.every(list => list.length > 0) ? found : undefined;
		});
		t.log(`${byRouter.length} by the router, of weight 3, and ${byLaptop.length} by the laptop`);
		t.is(byRouter.length + byLaptop.length, 64);
		t.is(new Set([...byRouter, ...byLaptop]).size, 64, 'no flow took both');
		t.deepEqual(new Set((await spread())[1]), new Set(byLaptop), 'and each takes the same again');
		await inside.ip(`route replace 198.51.100.0/24 via ${router.ipv4}`);
		await until('all by the router', 10_000, async () => (await spread())[1]?.length === 0);
		await inside.ip('route delete 198.51.100.0/24');
		for (const by of [first, other]) await by.exec('nft', ['delete', 'table', 'inet', 'flows']);
	},
);

const flowsTable = `table inet flows {
	set seen { type ipv4_addr; size 256; flags dynamic; }
	chain in {
		type filter hook prerouting priority 0; policy accept;
		ip daddr 198.51.100.100-198.51.100.163 ip saddr 192.0.2.11 update @seen { ip daddr }
	}
}`;

test.serial('rules of policy routing are not followed, which is said, with what helps', async t => {
	const { host: inside } = world.lan;
	const warnings = async () => (await world.product.json<Master>('show', 'eth0')).warnings;
	t.is(await warnings(), undefined);
	await inside.ip('rule add iif lo lookup 100', 'rule add oif eth0 lookup 100');
	await inside.ip('rule add from 192.0.2.0/24 lookup 100 priority 1234');
	const said = await until('a warning', 20_000, warnings);
	t.is(said.length, 1);
	t.regex(said[0]!, /ip rule: 1234\).*: ipvtap set eth0 --mode l3s$/);
	const { stderr } = await world.product.ipvtap(['set', 'eth0', '--mode', 'l3']);
	t.regex(stderr, /^warning: the host routes by rules/);
	await inside.ip('rule delete priority 1234');
	await until('no warning', 20_000, async () => (await warnings()) === undefined);
	// As wg-quick(8) has it.
	const wireguard = (what: string) =>
		inside.exec('ip', ['-6', 'rule', what, 'not', 'fwmark', '51820', 'table', '51820']);
	await wireguard('add');
	await until('a warning of IPv6', 20_000, warnings);
	await wireguard('delete');
	await until('no warning again', 20_000, async () => (await warnings()) === undefined);
	await inside.ip('rule delete iif lo lookup 100', 'rule delete oif eth0 lookup 100');
});

test.serial(
	'a neighbour that changes its MAC is followed, and one that is not there is reported',
	async t => {
		const { laptop: other, switch: bridge } = world.lan;
		t.is((await ping(one, laptop.ipv4)).received, 2);
		await other.ip('link set eth0 address 02:1a:00:00:00:33');
		await bridge.exec('bridge', ['fdb', 'flush', 'dev', 'br0']).catch(() => '');
		// What it asks for the host tells the host where it is by now.
		await other.ip('neighbour flush dev eth0');
		await other.run('ping', ['-q', '-c2', '-W2', host.ipv4]);
		await until(
			'the new MAC',
			10_000,
			async () => (await ping(one, laptop.ipv4, '-c1', '-W1')).received === 1,
		);

		const { said } = await ping(one, '192.0.2.99', '-c1', '-W5');
		t.regex(said, /From 192\.0\.2\.2 .*Destination Host Unreachable/);
		const six = await ping(one, '2001:db8:1::99', '-c1', '-W5');
		t.regex(six.said, /From 2001:db8:1::2 .*Address unreachable/);
		const stats = await world.product.stats('one');
		t.true((stats.drops['unreachable'] ?? 0) >= 2, JSON.stringify(stats.drops));
		t.is(stats.queued, 0);
	},
);

test.serial('a stale neighbour that is in use is confirmed', async t => {
	const { host: inside } = world.lan;
	t.is((await ping(one, router.ipv4)).received, 2);
	await inside.ip(`neighbour change ${router.ipv4} dev eth0 nud stale`);
	await until('the neighbour to be probed', 15_000, async () => {
		await ping(one, router.ipv4, '-c1');
		const json = await inside.exec('ip', ['-j', 'neighbour', 'show', router.ipv4]);
		return /DELAY|PROBE|REACHABLE/.test(json);
	});
	t.pass();
});

test.serial('TTL and hop limit: the first hop is the host, the next the router', async t => {
	const first = await ping(two, beyond.ipv4, '-t1', '-c1');
	t.regex(first.said, /From 192\.0\.2\.2 .*Time to live exceeded/);
	const second = await ping(two, beyond.ipv4, '-t2', '-c1');
	t.regex(second.said, /From 192\.0\.2\.1 .*Time to live exceeded/);
	t.is((await ping(two, beyond.ipv4, '-t3')).received, 2);
	t.regex((await ping(two, beyond.ipv6, '-t1', '-c1')).said, /From 2001:db8:1::2 .*Time exceeded/);
	t.regex((await ping(two, beyond.ipv6, '-t2', '-c1')).said, /From 2001:db8:1::1 .*Time exceeded/);
	t.is((await ping(two, beyond.ipv6, '-t3')).received, 2);
	t.is((await ping(two, '192.0.2.11', '-t1')).received, 2, 'guests are one hop from each other');
});

test.serial("a route's MTU: don't-fragment and IPv6 are told, others cut, TCP finds it", async t => {
	const { host: inside } = world.lan;
	await inside.ip(
		`route add 198.51.100.0/24 via ${router.ipv4} mtu 1300`,
		`route add 2001:db8:2::/64 via ${router.ipv6} mtu 1300`,
	);
	const df = ['-Mdo', '-c1', '-s1400'];
	await until('the MTU', 20_000, async () =>
		/From 192\.0\.2\.2 .*Frag needed and DF set \(mtu = 1300\)/.test(
			(await ping(one, beyond.ipv4, ...df)).said,
		),
	);
	await until('the MTU, IPv6', 20_000, async () =>
		/From 2001:db8:1::2 .*Packet too big: mtu=1300/.test((await ping(two, beyond.ipv6, ...df)).said),
	);
	// The guest has learned it by now; without path MTU discovery it sends whole packets, which are cut here.
	const whole = ['-Mdont', '-s1400'];
	await one.exec('ip', ['route', 'flush', 'cache']);
	t.is((await ping(two, beyond.ipv4, ...whole)).received, 2);
	t.is((await ping(two, beyond.ipv4, '-Mdont', '-s8000')).received, 2, 'and fragments are cut again');

	for (const [to, family] of [
		[beyond.ipv4, 4],
		[beyond.ipv6, 6],
	] as const) {
		const sink = world.beyond.spawn(
			process.execPath,
			[
				'-e',
				"let n = 0; require('net').createServer(s => s.on('data', d => (n += d.length)).on('end', () => { s.end(String(n)); })).listen(5000, () => console.log('ready'))",
			],
			{ stdio: ['ignore', 'pipe', 'inherit'] },
		);
		await new Promise(resolve => sink.stdout!.once('data', resolve));
		await one.exec('ip', ['route', 'flush', 'cache']);
		const answer = await one.exec(
			process.execPath,
			[
				'-e',
				`const s = require('net').connect(5000, '${to}', () => s.end(Buffer.alloc(3e6))); s.on('data', d => process.stdout.write(d))`,
			],
			{ timeout: 20_000 },
		);
		t.is(answer, '3000000', `TCP, IPv${family}`);
		sink.kill('SIGKILL');
		await new Promise(resolve => sink.once('exit', resolve));
	}
	await inside.ip('route delete 198.51.100.0/24', 'route delete 2001:db8:2::/64');
});

test.serial('multicast and broadcast are not routed; a nominated slave hears the LAN', async t => {
	const before = await world.drops('one');
	await one.run('ping', ['-c1', '-W1', '-b', '192.0.2.255']);
	await one.run('ping', ['-c1', '-W1', '224.0.0.1']);
	t.true(((await world.drops('one'))['not-routed'] ?? 0) >= (before['not-routed'] ?? 0) + 2);

	const heard = async (guest: StackGuest): Promise<boolean> => {
		const dump = guest.namespace.spawn('tcpdump', ['-lnni', 'eth0', '-c1', 'udp port 4242'], {
			stdio: ['ignore', 'pipe', 'pipe'],
		});
		await new Promise(resolve => dump.stderr!.once('data', resolve));
		const caught = new Promise<boolean>(resolve => {
			dump.stdout!.once('data', () => resolve(true));
			setTimeout(() => resolve(false), 1500).unref();
		});
		await world.lan.laptop.exec(process.execPath, [
			'-e',
			"const s = require('dgram').createSocket('udp4'); s.bind(() => { s.setBroadcast(true); s.send('hello', 4242, '192.0.2.255', () => s.close()); });",
		]);
		const result = await caught;
		dump.kill('SIGKILL');
		return result;
	};
	t.false(await heard(two));
	t.is(
		(await world.product.json<{ multicastSlave?: string }>('set', 'eth0', '--multicast-slave', 'two'))
			.multicastSlave,
		'two',
	);
	t.true(await heard(two));
	t.false(await heard(one));
	t.is(
		(await world.product.json<{ multicastSlave?: string }>('set', 'eth0', '--no-multicast-slave'))
			.multicastSlave,
		undefined,
	);
	t.false(await heard(two));
});

test.serial('flags in l3: private keeps guests apart', async t => {
	await world.product.json('set', 'eth0', '--flag', 'private');
	t.is((await ping(one, '192.0.2.12')).received, 0);
	t.is((await ping(one, beyond.ipv4)).received, 2);
	await world.product.json('set', 'eth0', '--flag', 'bridge');
	t.is((await ping(one, '192.0.2.12')).received, 2);
});
