/** What routed frames look like, and the ICMP errors about those that can't be. Built from the RFCs' figures. */
import {
	bytesOf,
	ethernet,
	icmpv6,
	internetChecksum,
	ipv4,
	ipv6,
	mac,
	patched,
	raw,
	u16,
} from '../helpers/frames.js';
import { host, MASTER, type Slave } from '../helpers/world.js';

/** As a frame leaves for the wire: from the master to the next hop, a hop older. */
export function onward(frame: Uint8Array, nextHop: string): Uint8Array {
	const sent = bytesOf(mac(nextHop), mac(MASTER), frame.slice(12));
	if (sent[12] === 0x86) return patched(sent, 21, [(sent[21] as number) - 1]);
	const header = sent.slice(14, 14 + ((sent[14] as number) & 15) * 4);
	header[8] = (header[8] as number) - 1;
	header.set([0, 0], 10);
	header.set(u16(internetChecksum(header)), 10);
	return patched(sent, 14, header);
}

/** The host's ICMP error to a guest about its frame. */
export function complaint4(to: Slave, about: Uint8Array, type: number, code: number, mtu = 0): Uint8Array {
	const message = bytesOf([type, code, 0, 0, 0, 0], u16(mtu), about.slice(14, 14 + 548));
	message.set(u16(internetChecksum(message)), 2);
	const packet = ipv4({ source: host.ipv4, destination: to.ipv4, fragment: 0x4000 }, raw(1, message));
	const header = packet.bytes.slice(0, 20);
	// Internetwork control, and no identification.
	header.set([0xc0], 1);
	header.set([0, 0], 4);
	header.set([0, 0], 10);
	header.set(u16(internetChecksum(header)), 10);
	packet.bytes.set(header);
	return ethernet({ source: MASTER, destination: to.mac }, packet);
}

export function complaint6(
	to: Slave,
	about: Uint8Array,
	type: number,
	code: number,
	mtu = 0,
	source = to.ipv6,
): Uint8Array {
	const body = bytesOf([0, 0], u16(mtu), about.slice(14, 14 + 1232));
	const message = icmpv6(type, body);
	const build: typeof message = {
		...message,
		build: pseudo => {
			const bytes = message.build(pseudo);
			bytes[1] = code;
			bytes.set([0, 0], 2);
			bytes.set(u16(internetChecksum(bytesOf(pseudo(58, bytes.length), bytes))), 2);
			return bytes;
		},
	};
	return ethernet(
		{ source: MASTER, destination: to.mac },
		ipv6({ source: host.ipv6, destination: source }, build),
	);
}

/** The pieces of an IPv4 frame, as they leave for the next hop. */
export function pieces(frame: Uint8Array, mtu: number, nextHop: string): Uint8Array[] {
	const most = Math.floor((mtu - 20) / 8) * 8;
	const payload = frame.slice(34);
	const count = Math.ceil(payload.length / most);
	return Array.from({ length: count }, (_, index) => {
		const data = payload.slice(index * most, (index + 1) * most);
		const header = frame.slice(14, 34);
		header.set(u16(20 + data.length), 2);
		header.set(u16((index < count - 1 ? 0x2000 : 0) | ((index * most) / 8)), 6);
		header.set([0, 0], 10);
		header.set(u16(internetChecksum(header)), 10);
		return onward(bytesOf(frame.slice(0, 14), header, data), nextHop);
	});
}
