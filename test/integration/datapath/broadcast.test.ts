/** Storms, reflections, and multicast in disguise. */
import test from 'ava';
import { books, sum } from './accounting.js';
import { arp, broadcastMac, ethernet, ipv4, ipv6, udp } from './frames.js';
import { far, type Guest, host, Site } from './site.js';

let site: Site;
let storm: Guest;
let one: Guest;
let two: Guest;

test.before(async () => {
	site = await Site.create('bcast');
	storm = await site.guest('storm', 11);
	one = await site.guest('one', 12);
	two = await site.guest('two', 13);
});

test.after.always(() => site?.close());

test.serial(
	'a broadcast storm of one guest: the others go on, and each lost frame is counted against it',
	async t => {
		const before = await books(site, storm);
		const calm = exchange(500);
		const frame = ethernet(
			broadcastMac,
			storm.mac,
			0x0800,
			ipv4({ source: storm.ipv4, destination: '255.255.255.255' }, udp(1, 2, Buffer.alloc(1000))),
		);
		let sent = 0;
		let answered = 0;
		const started = performance.now();
		// As fast as this thread can write, with a round trip of the neighbours in between.
		while (performance.now() - started < 2000) {
			for (let burst = 0; burst < 200; burst++) {
				storm.end.send(frame);
				sent++;
			}
			site.far.drain();
			two.end.drain();
			if (exchange(1) !== undefined) answered++;
		}
		const seconds = (performance.now() - started) / 1000;
		const after = await books(site, storm);
		const drops = Object.fromEntries(
			Object.entries(after.stats.drops).map(([reason, number]) => [
				reason,
				number - (before.stats.drops[reason] ?? 0),
			]),
		);
		t.log(
			`${sent} broadcasts in ${seconds.toFixed(1)} s beside ${answered} round trips of neighbours (${(calm! / 500).toFixed(2)} ms each in calm)`,
			drops,
		);
		t.is(after.stats.tx.packets - before.stats.tx.packets + (after.ringFull - before.ringFull), sent);
		t.true(answered > 0);
		t.true(
			Object.keys(drops).every(
				reason =>
					reason.startsWith('backlog-') || ['slow-budget', 'receiver-full', 'copy-lost'].includes(reason),
			),
			JSON.stringify(drops),
		);
		const victim = await site.stats('one');
		t.deepEqual(
			Object.keys(victim.drops).filter(reason => reason.startsWith('backlog-') || reason === 'slow-budget'),
			[],
			'nothing is counted against the neighbours',
		);
		t.true(sum(drops) >= 0);
	},
);

/** Round trips of the two neighbours. @returns how many milliseconds they took. */
function exchange(count: number): number {
	const started = performance.now();
	for (let trip = 0; trip < count; trip++) {
		site.arrivals(one, two.end, two);
		site.arrivals(two, one.end, one);
	}
	return performance.now() - started;
}

test.serial('a guest that does not read holds nobody up, and what it misses is counted', async t => {
	two.end.drain();
	const before = await site.stats('two');
	const total = 3000;
	const frame = ethernet(
		two.mac,
		one.mac,
		0x0800,
		ipv4({ source: one.ipv4, destination: two.ipv4 }, udp(1, 2, Buffer.alloc(100))),
	);
	for (let count = 0; count < total; count++) {
		one.end.send(frame);
		if (count % 100 === 99) site.arrivals(one, site.far, far);
	}
	const sender = await site.stats('one');
	const got = two.end.drain().length;
	const after = await site.stats('two');
	const missed = (after.drops['receiver-full'] ?? 0) - (before.drops['receiver-full'] ?? 0);
	t.log(`${got} of ${total} frames were read later, ${missed} counted as receiver-full`);
	t.true(got >= 500, 'the kernel keeps what fits its queue');
	t.is(got + missed + (sender.drops['receiver-full'] ?? 0), total);
	t.is(after.rx.packets - before.rx.packets, got);
});

test.serial("our own broadcasts, reflected by the wire, are not delivered again; the host's are", async t => {
	for (const guest of [storm, one, two]) guest.end.drain();
	const before = (await site.stats('eth0')).drops.reflected ?? 0;
	const reflect = (source: string, payload: string): Buffer =>
		ethernet(
			broadcastMac,
			host.mac,
			0x0800,
			ipv4({ source, destination: '255.255.255.255' }, udp(1, 2, Buffer.from(payload))),
		);
	site.far.send(reflect(one.ipv4, 'mine'));
	site.far.send(
		ethernet(
			broadcastMac,
			host.mac,
			0x0806,
			arp({ operation: 1, senderMac: host.mac, sender: one.ipv4, target: two.ipv4 }),
		),
	);
	site.far.send(
		ethernet(
			'33:33:00:00:00:fb',
			host.mac,
			0x86dd,
			ipv6({ source: one.ipv6, destination: 'ff02::fb' }, udp(1, 2, Buffer.from('mine'))),
		),
	);
	site.far.send(reflect(host.ipv4, "the host's"));
	site.far.send(
		ethernet(
			broadcastMac,
			far.mac,
			0x0800,
			ipv4({ source: far.ipv4, destination: '255.255.255.255' }, udp(1, 2, Buffer.from('end'))),
		),
	);
	for (const guest of [one, two]) {
		const arrived = guest.end.receiveUntil(({ frame }) => frame.subarray(42).toString() === 'end');
		t.deepEqual(
			arrived.map(({ frame }) => frame.subarray(42).toString()),
			["the host's", 'end'],
			guest.name,
		);
	}
	t.is(((await site.stats('eth0')).drops.reflected ?? 0) - before, 3);
});

test.serial(
	'multicast behind the MAC of the master, as access points send it, is multicast again',
	async t => {
		for (const guest of [storm, one, two]) guest.end.drain();
		const cases = [
			[
				ethernet(
					host.mac,
					far.mac,
					0x0800,
					ipv4({ source: far.ipv4, destination: '239.129.2.3' }, udp(1, 2, Buffer.from('v4'))),
				),
				'01:00:5e:01:02:03',
			],
			[
				ethernet(
					host.mac,
					far.mac,
					0x0800,
					ipv4({ source: far.ipv4, destination: '255.255.255.255' }, udp(1, 2, Buffer.from('all'))),
				),
				broadcastMac,
			],
			[
				ethernet(
					host.mac,
					far.mac,
					0x86dd,
					ipv6({ source: far.ipv6, destination: 'ff02::1:3' }, udp(1, 2, Buffer.from('v6'))),
				),
				'33:33:00:01:00:03',
			],
		] as const;
		for (const [frame, mac] of cases) {
			site.far.send(frame);
			for (const guest of [one, two]) {
				const received = guest.end
					.receiveUntil(({ frame: arrived }) => arrived.subarray(14).equals(frame.subarray(14)))
					.at(-1)!;
				t.is(received.frame.subarray(0, 6).toString('hex'), mac.replaceAll(':', ''));
			}
		}
	},
);

test.serial(
	"the host keeps its own traffic on the master, and guests' answers to nobody but the asker",
	async t => {
		for (const guest of [storm, one, two]) guest.end.drain();
		// ARP for the host's own address from the wire: the host answers, no guest hears of it.
		site.far.drain();
		site.far.send(
			ethernet(
				broadcastMac,
				far.mac,
				0x0806,
				arp({ operation: 1, senderMac: far.mac, sender: far.ipv4, target: host.ipv4 }),
			),
		);
		const answers = site.far.receiveUntil(({ frame }) => frame.readUInt16BE(12) === 0x0806).at(-1)!;
		t.is(answers.frame.subarray(6, 12).toString('hex'), host.mac.replaceAll(':', ''));
		// ARP for a guest's address: that guest alone gets it, the host says nothing.
		site.far.send(
			ethernet(
				broadcastMac,
				far.mac,
				0x0806,
				arp({ operation: 1, senderMac: far.mac, sender: far.ipv4, target: one.ipv4 }),
			),
		);
		const asked = one.end.receiveUntil(({ frame }) => frame.readUInt16BE(12) === 0x0806);
		t.is(asked.length, 1);
		const from = { mac: far.mac, ipv4: far.ipv4, end: site.far };
		t.is(site.arrivals(from, two.end, { mac: host.mac, ipv4: two.ipv4 }).length, 0);
		t.is(
			site.far.drain().filter(({ frame }) => frame.readUInt16BE(12) === 0x0806).length,
			0,
			'nobody answered in its place',
		);
	},
);
