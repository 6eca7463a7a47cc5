/**
 * What an evil guest may write into the virtio header. The kernel completes checksums and cuts segments as the
 * header says, after ipvtap has decided: so the far end and the victim here have no offloads, and what counts
 * is what they see then.
 */
import test from 'ava';
import { setVnetHeaderSize } from '../../../src/sys/tap.js';
import { numbers, seed } from '../../helpers/seed.js';
import { books, follow, fromPort, settle, sum } from './accounting.js';
import {
	address,
	arp,
	broadcastMac,
	checksum,
	ethernet,
	icmpEcho,
	icmpv6,
	ipv4,
	ipv6,
	neighbour,
	pseudo,
	tcp,
	udp,
	vnet,
} from './frames.js';
import { far, type Guest, Site } from './site.js';

let site: Site;
let evil: Guest;
let victim: Guest;

test.before(async () => {
	site = await Site.create('vnet');
	evil = await site.guest('evil', 11);
	victim = await site.guest('victim', 12, { offloads: false });
	await site.host.exec('ethtool', ['-K', 'eth0', 'tx', 'off', 'tso', 'off', 'gso', 'off']);
});

test.after.always(() => site?.close());

const needsChecksum = 1;
const tcpv4 = 1;
const tcpv6 = 4;
const uso = 5;
const ecn = 0x80;

type Fields = Parameters<typeof vnet>[0];
type Fate = 'refused' | 'wire' | 'victim' | 'bad';
type Case = [name: string, frame: Buffer, vnet: Fields, ...fates: Fate[]];

const from4 = (destination: string): { source: string; destination: string } => ({
	source: evil.ipv4,
	destination,
});
const from6 = (destination: string): { source: string; destination: string } => ({
	source: evil.ipv6,
	destination,
});
const tcp4 = (data = 0, destination: string = far.ipv4): Buffer =>
	ethernet(
		far.mac,
		evil.mac,
		0x0800,
		ipv4({ ...from4(destination), protocol: 6 }, tcp(1, 2, Buffer.alloc(data, 7), [evil.ipv4, destination])),
	);
const tcp6 = (data = 0, destination: string = far.ipv6): Buffer =>
	ethernet(
		far.mac,
		evil.mac,
		0x86dd,
		ipv6({ ...from6(destination), next: 6 }, tcp(1, 2, Buffer.alloc(data, 7), [evil.ipv6, destination])),
	);
const udp4 = (data = 8): Buffer =>
	ethernet(far.mac, evil.mac, 0x0800, ipv4(from4(far.ipv4), udp(1, 2, Buffer.alloc(data, 7))));
const udp6 = (data = 8, destination: string = far.ipv6): Buffer =>
	ethernet(far.mac, evil.mac, 0x86dd, ipv6(from6(destination), udp(1, 2, Buffer.alloc(data, 7))));
/** Answers of a DHCP server behind an IP length that ends before them; segments get lengths that show them. */
const hidden4 = (): Buffer => {
	const answer = udp(67, 68, Buffer.alloc(4000, 7));
	return saying(20, 16, ethernet(far.mac, evil.mac, 0x0800, ipv4(from4(far.ipv4), answer)));
};
const hidden6 = (): Buffer => {
	const answer = udp(547, 546, Buffer.alloc(4000, 7));
	return saying(4, 18, ethernet(far.mac, evil.mac, 0x86dd, ipv6(from6(far.ipv6), answer)));
};
const saying = (length: number, at: number, frame: Buffer): Buffer => {
	frame.writeUInt16BE(length, at);
	return frame;
};
const arpFrame = (): Buffer =>
	Buffer.concat([
		ethernet(
			broadcastMac,
			evil.mac,
			0x0806,
			arp({ operation: 1, senderMac: evil.mac, sender: evil.ipv4, target: far.ipv4 }),
		),
		Buffer.alloc(18),
	]);
const advertisement = (): Buffer =>
	ethernet(
		far.mac,
		evil.mac,
		0x86dd,
		ipv6(
			{ ...from6(far.ipv6), next: 58, hopLimit: 255 },
			icmpv6([evil.ipv6, far.ipv6], 136, 0, neighbour(0x60000000, evil.ipv6, { type: 2, mac: evil.mac })),
		),
	);
const gso4 = {
	flags: needsChecksum,
	gsoType: tcpv4,
	headerLength: 54,
	gsoSize: 1448,
	csumStart: 34,
	csumOffset: 16,
};
const gso6 = {
	flags: needsChecksum,
	gsoType: tcpv6,
	headerLength: 74,
	gsoSize: 1428,
	csumStart: 54,
	csumOffset: 16,
};
const gsoUdp4 = {
	flags: needsChecksum,
	gsoType: uso,
	headerLength: 42,
	gsoSize: 1000,
	csumStart: 34,
	csumOffset: 6,
};
const gsoUdp6 = { ...gsoUdp4, headerLength: 62, csumStart: 54 };

const groups: Record<string, () => Case[]> = {
	checksums: () => [
		['a partial TCP checksum', tcp4(), { flags: needsChecksum, csumStart: 34, csumOffset: 16 }, 'wire'],
		[
			'a partial TCP checksum in IPv6',
			tcp6(),
			{ flags: needsChecksum, csumStart: 54, csumOffset: 16 },
			'wire',
		],
		['a partial UDP checksum', udp4(), { flags: needsChecksum, csumStart: 34, csumOffset: 6 }, 'wire'],
		['a checksum known to be right', udp4(), { flags: 2 }, 'wire'],
		['unknown flags', udp4(), { flags: 0xf8 }, 'wire'],
		[
			'a start in the Ethernet header',
			tcp4(),
			{ flags: needsChecksum, csumStart: 0, csumOffset: 16 },
			'refused',
			'bad',
		],
		[
			'a start in the IPv4 header',
			tcp4(),
			{ flags: needsChecksum, csumStart: 26, csumOffset: 0 },
			'refused',
			'bad',
		],
		[
			'a field in the IPv4 source',
			tcp4(),
			{ flags: needsChecksum, csumStart: 14, csumOffset: 12 },
			'refused',
			'bad',
		],
		...[34, 36].map(
			(at): Case => [
				`a field at ${at}, in the IPv6 source`,
				udp6(),
				{ flags: needsChecksum, csumStart: 34, csumOffset: at - 34 },
				'refused',
				'bad',
			],
		),
		...[38, 50, 52].map(
			(at): Case => [
				`a field at ${at}, in the IPv6 destination`,
				udp6(),
				{ flags: needsChecksum, csumStart: 34, csumOffset: at - 34 },
				'refused',
				'bad',
			],
		),
		[
			'a field in the IPv6 source, to the victim',
			udp6(8, '2001:db8:1::12'),
			{ flags: needsChecksum, csumStart: 34, csumOffset: 0 },
			'refused',
			'bad',
		],
		['a start at the end', tcp4(), { flags: needsChecksum, csumStart: 54, csumOffset: 0 }, 'refused', 'bad'],
		[
			'a start past the end',
			tcp4(),
			{ flags: needsChecksum, csumStart: 4000, csumOffset: 16 },
			'refused',
			'bad',
		],
		[
			'a field over the end',
			tcp4(),
			{ flags: needsChecksum, csumStart: 34, csumOffset: 19 },
			'refused',
			'bad',
		],
		[
			'a field past the end',
			tcp4(),
			{ flags: needsChecksum, csumStart: 34, csumOffset: 65535 },
			'refused',
			'bad',
		],
		['an odd offset', tcp4(), { flags: needsChecksum, csumStart: 34, csumOffset: 5 }, 'bad'],
		[
			'ICMP',
			ethernet(far.mac, evil.mac, 0x0800, ipv4({ ...from4(far.ipv4), protocol: 1 }, icmpEcho())),
			{ flags: needsChecksum, csumStart: 34, csumOffset: 2 },
			'bad',
			'wire',
		],
		['ARP', arpFrame(), { flags: needsChecksum, csumStart: 34, csumOffset: 4 }, 'bad'],
		[
			'neighbour discovery, in its target',
			advertisement(),
			{ flags: needsChecksum, csumStart: 54, csumOffset: 16 },
			'bad',
		],
		[
			'neighbour discovery, in its option',
			advertisement(),
			{ flags: needsChecksum, csumStart: 54, csumOffset: 28 },
			'bad',
		],
		[
			'neighbour discovery, by another start',
			advertisement(),
			{ flags: needsChecksum, csumStart: 62, csumOffset: 6 },
			'bad',
		],
	],
	segmentation: () => [
		['a long frame', tcp4(8000), gso4, 'wire'],
		['a long frame in IPv6', tcp6(8000), gso6, 'wire'],
		['64 KB', tcp4(65495), gso4, 'wire'],
		['a long frame to the victim', tcp4(8000, '192.0.2.12'), gso4, 'victim'],
		['congestion marks', tcp4(8000), { ...gso4, gsoType: tcpv4 | ecn }, 'wire'],
		['size 0', tcp4(8000), { ...gso4, gsoSize: 0 }, 'refused', 'bad'],
		['size 1', tcp4(8000), { ...gso4, gsoSize: 1 }, 'refused', 'bad'],
		['size 7', tcp4(8000), { ...gso4, gsoSize: 7 }, 'refused', 'bad'],
		['size 65535', tcp4(8000), { ...gso4, gsoSize: 65535 }, 'wire', 'bad', 'refused'],
		['a frame of 60 bytes', tcp4(6), gso4, 'wire', 'bad', 'refused'],
		['congestion marks alone', tcp4(8000), { ...gso4, gsoType: ecn }, 'refused', 'bad'],
		['UDP segments', udp4(4000), gsoUdp4, 'wire', 'refused'],
		['UDP segments that IPv4 leaves out', hidden4(), gsoUdp4, 'refused', 'bad'],
		['UDP segments that IPv6 leaves out', hidden6(), gsoUdp6, 'refused', 'bad'],
		['UDP segments of TCP', tcp4(4000), { ...gso4, gsoType: uso }, 'refused', 'bad'],
		['types that are none', tcp4(8000), { ...gso4, gsoType: 2 }, 'refused', 'bad'],
		['types that are none, high', tcp4(8000), { ...gso4, gsoType: 0x7f }, 'refused', 'bad'],
		['without a checksum to complete', tcp4(8000), { ...gso4, flags: 0 }, 'refused', 'bad'],
		['IPv6 segments of IPv4', tcp4(8000), gso6, 'refused', 'bad'],
		['IPv4 segments of IPv6', tcp6(8000), gso4, 'refused', 'bad'],
		['TCP segments of UDP', udp4(8000), gso4, 'refused', 'bad'],
		['TCP segments of ARP', Buffer.concat([arpFrame(), Buffer.alloc(4000)]), gso4, 'refused', 'bad'],
		['a header longer than the frame', tcp4(8000), { ...gso4, headerLength: 9000 }, 'refused', 'bad'],
		['a header of 0', tcp4(8000), { ...gso4, headerLength: 0 }, 'wire', 'bad', 'refused'],
		['a checksum far inside', tcp4(8000), { ...gso4, csumStart: 4000 }, 'refused', 'bad'],
	],
};

for (const [title, cases] of Object.entries(groups)) {
	test.serial(`hostile virtio headers: ${title}`, async t => {
		const wrong: string[] = [];
		for (const [name, frame, header, ...wanted] of cases()) {
			const outcome = await follow(site, evil, victim, frame, vnet(header));
			const { write, wire, victim: atVictim, drops } = outcome;
			const reasons = Object.keys(drops);
			const seen =
				write !== 'sent'
					? 'refused'
					: wire.length > 0
						? 'wire'
						: atVictim.length > 0
							? 'victim'
							: reasons.join() === 'bad-vnet-header'
								? 'bad'
								: `nowhere (${reasons.join() || 'no reason'})`;
			if (!wanted.includes(seen as Fate)) wrong.push(`${name}: ${seen} instead of ${wanted.join(' or ')}`);
			for (const received of [...wire, ...atVictim]) {
				const complaint = complaintOf(received.frame);
				if (complaint !== undefined) wrong.push(`${name}: ${complaint}`);
			}
		}
		t.deepEqual(wrong, []);
	});
}

test.serial('hostile virtio headers: 20,000 random ones', async t => {
	t.log(`TEST_SEED=${seed}`);
	const draw = numbers(seed);
	const random = () => draw(1 << 24);
	const frames = [
		tcp4(),
		tcp4(3000),
		tcp6(),
		tcp6(3000),
		udp4(),
		udp6(),
		arpFrame(),
		advertisement(),
		tcp4(100, victim.ipv4),
		udp6(8, victim.ipv6),
	];
	const writes: Record<string, number> = {};
	const forged: string[] = [];
	let [atWire, atVictim] = [0, 0];
	const before = await books(site, evil);
	for (let count = 0; count < 20_000; count++) {
		const frame = frames[random() % frames.length]!;
		const header = randomHeader(random, frame.length);
		const write = evil.end.trySend(frame, header);
		writes[write] = (writes[write] ?? 0) + 1;
		if (count % 100 !== 99) continue;
		const { wire, victim: arrived } = settle(site, evil, victim);
		atWire += wire.filter(fromPort).length;
		atVictim += arrived.length;
		for (const received of [...wire.filter(fromPort), ...arrived]) {
			const complaint = sourceComplaint(received.frame);
			if (complaint !== undefined)
				forged.push(`${complaint}: ${received.frame.subarray(0, 80).toString('hex')}`);
		}
	}
	const after = await books(site, evil);
	t.log(writes, { atWire, atVictim }, after.stats.drops);
	t.deepEqual(forged.slice(0, 5), []);
	t.is(
		after.written - before.written,
		after.stats.tx.packets - before.stats.tx.packets,
		'ipvtap has seen every frame that the TAP took',
	);
	t.true(sum(after.stats.drops) - sum(before.stats.drops) < writes.sent!);
	const { pid } = await site.product.info();
	t.true(pid > 0, 'the daemon is alive');
});

test.serial('hostile virtio headers: 12 bytes of them, with a count of buffers', async t => {
	setVnetHeaderSize(evil.end.fd, 12);
	evil.end.send(udp4(), Buffer.concat([vnet({}), Buffer.from([0xff, 0xff])]));
	site.far.receiveUntil(({ frame }) => frame.subarray(26).equals(udp4().subarray(26)));
	setVnetHeaderSize(evil.end.fd, 10);
	t.pass();
});

/** A source that isn't the guest's own, or a checksum that isn't right. */
function complaintOf(frame: Buffer): string | undefined {
	return sourceComplaint(frame) ?? checksumComplaint(frame);
}

function sourceComplaint(frame: Buffer): string | undefined {
	const type = frame.readUInt16BE(12);
	if (type === 0x0800 && !frame.subarray(26, 30).equals(address(evil.ipv4))) return 'a forged IPv4 source';
	if (type === 0x86dd && !frame.subarray(22, 38).equals(address(evil.ipv6))) return 'a forged IPv6 source';
	if (
		type === 0x86dd &&
		frame[20] === 58 &&
		frame[54] === 136 &&
		!frame.subarray(62, 78).equals(address(evil.ipv6))
	) {
		return 'a forged advertisement';
	}
	return undefined;
}

function checksumComplaint(frame: Buffer): string | undefined {
	const type = frame.readUInt16BE(12);
	if (type === 0x0800 && frame[23] === 6) {
		const end = 14 + frame.readUInt16BE(16);
		const segment = frame.subarray(34, end);
		return checksum(
			pseudo([evil.ipv4, far.ipv4], 6, segment.length).fill(frame.subarray(26, 34), 0, 8),
			segment,
		) === 0
			? undefined
			: 'a wrong TCP checksum';
	}
	return undefined;
}

/** Mostly near what is sane, since what is far from it is refused by the kernel. */
function randomHeader(random: () => number, length: number): Buffer {
	if (random() % 4 === 0) {
		const bytes = Buffer.from(Array.from({ length: 10 }, () => random() & 255));
		// UDP fragmentation offload has a test of its own (ring-wedge.test.ts).
		if ((bytes[1]! & 0x7f) === 3) bytes[1] = 0;
		return bytes;
	}
	const near = (value: number): number =>
		random() % 3 === 0 ? random() & 0xffff : Math.max(0, value + (random() % 9) - 4);
	return vnet({
		flags: random() % 4,
		gsoType: [0, 0, 0, 1, 2, 4, 5, 0x81][random() % 8]!,
		headerLength: near(54),
		gsoSize: near([0, 8, 1448][random() % 3]!),
		csumStart: near([34, 54, length][random() % 3]!),
		csumOffset: near([2, 6, 16, length - 36][random() % 4]!),
	});
}
