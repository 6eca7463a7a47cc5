/**
 * Both guests of steady-child.ts and the wire, in a process of their own: send frames of all kinds as fast as they can,
 * and read what arrives, until they are killed or the time is over.
 */
import { libc } from '../../../src/sys/libc.js';
import { openTap, setSendBuffer } from '../../../src/sys/tap.js';
import {
	arp,
	bytesOf,
	ethernet,
	ipv4,
	ipv6,
	type Packet,
	padded,
	solicitation,
	udp,
} from '../../helpers/frames.js';

export const macs = { master: '02:00:00:00:00:f0', guests: ['02:00:00:00:00:0a', '02:00:00:00:00:0b'] };
export const four = (guest: number): string => `10.0.0.${guest + 1}`;
export const six = (guest: number): string => `fd00::${guest + 1}`;

const GATEWAY = '02:00:00:00:00:f1';
const EVERYBODY = 'ff:ff:ff:ff:ff:ff';
const DEADLINE_MS = 110_000;

/** What one guest sends: to the other, to the wire, to everybody, and what is refused. */
function fromGuest(guest: number): Uint8Array[] {
	const source = macs.guests[guest] as string;
	const peer = macs.guests[1 - guest] as string;
	const to4 = { source: four(guest), destination: four(1 - guest) };
	const to6 = { source: six(guest), destination: six(1 - guest) };
	const question = { operation: 1, senderMac: source, sender: four(guest), target: four(1 - guest) };
	return [
		frame(source, peer, ipv4(to4, udp())),
		frame(source, peer, ipv4(to4, udp(1, 2, new Uint8Array(1400)))),
		frame(source, peer, ipv6(to6, udp())),
		frame(source, peer, ipv6({ ...to6, hopLimit: 255 }, solicitation(six(1 - guest)))),
		frame(source, GATEWAY, ipv4({ ...to4, destination: '192.0.2.1' }, udp())),
		frame(source, GATEWAY, ipv6({ ...to6, destination: '2001:db8::1' }, udp())),
		frame(source, EVERYBODY, ipv4({ ...to4, destination: '255.255.255.255' }, udp())),
		frame(source, EVERYBODY, arp(question)),
		frame(source, peer, ipv4({ ...to4, source: '10.9.9.9' }, udp())),
	];
}

/** What comes from the wire: for either guest, for everybody, and for the host alone. */
function fromWire(): Uint8Array[] {
	const to = (guest: number) => [
		frame(GATEWAY, macs.master, ipv4({ source: '192.0.2.1', destination: four(guest) }, udp())),
		frame(GATEWAY, macs.master, ipv6({ source: '2001:db8::1', destination: six(guest) }, udp())),
	];
	const all = ipv4({ source: '192.0.2.1', destination: '255.255.255.255' }, udp());
	const question = { operation: 1, senderMac: GATEWAY, sender: '10.0.0.254', target: '10.0.0.253' };
	return [...to(0), ...to(1), frame(GATEWAY, EVERYBODY, all), frame(GATEWAY, EVERYBODY, arp(question))];
}

/** Behind a virtio header of zeros. */
function frame(source: string, destination: string, packet: Packet): Uint8Array {
	return bytesOf(new Uint8Array(10), padded(ethernet({ source, destination }, packet)));
}

function talk(): void {
	const ends = [
		{ fd: openTap('a'), frames: fromGuest(0) },
		{ fd: openTap('b'), frames: fromGuest(1) },
		{ fd: openTap('wire'), frames: fromWire() },
	];
	for (const { fd } of ends) setSendBuffer(fd, 0x7fffffff);
	const scratch = new Uint8Array(2048);
	const deadline = performance.now() + DEADLINE_MS;
	while (performance.now() < deadline) {
		for (const { fd, frames } of ends) for (const bytes of frames) write(fd, bytes, bytes.length);
		for (const { fd } of ends) while (read(fd, scratch, scratch.length) > 0);
	}
}

type Transfer = (fd: number, buffer: Uint8Array, length: number) => number;
const write = libc.func('long write(int fd, const void *buffer, size_t length)') as Transfer;
const read = libc.func('long read(int fd, void *buffer, size_t length)') as Transfer;

if (process.argv[2] === 'talk') talk();
