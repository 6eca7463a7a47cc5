/** What a slave may use of its port: real stacks at the limit of their bandwidth, and guests that want too much. */
import { spawn } from 'node:child_process';
import test from 'ava';
import type { Slave } from '../../../src/control/model.js';
import { DHCP_PRICE } from '../../../src/datapath/limits.js';
import { toolsEnv } from '../../../src/lab/command.js';
import type { StackGuest } from '../../../src/lab/stack-guest.js';
import { until } from '../../../src/lab/wait.js';
import { openGuest, type Received } from '../../helpers/tap-guest.js';
import { books, difference, sum } from './accounting.js';
import { arp, broadcastMac, ethernet, ipv4, udp } from './frames.js';
import { dhcp } from './hostile-speech.js';
import { far, type Guest, Site } from './site.js';

let site: Site;
let limited: StackGuest;
let other: StackGuest;
let greedy: Guest;
let neighbour: Guest;

test.before(async () => {
	site = await Site.create('limits');
	limited = await site.stack('limited', 11, { attach: ['--limit', 'tx=50mbit'] });
	other = await site.stack('other', 12);
	greedy = await site.guest('greedy', 13);
	neighbour = await site.guest('neighbour', 14);
});

test.after.always(() => site?.close());

test.serial('TCP from a guest keeps to tx, up to what it may have', async t => {
	const megabits = await transfer(limited, '192.0.2.12', 4);
	t.log(`${megabits.toFixed(1)} Mbit/s of 50`);
	t.true(megabits > 40 && megabits < 60);
	t.true(((await site.stats('limited')).drops['limit-tx'] ?? 0) > 0);
	t.is((await site.stats('other')).drops['limit-tx'], undefined);
});

test.serial('what others send to it is not limited by tx, and a change holds at once', async t => {
	const free = await transfer(other, '192.0.2.11', 1);
	t.true(free > 150, `${free} Mbit/s the other way`);
	await set('limited', 'tx=10mbit');
	const slow = await transfer(limited, '192.0.2.12', 3);
	await set('limited', 'tx=none');
	const fast = await transfer(limited, '192.0.2.12', 1);
	t.log(`the other way ${free.toFixed(0)}, at 10mbit ${slow.toFixed(1)}, without ${fast.toFixed(0)} Mbit/s`);
	t.true(slow > 8 && slow < 13);
	t.true(fast > 150);
});

test.serial('a limit is lifted in the middle of a transfer', async t => {
	await set('limited', 'tx=20mbit');
	let changed: Promise<unknown> | undefined;
	const rates: number[] = [];
	await transfer(limited, '192.0.2.12', 10, megabits => {
		rates.push(megabits);
		if (rates.length === 2) changed = set('limited', 'tx=none');
	});
	await changed;
	t.log(`Mbit/s, second by second: ${rates.map(rate => rate.toFixed(0)).join(' ')}`);
	t.true(rates[1]! < 32, `${rates[1]} Mbit/s before`);
	t.true(Math.max(...rates.slice(2)) > 40, `${Math.max(...rates.slice(2))} Mbit/s after`);
});

test.serial('TCP to a guest keeps to rx', async t => {
	await set('limited', 'rx=50mbit');
	const megabits = await transfer(other, '192.0.2.11', 4);
	const mine = await site.stats('limited');
	const theirs = await site.stats('other');
	await set('limited', 'rx=none');
	t.log(`${megabits.toFixed(1)} Mbit/s of 50`);
	t.true(megabits > 40 && megabits < 60);
	t.true(mine.drops['limit-rx']! > 0);
	t.is(mine.drops['limit-rx'], theirs.drops['limit-rx'], 'seen from both ends');
});

/** Of the frames below: Ethernet, IPv4, UDP, and 1000 bytes. */
const LENGTH = 1042;

test.serial('rx counts what both threads deliver, and each frame is accounted for', async t => {
	await set('neighbour', 'rx=8mbit/64k');
	const before = { sender: await books(site, greedy), receiver: await site.stats('neighbour') };
	neighbour.end.drain();
	let packets = 0;
	const payload = udp(1, 2, Buffer.alloc(1000));
	const frames = [
		ethernet(
			neighbour.mac,
			greedy.mac,
			0x0800,
			ipv4({ source: greedy.ipv4, destination: neighbour.ipv4 }, payload),
		),
		ethernet(
			broadcastMac,
			greedy.mac,
			0x0800,
			ipv4({ source: greedy.ipv4, destination: '255.255.255.255' }, payload),
		),
	];
	const started = performance.now();
	for (let count = 0; count < 1000; count++) {
		greedy.end.send(frames[count % 2]!);
		if (count % 50 === 49) {
			await books(site, greedy);
			// Linux stacks beside us speak now and then.
			packets += neighbour.end.drain().filter(({ frame }) => frame.length === LENGTH).length;
			site.far.drain();
		}
	}
	const after = { sender: await books(site, greedy), receiver: await site.stats('neighbour') };
	const seconds = (performance.now() - started) / 1000;
	await set('neighbour', 'rx=none');
	const got = after.receiver.rx.bytes - before.receiver.rx.bytes;
	const refused = (after.receiver.drops['limit-rx'] ?? 0) - (before.receiver.drops['limit-rx'] ?? 0);
	const drops = difference(after.sender.stats.drops, before.sender.stats.drops);
	t.log(`${got} bytes in ${seconds.toFixed(2)} s; refused ${refused}, of them unicast ${drops['limit-rx']}`);
	// A frame beyond the burst, and what the threads did not yet know of each other.
	t.true(got <= 65_536 + seconds * 1e6 + 64 * LENGTH);
	t.true(got >= 65_536);
	// Of what the stacks beside us say, some is refused too.
	t.true(packets + refused >= 1000 && packets + refused < 1010, `${packets} + ${refused}`);
	t.true(drops['limit-rx']! > 0 && drops['limit-rx']! < refused, 'copies are refused too');
	t.deepEqual(Object.keys(drops), ['limit-rx']);
});

/** What a storm is made of, and what each frame of it takes of `slow`. */
const storms: readonly [what: string, frame: () => Buffer, price: number][] = [
	['broadcasts', () => toAll(greedy.ipv4, udp(1, 2, Buffer.alloc(200))), 1],
	['DHCP discovers', () => toAll('0.0.0.0', udp(68, 67, dhcp(1, greedy.mac))), DHCP_PRICE],
];

for (const [what, frame, price] of storms)
	test.serial(`a storm of ${what} gets no more of the slow path than slow, and nobody else pays`, async t => {
		// A limit that only changes takes over what tokens there are; a new one begins with all.
		await set('greedy', 'slow=none');
		await set('greedy', 'slow=200/300');
		const before = await books(site, greedy);
		const quiet = await site.stats('neighbour');
		const storm = frame();
		site.far.drain();
		neighbour.end.drain();
		const started = performance.now();
		for (let count = 0; count < 3000; count++) greedy.end.send(storm);
		// The neighbour's own broadcasts arrive meanwhile.
		for (let count = 0; count < 20; count++) site.arrivals(neighbour, site.far, site.everybody);
		const after = await books(site, greedy);
		const seconds = (performance.now() - started) / 1000;
		const drops = difference(after.stats.drops, before.stats.drops);
		const passed = 3000 - sum(drops) - (after.ringFull - before.ringFull);
		t.log(`${passed} of 3000 passed in ${seconds.toFixed(2)} s`, drops);
		t.true(passed >= 300 / price);
		t.true(passed <= (300 + seconds * 200) / price + 1);
		t.true(drops['slow-budget']! > 2000);
		t.deepEqual(difference((await site.stats('neighbour')).drops, quiet.drops), {});
		// Unicast is no business of the slow path.
		site.arrivals(greedy, site.far, far);
		await set('greedy', 'slow=default');
	});

test.serial('DHCP passes, however little slow is', async t => {
	await set('greedy', 'slow=1/1');
	const discover = storms[1]![1]();
	const isRequest = ({ frame }: Received): boolean =>
		frame.length >= discover.length && frame.readUInt16BE(36) === 67;
	const before = await site.stats('greedy');
	// As a client does: it says more when it has been answered.
	for (let count = 0; count < 2; count++) {
		greedy.end.send(discover);
		site.far.receiveUntil(isRequest);
	}
	t.deepEqual(difference((await site.stats('greedy')).drops, before.drops), {});
	await set('greedy', 'slow=default');
});

test.serial(
	'a guest that claims one address after the other is stopped, and another may still claim',
	async t => {
		const open = async (name: string) => {
			const slave = await site.product.attach(name, 'eth0', [], '--limit', 'learn=60/8');
			return { name, slave, mac: slave.mac, end: openGuest(site.host, slave.ifname) };
		};
		const [first, second] = [await open('claimant'), await open('modest')];
		const claim = (guest: typeof first, address: string): void => {
			const target = { operation: 1, senderMac: guest.mac, sender: address, target: far.ipv4 };
			guest.end.send(ethernet(broadcastMac, guest.mac, 0x0806, arp(target)));
		};
		const started = performance.now();
		for (let count = 0; count < 100; count++) claim(first, `192.0.2.${100 + count}`);
		claim(second, '192.0.2.99');
		await until('the other to have its address', 20_000, async () => {
			const { addresses } = await site.product.json<Slave>('show', 'modest');
			return addresses.some(({ address }) => address === '192.0.2.99');
		});
		const { stats } = await site.product.json<Slave>('show', 'claimant');
		const seconds = (performance.now() - started) / 1000;
		t.log(stats.drops);
		// What was said from those that have given way while they were asked about is lost.
		t.deepEqual(Object.keys(stats.drops).sort(), ['learn-budget', 'tentative']);
		t.true(100 - stats.drops['learn-budget']! >= 8);
		t.true(100 - stats.drops['learn-budget']! <= 9 + seconds);
		first.end.close();
		second.end.close();
	},
);

function toAll(source: string, payload: Uint8Array): Buffer {
	return ethernet(
		broadcastMac,
		greedy.mac,
		0x0800,
		ipv4({ source, destination: '255.255.255.255' }, payload),
	);
}

function set(name: string, limit: string): Promise<Slave> {
	return site.product.json<Slave>('set', name, '--limit', limit);
}

/** Sends TCP for so many seconds. @param each told the rate of each second. @returns Mbit/s that arrived. */
async function transfer(
	from: StackGuest,
	to: string,
	seconds: number,
	each: (megabits: number) => void = () => undefined,
): Promise<number> {
	const receiver = from === limited ? other : limited;
	const [enter, ...words] = receiver.namespace.prefix;
	const service = spawn(enter!, [...words, 'iperf3', '-s', '-1'], { stdio: 'ignore', env: toolsEnv });
	try {
		const listening = "ss -Hltn 'sport = :5201' | grep -q .";
		await until(
			'iperf3 to listen',
			20_000,
			async () => (await receiver.run('sh', ['-c', listening])).rc === 0,
		);
		const [file, ...args] = [...from.namespace.prefix, 'iperf3', '-c', to, '-t', String(seconds), '-i', '1'];
		const client = spawn(file!, [...args, '--forceflush', '-f', 'm'], { env: toolsEnv });
		let text = '';
		client.stdout.setEncoding('utf8').on('data', (piece: string) => {
			text += piece;
			for (const [, rate] of piece.matchAll(/sec .* ([\d.]+) Mbits\/sec .*[KM]Bytes *$/gm))
				each(Number(rate));
		});
		await new Promise(resolve => client.once('close', resolve));
		return Number(/([\d.]+) Mbits\/sec +receiver/.exec(text)?.[1]);
	} finally {
		service.kill();
	}
}
