/** What a guest may say about checksums and segments; the list is in perf-reliability C3 of the facts. */
import test from 'ava';
import { checksumIsPartial, VNET_HEADER, vnetHeaderIsSane } from '../../../src/wire/vnet-header.js';
import {
	destinationOptions,
	ethernet,
	hopByHop,
	type Ipv6Header,
	icmpv6,
	ipv4,
	ipv6,
	type Packet,
	routing,
	tcp,
	udp,
} from '../../helpers/frames.js';

const NEEDS_CSUM = 1;
const link = { source: '52:54:00:00:00:11', destination: '02:00:00:00:00:aa' };
const data = new Uint8Array(3000);
const tcp4 = ipv4({ source: '192.0.2.11', destination: '192.0.2.1' }, tcp(1, 2, data));
const udp4 = ipv4({ source: '192.0.2.11', destination: '192.0.2.1' }, udp(1, 2, data));
const tcp4Options = ipv4(
	{ source: '192.0.2.11', destination: '192.0.2.1', options: new Uint8Array(8) },
	tcp(1, 2, data),
);
const v6 = (header: Partial<Ipv6Header> = {}, upper = tcp(1, 2, data)) =>
	ipv6({ source: 'fe80::11', destination: 'fe80::1', ...header }, upper);

interface Header {
	flags?: number;
	gso?: number;
	headerLength?: number;
	size?: number;
	start?: number;
	offset?: number;
}

function framed(packet: Packet, header: Header): { frame: DataView; length: number } {
	const bytes = ethernet(link, packet);
	const frame = new DataView(new ArrayBuffer(VNET_HEADER + bytes.length));
	new Uint8Array(frame.buffer).set(bytes, VNET_HEADER);
	frame.setUint8(0, header.flags ?? NEEDS_CSUM);
	frame.setUint8(1, header.gso ?? 0);
	frame.setUint16(2, header.headerLength ?? 0, true);
	frame.setUint16(4, header.size ?? 0, true);
	frame.setUint16(6, header.start ?? 34, true);
	frame.setUint16(8, header.offset ?? 16, true);
	return { frame, length: bytes.length };
}

/** The packet with another length in its IP header. */
function shortened(packet: Packet, at: number, length: number): Packet {
	const bytes = packet.bytes.slice();
	bytes.set([length >> 8, length & 255], at);
	return { ...packet, bytes };
}

function sane(packet: Packet, header: Header): boolean {
	const { frame, length } = framed(packet, header);
	const type = frame.getUint16(VNET_HEADER + 12);
	const protocol = frame.getUint8(VNET_HEADER + 14 + (type === 0x0800 ? 9 : 6));
	return vnetHeaderIsSane(frame, VNET_HEADER, length, type, protocol);
}

const gso4 = { gso: 1, size: 1448, headerLength: 54 };
const gso6 = { gso: 4, size: 1428, headerLength: 74, start: 54 };
const uso = { gso: 5, size: 1472, headerLength: 42, offset: 6 };

for (const [name, packet, header] of [
	['nothing is left to do', tcp4, { flags: 0, start: 0, offset: 0 }],
	['the checksum was found right', tcp4, { flags: 2, start: 0, offset: 0 }],
	['the checksum of TCP is to be made', tcp4, {}],
	['the checksum of UDP is to be made', udp4, { offset: 6 }],
	['the checksum of TCP behind IPv4 options', tcp4Options, { start: 42 }],
	['the checksum of TCP over IPv6', v6(), { start: 54 }],
	['the checksum of UDP over IPv6', v6({}, udp()), { start: 54, offset: 6 }],
	['the checksum of TCP behind extension headers', v6({ extensions: [hopByHop, routing] }), { start: 70 }],
	['TCP segments', tcp4, gso4],
	['TCP segments with congestion notification', tcp4, { ...gso4, gso: 0x81 }],
	['TCP segments over IPv6', v6(), gso6],
	[
		'TCP segments behind an extension header',
		v6({ extensions: [destinationOptions] }),
		{ ...gso6, start: 62 },
	],
	['UDP segments', udp4, uso],
	['UDP segments over IPv6', v6({}, udp(1, 2, data)), { ...uso, start: 54 }],
	['the smallest segments', tcp4, { ...gso4, size: 8 }],
] as [string, Packet, Header][]) {
	test(`taken: ${name}`, t => t.true(sane(packet, header)));
}

for (const [name, packet, header] of [
	['a checksum behind the end', tcp4, { start: 3054 }],
	[
		'a checksum one byte behind the end',
		ipv4(
			{ source: '192.0.2.11', destination: '192.0.2.1' },
			{ protocol: 6, build: () => new Uint8Array(17) },
		),
		{},
	],
	['a checksum at 65535 + 65535', tcp4, { start: 65535, offset: 65535 }],
	['a checksum in the Ethernet header', tcp4, { start: 0, offset: 6 }],
	['a checksum in the IPv4 header', tcp4, { start: 14, offset: 12 }],
	['a checksum in the source of IPv6', v6(), { start: 20, offset: 16 }],
	['a checksum in the last bytes of the source of IPv6', v6(), { start: 34, offset: 2 }],
	['a checksum in the destination of IPv6', v6(), { start: 34, offset: 16 }],
	[
		'a checksum in the target of an advertisement',
		v6({ hopLimit: 255 }, icmpv6(136, new Uint8Array(28))),
		{ start: 54, offset: 16 },
	],
	[
		'a checksum in the flags of an advertisement',
		v6({ hopLimit: 255 }, icmpv6(136, new Uint8Array(28))),
		{ start: 54, offset: 6 },
	],
	["ICMPv6's own checksum, which nobody leaves open", v6({}, icmpv6(128)), { start: 54, offset: 2 }],
	['a checksum in the options of IPv4', tcp4Options, { start: 34 }],
	['a checksum in an extension header', v6({ extensions: [hopByHop] }), { start: 54 }],
	[
		'a checksum that turns an echo behind options into an advertisement',
		v6({ extensions: [hopByHop, destinationOptions] }, icmpv6(128)),
		{ start: 64, offset: 6 },
	],
	['the offset of UDP in TCP', tcp4, { offset: 6 }],
	['the offset of TCP in UDP', udp4, {}],
	['an odd offset', tcp4, { offset: 15 }],
	['a checksum in ARP', { type: 0x0806, bytes: new Uint8Array(100) }, {}],
	[
		'a checksum in nine extension headers',
		v6({ extensions: new Array(9).fill(destinationOptions) }),
		{ start: 126 },
	],
	[
		'an extension header that runs past the end',
		v6({}, { protocol: 60, build: () => Uint8Array.of(6, 255, ...new Array(60).fill(0)) }),
		{ start: 54 + 2048 },
	],
	['segments of what IPv4 leaves out', shortened(udp4, 2, 20), uso],
	['segments of what IPv4 leaves out, by a byte', shortened(udp4, 2, 20 + 8 + 2999), uso],
	['segments of what IPv6 leaves out', shortened(v6({}, udp(1, 2, data)), 4, 4), { ...uso, start: 54 }],
	['segments of nothing', tcp4, { ...gso4, size: 0 }],
	['segments of one byte', tcp4, { ...gso4, size: 1 }],
	['segments of seven bytes', tcp4, { ...gso4, size: 7 }],
	['segments without a checksum', tcp4, { ...gso4, flags: 0 }],
	['TCP segments of UDP', udp4, { ...gso4, offset: 6 }],
	['UDP segments of TCP', tcp4, { ...uso, offset: 16 }],
	['IPv4 segments of IPv6', v6(), { ...gso4, start: 54 }],
	['IPv6 segments of IPv4', tcp4, { ...gso6, start: 34 }],
	['IPv6 segments of UDP', v6({}, udp(1, 2, data)), { ...gso6, offset: 6 }],
	['congestion notification alone', tcp4, { ...gso4, gso: 0x80 }],
	['fragments of UDP, gone since Linux 4.14', udp4, { ...uso, gso: 3 }],
	['a type of segments that nobody knows', tcp4, { ...gso4, gso: 2 }],
	['another one', tcp4, { ...gso4, gso: 6 }],
	['headers longer than the frame', tcp4, { ...gso4, headerLength: 3055 }],
	['headers longer than a frame without segments', tcp4, { headerLength: 65535 }],
] as [string, Packet, Header][]) {
	test(`refused: ${name}`, t => t.false(sane(packet, header)));
}

test('a checksum is partial if the header says so, whatever else it says', t => {
	t.true(checksumIsPartial(framed(tcp4, {}).frame, VNET_HEADER));
	t.true(checksumIsPartial(framed(tcp4, { flags: 3 }).frame, VNET_HEADER));
	t.false(checksumIsPartial(framed(tcp4, { flags: 2 }).frame, VNET_HEADER));
});
