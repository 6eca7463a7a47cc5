import test from 'ava';
import { parseLink } from '../../../src/sys/netlink/link-message.js';
import { attribute, type Message, nested, text, u8, u16, u32 } from '../../../src/sys/netlink/message.js';
import { parseNeighbour } from '../../../src/sys/netlink/neighbour.js';
import { parseRoute } from '../../../src/sys/netlink/route-message.js';
import { ipBytes } from '../../../src/sys/netlink/text.js';

const message = (...parts: Uint8Array[]): Message => ({
	type: 0,
	flags: 0,
	sequence: 0,
	port: 0,
	body: Buffer.concat(parts),
});
const ifinfomsg = (family: number) => Buffer.concat([u8(family), u8(0), u16(1), u32(7), u32(0x1003), u32(0)]);

test('a device on a bridge in another namespace’s wire', t => {
	const link = parseLink(
		message(
			ifinfomsg(0),
			attribute(1, Uint8Array.of(2, 0, 0, 0, 0, 0xab)),
			attribute(3, text('tap0')),
			attribute(4, u32(1500)),
			attribute(5, u32(3)),
			attribute(10, u32(9)),
			attribute(16, u8(6)),
			nested(18, attribute(1, text('tun'))),
			attribute(33, u8(1)),
			attribute(37, u32(0)),
		),
	);
	t.like(link, { ifindex: 7, name: 'tap0', kind: 'tun', mac: '02:00:00:00:00:ab', mtu: 1500, flags: 0x1003 });
	t.like(link, { operstate: 'up', carrier: true, masterIfindex: 9, linkIfindex: undefined, arpType: 1 });
	t.deepEqual(link?.stats.rx, { packets: 0, bytes: 0, dropped: 0 });
});

test('what a bridge says about its ports, and wireless events, are not devices', t => {
	t.is(parseLink(message(ifinfomsg(7), attribute(3, text('tap0')))), undefined);
	t.is(parseLink(message(ifinfomsg(0), attribute(3, text('wlan0')), attribute(11, u32(0)))), undefined);
	t.is(parseLink(message(ifinfomsg(0))), undefined);
});

test('of several next hops the first is told, and all', t => {
	const hop = (ifindex: number, gateway: string, flags = 0, weight = 1) => {
		const via = attribute(5, ipBytes(gateway));
		return Buffer.concat([u16(8 + via.length), u8(flags), u8(weight - 1), u32(ifindex), via]);
	};
	const rtmsg = Buffer.from([2, 0, 0, 0, 254, 3, 0, 1, 0, 0, 0, 0]);
	const route = parseRoute(message(rtmsg, attribute(9, hop(4, '10.0.0.1', 16), hop(5, '10.0.0.2', 1, 7))));
	t.like(route, {
		dst: '0.0.0.0/0',
		ifindex: 4,
		gateway: '10.0.0.1',
		nextHops: [
			{ ifindex: 4, gateway: '10.0.0.1', dead: false, linkDown: true, weight: 1 },
			{ ifindex: 5, gateway: '10.0.0.2', dead: true, linkDown: false, weight: 7 },
		],
		table: 254,
		protocol: 3,
		type: 1,
		metric: 0,
	});
});

test('an IPv4 route over an IPv6 router', t => {
	const rtmsg = Buffer.from([2, 8, 0, 0, 254, 3, 0, 1, 0, 0, 0, 0]);
	const via = attribute(18, u16(10), ipBytes('fe80::1'));
	t.like(parseRoute(message(rtmsg, attribute(1, ipBytes('10.0.0.0')), attribute(4, u32(3)), via)), {
		dst: '10.0.0.0/8',
		gateway: 'fe80::1',
	});
	t.is(parseRoute(message(Buffer.from([28, 20, 0, 0, 254, 3, 0, 1, 0, 0, 0, 0]))), undefined);
});

test('a neighbour that is not resolved has no MAC', t => {
	const ndmsg = Buffer.concat([u8(2), u8(0), u16(0), u32(3), u16(0x20), u8(0), u8(1)]);
	t.deepEqual(parseNeighbour(message(ndmsg, attribute(1, ipBytes('10.0.0.9')))), {
		family: 'inet',
		ifindex: 3,
		address: '10.0.0.9',
		mac: undefined,
		state: 0x20,
	});
});
