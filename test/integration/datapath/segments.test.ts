/** Segmentation offload: long frames cross whole where the receiver takes them, and in pieces where it doesn't. */
import test from 'ava';
import { until } from '../../../src/lab/wait.js';
import type { Received } from '../../helpers/tap-guest.js';
import { broadcastMac, checksum, ethernet, ipv4, ipv6, pseudo, tagged, tcp, udp, vnet } from './frames.js';
import { far, type Guest, host, Site } from './site.js';

let site: Site;
let sender: Guest;
let able: Guest;
let plain: Guest;

test.before(async () => {
	site = await Site.create('gso');
	sender = await site.guest('sender', 11);
	able = await site.guest('able', 12);
	plain = await site.guest('plain', 13, { offloads: false });
});

test.after.always(() => site?.close());

const data = Buffer.from(Array.from({ length: 65_000 }, (_, index) => (index * 7 + (index >> 8)) & 255));
const gso4 = vnet({ flags: 1, gsoType: 1, headerLength: 54, gsoSize: 1448, csumStart: 34, csumOffset: 16 });
const gso6 = vnet({ flags: 1, gsoType: 4, headerLength: 74, gsoSize: 1428, csumStart: 54, csumOffset: 16 });

function long(to: { mac: string; ipv4: string; ipv6: string }, family: 4 | 6): Buffer {
	if (family === 4) {
		return ethernet(
			to.mac,
			sender.mac,
			0x0800,
			ipv4(
				{ source: sender.ipv4, destination: to.ipv4, protocol: 6 },
				tcp(1, 2, data, [sender.ipv4, to.ipv4]),
			),
		);
	}
	return ethernet(
		to.mac,
		sender.mac,
		0x86dd,
		ipv6({ source: sender.ipv6, destination: to.ipv6, next: 6 }, tcp(1, 2, data, [sender.ipv6, to.ipv6])),
	);
}

for (const family of [4, 6] as const) {
	const header = family === 4 ? 54 : 74;
	const sendLong = (to: { mac: string; ipv4: string; ipv6: string }): void =>
		sender.end.send(long(to, family), family === 4 ? gso4 : gso6);

	test.serial(`IPv${family}: 64 KB cross whole to a guest that takes them`, t => {
		sendLong(able);
		const [received, ...more] = site.arrivals(sender, able.end, able);
		t.is(more.length, 0);
		t.is(received!.frame.length, header + data.length);
		t.true(received!.frame.subarray(header).equals(data));
		t.is(received!.vnet[1], family === 4 ? 1 : 4, 'gso_type');
		t.is(received!.vnet.readUInt16LE(4), family === 4 ? 1448 : 1428, 'gso_size');
	});

	test.serial(`IPv${family}: and in pieces with whole checksums to one that doesn't`, t => {
		sendLong(plain);
		const pieces = site.arrivals(sender, plain.end, plain);
		const size = family === 4 ? 1448 : 1428;
		t.is(pieces.length, Math.ceil(data.length / size));
		t.true(pieces.every(({ frame, vnet: own }) => frame.length <= 1514 && own.equals(Buffer.alloc(10))));
		t.true(Buffer.concat(pieces.map(({ frame }) => frame.subarray(header))).equals(data));
		for (const { frame } of pieces) {
			const segment = frame.subarray(header - 20);
			const [from, to] = family === 4 ? [sender.ipv4, plain.ipv4] : [sender.ipv6, plain.ipv6];
			t.is(checksum(pseudo([from, to], 6, segment.length), segment), 0);
		}
	});

	test.serial(`IPv${family}: whole to the wire and from it, where the master can`, t => {
		sendLong(far);
		const [out] = site.arrivals(sender, site.far, far).filter(({ frame }) => frame.length > 1514);
		t.is(out!.frame.length, header + data.length);
		const back = long(able, family);
		back.set(Buffer.from(host.mac.replaceAll(':', ''), 'hex'), 0);
		back.set(Buffer.from(far.mac.replaceAll(':', ''), 'hex'), 6);
		// From somebody on the wire: another source, for which the pseudo-header's sum isn't right, but nobody checks it here.
		back[family === 4 ? 29 : 37] = 3;
		site.far.send(back, family === 4 ? gso4 : gso6);
		const [received] = able.end.receiveUntil(({ frame }) => frame.length > 1514).slice(-1);
		t.true(received!.frame.subarray(header).equals(data));
	});
}

test.serial(
	'a hundred long frames at once: more than fit the lane of one batch, all whole and in order',
	t => {
		for (let count = 0; count < 100; count++) {
			const frame = long(able, 4);
			frame.writeUInt32BE(count, 38);
			sender.end.send(frame, gso4);
		}
		const received = site.arrivals(sender, able.end, able);
		t.deepEqual(
			received.map(({ frame }) => frame.readUInt32BE(38)),
			[...Array(100).keys()],
		);
		t.true(received.every(({ frame }) => frame.subarray(54).equals(data)));
	},
);

test.serial("long and short frames of two senders keep their order, and never each other's bytes", t => {
	const short = (from: Guest, count: number): Buffer =>
		ethernet(
			able.mac,
			from.mac,
			0x0800,
			ipv4({ source: from.ipv4, destination: able.ipv4 }, udp(count, 2, Buffer.from('short'))),
		);
	for (let count = 0; count < 200; count++) {
		const frame = long(able, 4);
		frame.writeUInt32BE(count, 38);
		if (count % 3 === 0) sender.end.send(frame, gso4);
		else sender.end.send(short(sender, count));
		plain.end.send(short(plain, count));
	}
	const received = [...site.arrivals(sender, able.end, able), ...site.arrivals(plain, able.end, able)];
	const ofSender = received.filter(({ frame }) => frame[29] === 11);
	t.deepEqual(
		ofSender.map(({ frame }) => (frame[23] === 6 ? frame.readUInt32BE(38) : frame.readUInt16BE(34))),
		[...Array(200).keys()],
	);
	t.true(
		ofSender.filter(({ frame }) => frame[23] === 6).every(({ frame }) => frame.subarray(54).equals(data)),
	);
	t.deepEqual(
		received.filter(({ frame }) => frame[29] === 13).map(({ frame }) => frame.readUInt16BE(34)),
		[...Array(200).keys()],
	);
});

test.serial('the master goes down and up: long frames are still the right ones', async t => {
	// What the kernel redirects to a master that is down ends in the kernel, and ipvtap has no counter there.
	await site.product.json('set', 'eth0', '--offload', 'none');
	await site.host.ip('link set eth0 down');
	sender.end.send(long(far, 4), gso4);
	await until(
		'the frame to be dropped',
		20_000,
		async () => (await site.stats('sender')).drops['receiver-down'] === 1,
	);
	await site.host.ip('link set eth0 up');
	await until('the wire to be up', 20_000, async () =>
		/ UP /.test(await site.wire.exec('ip', ['-br', 'link', 'show', 'dev', 'far'])),
	);
	for (let count = 0; count < 5; count++) {
		const back = ethernet(
			host.mac,
			far.mac,
			0x0800,
			ipv4(
				{ source: far.ipv4, destination: able.ipv4, protocol: 6 },
				tcp(count, 2, data.subarray(0, 30_000 + count), [far.ipv4, able.ipv4]),
			),
		);
		site.far.send(back, gso4);
		const received = able.end.receiveUntil(({ frame }) => frame.length > 1514).at(-1)!;
		t.is(received.frame.length, 54 + 30_000 + count);
		t.is(received.frame.readUInt16BE(34), count);
	}
	await site.product.json('set', 'eth0', '--offload', 'auto');
});

/** What is left for the host's stack, and whether it still has its tag. */
const stackCounters = `
table netdev stack {
	chain c {
		type filter hook ingress device eth0 priority 0;
		ip daddr ${host.ipv4} udp dport 2 counter
		ip daddr 255.255.255.255 udp dport 2 counter
		ip daddr 192.0.2.12 udp dport 2 counter
		vlan pcp 5 counter
	}
}
`;

for (const offload of ['none', 'auto']) {
	test.serial(`a priority tag keeps nobody from what is for him, offload ${offload}`, async t => {
		await site.product.json('set', 'eth0', '--offload', offload);
		const to = (mac: string, address: string): Buffer =>
			tagged(
				ethernet(
					mac,
					far.mac,
					0x0800,
					ipv4({ source: far.ipv4, destination: address }, udp(1, 2, Buffer.from('urgent'))),
				),
				0xa000,
			);
		await site.host.exec('nft', ['-f', '-'], { input: stackCounters });
		site.far.send(to(host.mac, able.ipv4));
		site.far.send(to(broadcastMac, '255.255.255.255'));
		const urgent = ({ frame }: Received): boolean => frame.subarray(42, 48).toString() === 'urgent';
		for (const destination of [able.ipv4, '255.255.255.255']) {
			const { frame } = able.end.receiveUntil(urgent).at(-1)!;
			t.is(frame.readUInt16BE(12), 0x0800, 'without the tag');
			t.is([...frame.subarray(30, 34)].join('.'), destination);
		}
		site.far.send(to(host.mac, host.ipv4));
		const counted = async (): Promise<string> => {
			const list = await site.host.exec('nft', ['list', 'table', 'netdev', 'stack']);
			return Array.from(list.matchAll(/counter packets (\d+)/g), ([, count]) => count).join();
		};
		await until('the host to have its own', 10_000, async () => (await counted()) === '1,1,0,2');
		await site.host.exec('nft', ['delete', 'table', 'netdev', 'stack']);
	});
}

test.serial('tagged frames on the master are for the host, untouched, and never for guests', async t => {
	await site.host.exec('nft', ['-f', '-'], {
		input:
			'table netdev vlans { chain c { type filter hook ingress device eth0 priority 0; vlan id 5 counter; }; }',
	});
	const inner = ethernet(
		host.mac,
		far.mac,
		0x0800,
		ipv4({ source: far.ipv4, destination: able.ipv4 }, udp(1, 2, Buffer.from('tagged'))),
	);
	for (let count = 0; count < 3; count++) site.far.send(tagged(inner, 5));
	const after = ethernet(
		host.mac,
		far.mac,
		0x0800,
		ipv4({ source: far.ipv4, destination: able.ipv4 }, udp(9, 9, Buffer.from('after'))),
	);
	site.far.send(after);
	const arrived = able.end.receiveUntil(({ frame }) => frame.subarray(42).toString() === 'after');
	t.is(arrived.length, 1, 'guests got the untagged frame alone');
	t.regex(await site.host.exec('nft', ['list', 'table', 'netdev', 'vlans']), /vlan id 5 counter packets 3 /);
	await site.host.exec('nft', ['delete', 'table', 'netdev', 'vlans']);
});
