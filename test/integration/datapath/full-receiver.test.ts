/** A guest that doesn't read: what is sent to it is counted, costs nobody else a frame, and is not delivered late. */
import test from 'ava';
import { books, settle, sum } from './accounting.js';
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

function rest<T>(next: () => T | undefined): T[] {
	const all: T[] = [];
	for (let one = next(); one !== undefined; one = next()) all.push(one);
	return all;
}
