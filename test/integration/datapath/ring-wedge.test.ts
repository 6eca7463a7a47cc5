/** One frame of one guest must not end the traffic of all (see jam.ts). */
import test from 'ava';
import { until } from '../../../src/lab/wait.js';
import { books } from './accounting.js';
import { broadcastMac, ethernet, ipv4, udp } from './frames.js';
import { jam, jammingFrame, jammingHeader } from './jam.js';
import { far, Site } from './site.js';

test.serial('a frame with UDP fragmentation offload does not stop the port', async t => {
	const site = await Site.create('wedge', { up: ['--offload', 'none'] });
	t.teardown(() => site.close());
	const evil = await site.guest('evil', 11);
	const victim = await site.guest('victim', 12);
	const before = await books(site, evil);
	const time = jam(evil, site.marker(victim, far), victim.end, site.far);
	const after = await books(site, evil);
	t.log(`frames pass again after ${time.toFixed(0)} ms`, {
		ringFull: after.ringFull,
		drops: after.stats.drops,
	});
	t.is(after.written - before.written, 1);
	for (let count = 0; count < 20; count++) {
		evil.end.trySend(jammingFrame(evil.mac, evil.ipv4), jammingHeader);
		site.arrivals(victim, site.far, far);
	}
	// Nobody can say whose they were: they count as the port's.
	await until(
		'twenty more to be counted',
		20_000,
		async () => (await site.stats('eth0')).drops['bad-vnet-header'] === 20,
	);
});

test.serial('nor while the wire chats, so that the port is never quiet', async t => {
	const site = await Site.create('chat', { up: ['--offload', 'none'] });
	t.teardown(() => site.close());
	const evil = await site.guest('evil', 11);
	const victim = await site.guest('victim', 12);
	const chat = ethernet(
		broadcastMac,
		far.mac,
		0x0800,
		ipv4({ source: far.ipv4, destination: '255.255.255.255' }, udp(1, 2, Buffer.from('chat'))),
	);
	const time = jam(evil, site.marker(victim, far), victim.end, site.far, () => site.far.send(chat));
	t.log(`frames pass again after ${time.toFixed(0)} ms`);
	t.true(time < 2000);
});
