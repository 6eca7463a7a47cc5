/**
 * UDP fragmentation offload (VIRTIO_NET_HDR_GSO_UDP): TAPs take it from anybody, and af_packet.c can't say it in
 * a virtio header again. In tpacket_rcv() it then drops the frame after it has marked the ring's next slot as
 * taken (`rx_owner_map`), so that no frame ever enters that ring any more. One frame of one guest must not end
 * the traffic of all.
 */
import test from 'ava';
import { until } from '../../../src/lab/wait.js';
import { books } from './accounting.js';
import { ethernet, ipv4, udp, vnet } from './frames.js';
import { far, Site } from './site.js';

test('a frame with UDP fragmentation offload does not stop the port', async t => {
	const site = await Site.create('wedge');
	t.teardown(() => site.close());
	const evil = await site.guest('evil', 11);
	const victim = await site.guest('victim', 12);
	const packet = ipv4({ source: evil.ipv4, destination: far.ipv4 }, udp(1, 2, Buffer.alloc(4000)));
	const frame = ethernet(far.mac, evil.mac, 0x0800, packet);
	const header = vnet({
		flags: 1,
		gsoType: 3,
		headerLength: 42,
		gsoSize: 1448,
		csumStart: 34,
		csumOffset: 6,
	});
	const before = await books(site, evil);
	t.log('a TAP takes it:', evil.end.trySend(frame, header));

	const started = performance.now();
	const answer = await until('a frame of the victim to pass', 5000, () => {
		const marker = site.marker(victim, far);
		victim.end.send(marker);
		for (let received = site.far.receive(50); received; received = site.far.receive(50)) {
			if (received.frame.subarray(26).equals(marker.subarray(26))) return true;
		}
		return false;
	}).catch(error => error as Error);
	const after = await books(site, evil);
	t.log(`${Math.round(performance.now() - started)} ms later`, {
		ringFull: after.ringFull,
		drops: after.stats.drops,
	});
	t.true(answer === true, String(answer));
	t.is(after.written - before.written, 1);
	for (let count = 0; count < 20; count++) evil.end.trySend(frame, header);
	t.notThrows(() => site.arrivals(victim, site.far, far), 'nor do twenty');
});
