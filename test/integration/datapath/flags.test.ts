/** bridge, private, vepa: who reaches whom, unicast and multicast, over real TAPs; `vepa` with a reflective relay. */
import test from 'ava';
import type { Received } from '../../helpers/tap-guest.js';
import { fromPort } from './accounting.js';
import { arp, broadcastMac, ethernet, icmpv6, ipv4, ipv6, neighbour, udp } from './frames.js';
import { far, type Guest, host, Site } from './site.js';

let site: Site;
let one: Guest;
let two: Guest;

test.before(async () => {
	site = await Site.create('flags');
	one = await site.guest('one', 11);
	two = await site.guest('two', 12);
});

test.after.always(() => site?.close());

const mdns = { mac: '01:00:5e:00:00:fb', ipv4: '224.0.0.251' };
const frames = (): Record<string, Buffer> => ({
	unicast: ethernet(
		two.mac,
		one.mac,
		0x0800,
		ipv4({ source: one.ipv4, destination: two.ipv4 }, udp(1, 2, Buffer.from('unicast'))),
	),
	unicast6: ethernet(
		two.mac,
		one.mac,
		0x86dd,
		ipv6({ source: one.ipv6, destination: two.ipv6 }, udp(1, 2, Buffer.from('unicast6'))),
	),
	arp: ethernet(
		broadcastMac,
		one.mac,
		0x0806,
		arp({ operation: 1, senderMac: one.mac, sender: one.ipv4, target: two.ipv4 }),
	),
	solicitation: ethernet(
		'33:33:ff:00:00:12',
		one.mac,
		0x86dd,
		ipv6(
			{ source: one.ipv6, destination: 'ff02::1:ff00:12', next: 58, hopLimit: 255 },
			icmpv6([one.ipv6, 'ff02::1:ff00:12'], 135, 0, neighbour(0, two.ipv6, { type: 1, mac: one.mac })),
		),
	),
	broadcast: ethernet(
		broadcastMac,
		one.mac,
		0x0800,
		ipv4({ source: one.ipv4, destination: '255.255.255.255' }, udp(1, 2, Buffer.from('broadcast'))),
	),
	multicast: ethernet(
		mdns.mac,
		one.mac,
		0x0800,
		ipv4({ source: one.ipv4, destination: mdns.ipv4 }, udp(1, 2, Buffer.from('multicast'))),
	),
	multicast6: ethernet(
		'33:33:00:00:00:fb',
		one.mac,
		0x86dd,
		ipv6({ source: one.ipv6, destination: 'ff02::fb' }, udp(1, 2, Buffer.from('multicast6'))),
	),
});

/** Sends each kind and tells where it arrived. Markers to the wire pass in every flag; one from there ends the other's wait. */
async function where(): Promise<Record<string, string>> {
	const places: Record<string, string> = {};
	for (const [kind, frame] of Object.entries(frames())) {
		one.end.send(frame);
		// Behind the slow path's frame on the wire comes a broadcast, behind the fast path's a unicast one.
		const slow = site.arrivals(one, site.far, site.everybody);
		const fast = site.arrivals(one, site.far, far);
		const back = ethernet(
			host.mac,
			far.mac,
			0x0800,
			ipv4({ source: far.ipv4, destination: two.ipv4 }, udp(9, 9, Buffer.from(`back ${kind}`))),
		);
		site.far.send(back);
		const atTwo = two.end
			.receiveUntil(({ frame: arrived }) => arrived.subarray(14).equals(back.subarray(14)))
			.slice(0, -1);
		const counts = { wire: count([...slow, ...fast].filter(fromPort)), two: count(atTwo) };
		places[kind] = Object.entries(counts)
			.flatMap(([place, number]) => (number > 0 ? [`${place}${number > 1 ? ` ×${number}` : ''}`] : []))
			.join(' ');
	}
	return places;
}

/** Without the broadcast markers, which arrive at the second guest too. */
function count(received: readonly Received[]): number {
	return received.filter(({ frame }) => !frame.subarray(42).toString('latin1').startsWith('marker')).length;
}

test.serial('bridge: slaves reach each other at once, and the wire sees only what is for it', async t => {
	t.deepEqual(await where(), {
		unicast: 'two',
		unicast6: 'two',
		arp: 'two',
		solicitation: 'two',
		broadcast: 'wire two',
		multicast: 'wire two',
		multicast6: 'wire two',
	});
});

test.serial('private: no slave reaches another, multicast included', async t => {
	await site.product.json('set', 'eth0', '--flag', 'private');
	t.deepEqual(await where(), {
		unicast: '',
		unicast6: '',
		arp: '',
		solicitation: '',
		broadcast: 'wire',
		multicast: 'wire',
		multicast6: 'wire',
	});
	t.is((await site.stats('one')).drops.private, 4);
});

test.serial('vepa: all goes to the wire', async t => {
	await site.product.json('set', 'eth0', '--flag', 'vepa');
	t.deepEqual(await where(), {
		unicast: 'wire',
		unicast6: 'wire',
		arp: 'wire',
		solicitation: 'wire',
		broadcast: 'wire',
		multicast: 'wire',
		multicast6: 'wire',
	});
});

test.serial('vepa: a hairpin bridge port brings it back, and slaves talk through it', async t => {
	const relayed = await Site.create('vepa', { up: ['--flag', 'vepa'] });
	t.teardown(() => relayed.close());
	// The relay is a bridge whose port to the master reflects.
	await relayed.wire.ip(
		'link add br0 type bridge forward_delay 0 mcast_snooping 0',
		'link set far master br0',
		'link set br0 up',
	);
	await relayed.wire.exec('bridge', ['link', 'set', 'dev', 'far', 'hairpin', 'on']);
	const first = await relayed.stack('first', 11);
	const second = await relayed.stack('second', 12);
	for (const [from, to] of [
		[first, '192.0.2.12'],
		[second, '2001:db8:1::11'],
		[second, '192.0.2.11'],
		[first, '2001:db8:1::12'],
	] as const) {
		t.regex(await from.exec('ping', ['-c2', '-W3', '-i0.2', to]), / 0% packet loss/, to);
	}
	// A broadcast reaches the other once, and never comes back to its sender.
	const listen = await second.namespace.run('true');
	t.is(listen.rc, 0);
	const dump = second.namespace.spawn('tcpdump', ['-lnni', 'eth0', '-c1', 'udp port 4242'], {
		stdio: ['ignore', 'pipe', 'pipe'],
	});
	await new Promise(resolve => dump.stderr?.once('data', resolve));
	const heard = new Promise<string>(resolve => dump.stdout?.once('data', chunk => resolve(String(chunk))));
	await first.exec('bash', ['-c', 'echo hello > /dev/udp/255.255.255.255/4242 || true']);
	await first.exec(process.execPath, [
		'-e',
		`const s = require('dgram').createSocket('udp4'); s.bind(() => { s.setBroadcast(true); s.send('hello', 4242, '192.0.2.255', () => s.close()); });`,
	]);
	t.regex(await heard, /192\.0\.2\.11.*4242/);
});
