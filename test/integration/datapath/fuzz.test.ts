/**
 * A hundred thousand frames that nobody thought of: mutations of good ones, and noise, from one guest. The port
 * lives, the neighbours hear nothing forged, and the books balance to the frame:
 *
 *     written to the TAP = seen by ipvtap + unseen (the kernel itself dropped it: a tag cut short)
 *     seen = dropped, by reason + handed on, as counted at the wire and at the neighbour + copies lost at the wire
 */
import test from 'ava';
import { numbers, seed } from '../../helpers/seed.js';
import { books, fromPort, markers, settle, sum } from './accounting.js';
import {
	address,
	arp,
	broadcastMac,
	ethernet,
	extension,
	fragment,
	icmpEcho,
	icmpv6,
	ipv4,
	ipv6,
	neighbour,
	tagged,
	tcp,
	udp,
	vnet,
} from './frames.js';
import { far, type Guest, host, Site } from './site.js';

const total = Number(process.env.IPVTAP_FRAMES ?? 100_000);
const batch = 250;

let site: Site;
let evil: Guest;
let victim: Guest;

test.before(async () => {
	// Without the host there is one place less where frames can go unseen by this test.
	site = await Site.create('fuzz', { up: ['--no-host'] });
	// Its limits would keep most of what it says from being looked at.
	evil = await site.guest('evil', 11, { attach: ['--limit', 'slow=none', '--limit', 'learn=none'] });
	victim = await site.guest('victim', 12, { offloads: false });
	await site.host.exec('ethtool', ['-K', 'eth0', 'tx', 'off', 'tso', 'off', 'gso', 'off']);
});

test.after.always(() => site?.close());

for (const offload of ['none', 'tc-bpf'])
	test.serial(`a hundred thousand mutated frames, offload ${offload}`, async t => {
		await site.product.json('set', 'eth0', '--offload', offload);
		t.log(`TEST_SEED=${seed}`);
		const random = numbers(seed);
		const good = goodFrames();
		const before = await books(site, evil);
		const writes: Record<string, number> = {};
		let handedOn = 0;
		const wrong: string[] = [];
		const started = performance.now();
		for (let count = 0; count < total; count += batch) {
			for (let index = 0; index < batch; index++) {
				const frame = mutate(good[random(good.length)]!, random);
				const write = evil.end.trySend(
					frame,
					random(20) === 0 ? mutate(vnet({ flags: 1, csumStart: 34, csumOffset: 6 }), random, 10) : undefined,
				);
				writes[write] = (writes[write] ?? 0) + 1;
			}
			const { wire, victim: arrived } = settle(site, evil, victim);
			const out = wire.filter(fromPort);
			// A group frame goes to the wire once and to the victim too; every other to one of them.
			handedOn += out.length + arrived.filter(({ frame }) => !isReplica(frame)).length;
			for (const { frame } of out) {
				if (!frame.subarray(6, 12).equals(macBytes(host.mac)))
					wrong.push(`on the wire from another MAC: ${frame.toString('hex')}`);
			}
			for (const { frame } of [...out, ...arrived]) {
				const forged = forgery(frame);
				if (forged !== undefined) wrong.push(`${forged}: ${frame.subarray(0, 100).toString('hex')}`);
			}
		}
		const seconds = (performance.now() - started) / 1000;
		const after = await books(site, evil);
		const written = after.written - before.written;
		const seen = after.stats.tx.packets - before.stats.tx.packets;
		const dropped = sum(after.stats.drops) - sum(before.stats.drops);
		const ofMarkers = (total / batch) * markers;
		t.log(`${total} frames in ${seconds.toFixed(1)} s`, writes);
		const lost = after.lostAtWire - before.lostAtWire;
		t.log(
			{ written, seen, dropped, handedOn, lost, ringFull: after.ringFull - before.ringFull },
			after.stats.drops,
		);
		t.deepEqual(wrong.slice(0, 5), []);
		t.is(written, (writes.sent ?? 0) + ofMarkers, "the TAP's own count");
		t.is(after.ringFull, before.ringFull);
		t.true(written - seen < total / 100, 'only tags cut short go unseen');
		// A guest's own probe looks like one of the port's.
		const unheard = seen - (dropped + handedOn + lost + ofMarkers);
		t.true(unheard >= 0 && unheard <= site.far.overheard, `${unheard} frames went nowhere`);
		const { pid } = await site.product.info();
		t.true(pid > 0);
	});

/** Whether the frame at the victim is a copy of one that went to the wire too. */
function isReplica(frame: Buffer): boolean {
	const type = frame.readUInt16BE(12);
	// Requests for the victim's address go to it alone.
	if (type === 0x0806) return false;
	if (type === 0x86dd && frame[20] === 58 && frame[54] === 135) return false;
	if ((frame[0]! & 1) === 1) return true;
	return type === 0x0800 ? frame[30]! >= 224 : frame[38] === 0xff;
}

/** What no guest may say, as far as its neighbours would believe it. */
function forgery(frame: Buffer): string | undefined {
	const type = frame.readUInt16BE(12);
	if (type === 0x0800) {
		const source = frame.subarray(26, 30);
		return source.equals(address(evil.ipv4)) || source.equals(Buffer.alloc(4))
			? undefined
			: 'a forged IPv4 source';
	}
	if (type === 0x0806) {
		const sender = frame.subarray(28, 32);
		return sender.equals(address(evil.ipv4)) || sender.equals(Buffer.alloc(4))
			? undefined
			: 'a forged ARP sender';
	}
	if (type !== 0x86dd) return 'an ethertype that is not let out';
	const source = frame.subarray(22, 38);
	const linkLocal = source[0] === 0xfe && (source[1]! & 0xc0) === 0x80;
	if (!linkLocal && !source.equals(address(evil.ipv6)) && !source.equals(Buffer.alloc(16)))
		return 'a forged IPv6 source';
	if (frame[20] === 58 && frame[54] === 136 && frame.length >= 78) {
		const target = frame.subarray(62, 78);
		const own = target.equals(address(evil.ipv6)) || (target[0] === 0xfe && (target[1]! & 0xc0) === 0x80);
		return own ? undefined : 'a forged advertisement';
	}
	return frame[20] === 58 && (frame[54] === 134 || frame[54] === 137)
		? 'a router advertisement or redirect'
		: undefined;
}

function goodFrames(): Buffer[] {
	const four = (destination: string, mac: string, payload: Buffer, protocol = 17): Buffer =>
		ethernet(mac, evil.mac, 0x0800, ipv4({ source: evil.ipv4, destination, protocol }, payload));
	const six = (destination: string, mac: string, payload: Buffer, next = 17): Buffer =>
		ethernet(mac, evil.mac, 0x86dd, ipv6({ source: evil.ipv6, destination, next, hopLimit: 255 }, payload));
	const nd = (type: number, destination: string, mac: string, target: string): Buffer =>
		six(
			destination,
			mac,
			icmpv6([evil.ipv6, destination], type, 0, neighbour(0, target, { type: type - 134, mac: evil.mac })),
			58,
		);
	return [
		four(far.ipv4, far.mac, udp(1000, 53, Buffer.alloc(40, 1))),
		four(victim.ipv4, victim.mac, tcp(1000, 80, Buffer.alloc(40, 2))),
		four('255.255.255.255', broadcastMac, udp(68, 67, Buffer.alloc(240))),
		four('224.0.0.251', '01:00:5e:00:00:fb', udp(5353, 5353, Buffer.alloc(30))),
		four(far.ipv4, far.mac, icmpEcho(), 1),
		ethernet(
			broadcastMac,
			evil.mac,
			0x0806,
			arp({ operation: 1, senderMac: evil.mac, sender: evil.ipv4, target: far.ipv4 }),
		),
		ethernet(
			victim.mac,
			evil.mac,
			0x0806,
			arp({
				operation: 2,
				senderMac: evil.mac,
				sender: evil.ipv4,
				target: victim.ipv4,
				targetMac: victim.mac,
			}),
		),
		six(far.ipv6, far.mac, udp(1000, 53, Buffer.alloc(40, 3))),
		six(victim.ipv6, victim.mac, tcp(1000, 80, Buffer.alloc(40, 4)), 6),
		six('ff02::fb', '33:33:00:00:00:fb', udp(5353, 5353, Buffer.alloc(30))),
		nd(135, 'ff02::1:ff00:12', '33:33:ff:00:00:12', victim.ipv6),
		nd(135, 'ff02::1:ff00:3', '33:33:ff:00:00:03', far.ipv6),
		nd(136, victim.ipv6, victim.mac, evil.ipv6),
		nd(136, 'ff02::1', '33:33:00:00:00:01', evil.ipv6),
		six(
			'ff02::1',
			'33:33:00:00:00:01',
			Buffer.concat([extension(58), icmpv6([evil.ipv6, 'ff02::1'], 128, 0, Buffer.alloc(8))]),
			60,
		),
		six(far.ipv6, far.mac, Buffer.concat([fragment(17, 1), udp(1, 2, Buffer.alloc(100))]), 44),
		tagged(four(far.ipv4, far.mac, udp(1, 2, Buffer.alloc(10))), 5),
	];
}

/** Some bytes changed, the end cut off or made longer, two frames' halves swapped; now and then it stays good. */
function mutate(from: Buffer, random: (below: number) => number, length?: number): Buffer {
	let frame: Buffer = Buffer.from(from);
	for (let changes = random(4); changes > 0; changes--) {
		// The headers are what is worth breaking.
		const at = random(3) === 0 ? random(frame.length) : random(Math.min(frame.length, 82));
		const kinds = [
			() => random(256),
			() => frame[at]! ^ (1 << random(8)),
			() => [0, 1, 0x7f, 0x80, 0xff][random(5)]!,
		];
		frame[at] = kinds[random(kinds.length)]!();
	}
	if (length === undefined) {
		if (random(10) === 0) frame = frame.subarray(0, random(frame.length + 1));
		else if (random(20) === 0) frame = Buffer.concat([frame, Buffer.alloc(random(1600), random(256))]);
	} else if ((frame[1]! & 0x7f) === 3) {
		// UDP fragmentation offload has a test of its own (ring-wedge.test.ts).
		frame[1] = 0;
	}
	return frame;
}

function macBytes(text: string): Buffer {
	return Buffer.from(text.replaceAll(':', ''), 'hex');
}
