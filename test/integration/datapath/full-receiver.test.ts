/** A guest that doesn't read: what is sent to it is counted, costs nobody else a frame, and is not delivered late. */
import test from 'ava';
import { isOlderThan } from '../../helpers/kernel-age.js';
import { books, settle, sum } from './accounting.js';
import { broadcastMac, ethernet, ipv4, udp } from './frames.js';
import { Site } from './site.js';

/** More than a TAP's own queue holds, and more than a batch. */
const FLOOD = 3000;

test.serial(
	'frames for a guest that does not read are lost and counted; its neighbours lose none',
	async t => {
		const site = await Site.create('full', { up: ['--offload', 'none'] });
		t.teardown(() => site.close());
		const sender = await site.guest('sender', 11, { attach: ['--limit', 'slow=none'] });
		const idle = await site.guest('idle', 12);
		const reader = await site.guest('reader', 13);
		const before = await books(site, sender);
		const forIdle = Array.from({ length: FLOOD }, () => site.marker(sender, idle));
		for (const [count, frame] of forIdle.entries()) {
			sender.end.trySend(frame);
			// In the same batches, in order, and all of them.
			if (count % 10 === 0) t.deepEqual(site.arrivals(sender, reader.end, reader), []);
		}
		settle(site, sender, reader);
		const after = await books(site, sender);
		const taken = after.stats.tx.packets - before.stats.tx.packets;
		t.is(taken, FLOOD + FLOOD / 10 + 3);
		const refused = after.stats.drops['receiver-full'] ?? 0;
		const arrived = rest(() => idle.end.receive(0)).filter(({ frame }) =>
			forIdle.some(sent => sent.subarray(42).equals(frame.subarray(42))),
		);
		t.log({ taken, refused, arrived: arrived.length, drops: after.stats.drops });
		t.true(refused > 0 && arrived.length >= 500);
		t.is(arrived.length + refused, FLOOD);
		t.is(sum(after.stats.drops), refused);
		// What the TAP has kept is the first of it, in order.
		t.deepEqual(
			arrived.slice(0, 500).map(({ frame }) => frame.subarray(42).toString()),
			forIdle.slice(0, 500).map(frame => frame.subarray(42).toString()),
		);
		t.true(((await site.stats('idle')).drops['receiver-full'] ?? 0) >= refused);
		// It reads again: nothing keeps it waiting for longer than the next look.
		for (let count = 0; count < 5; count++) t.deepEqual(site.arrivals(sender, idle.end, idle), []);
	},
);

(isOlderThan(6, 2) ? test.serial.skip : test.serial)(
	'who reads more slowly than the kernel makes copies of broadcasts still hears who speaks to it alone',
	async t => {
		const site = await Site.create('slow', { up: ['--offload', 'tc-bpf'] });
		t.teardown(() => site.close());
		const loud = await site.guest('loud', 11, { attach: ['--limit', 'slow=none'] });
		const slow = await site.guest('slow', 12);
		const friend = await site.guest('friend', 13);
		const data = udp(1, 2, Buffer.alloc(100));
		const to = { source: loud.ipv4, destination: '255.255.255.255' };
		const forAll = ethernet(broadcastMac, loud.mac, 0x0800, ipv4(to, data));
		const pair = { source: friend.ipv4, destination: slow.ipv4 };
		const forOne = ethernet(slow.mac, friend.mac, 0x0800, ipv4(pair, data));
		const rounds = 4000;
		const heard = new Set<number>();
		const read = (): boolean => {
			const frame = slow.end.receive(0)?.frame;
			if (frame?.subarray(6, 12).equals(forOne.subarray(6, 12))) heard.add(frame.readUInt16BE(42));
			return frame !== undefined;
		};
		for (let round = 0; round < rounds; round++) {
			forOne.writeUInt16BE(round, 42);
			for (let count = 0; count < 20; count++) loud.end.trySend(forAll);
			friend.end.trySend(forOne);
			for (let count = 0; count < 4; count++) read();
		}
		while (read());
		// By then its TAP has long been full, and how long a pause has to be has been found.
		const late = [...heard].filter(round => round >= rounds / 2).length;
		t.log(`${late} of ${rounds / 2} heard`);
		t.true(late > 0.4 * rounds);
	},
);

function rest<T>(next: () => T | undefined): T[] {
	const all: T[] = [];
	for (let one = next(); one !== undefined; one = next()) all.push(one);
	return all;
}
