/** DHCP messages as clients and servers say them, for tests of what ipvtap makes of them. */
import { bytesOf, ethernet, ipv4, ipv6, mac, octets, u16, udp } from '../../helpers/frames.js';
import { BROADCAST, gateway, MASTER } from '../../helpers/world.js';

export interface Client {
	mac: string;
	linkLocal: string;
}

export interface Options4 {
	xid?: number;
	/** Value of the client identifier, its type byte first. */
	clientId?: number[];
	ciaddr?: string;
	chaddr?: string;
	giaddr?: string;
	/** Destination; the default is everybody. */
	to?: string;
	from?: string;
	more?: number[];
}

/** A client's message of the type (RFC 2132, 9.6). */
export function ask4(client: Client, type: number, options: Options4 = {}): Uint8Array {
	const { xid = 1, clientId, ciaddr = '0.0.0.0', chaddr = client.mac, to = '255.255.255.255' } = options;
	const { giaddr = '0.0.0.0', from = '0.0.0.0', more = [] } = options;
	const identifier = clientId ? [61, clientId.length, ...clientId] : [];
	const body = bootp(1, xid, chaddr, { ciaddr, giaddr }, [53, 1, type, ...identifier, ...more]);
	const destination = to === '255.255.255.255' ? BROADCAST : gateway.mac;
	return ethernet(
		{ source: client.mac, destination },
		ipv4({ source: from, destination: to }, udp(68, 67, body)),
	);
}

/** The gateway's answer, to the master as the requests told it to. */
export function answer4(
	type: number,
	address: string,
	{
		xid = 1,
		seconds = 600,
		source = gateway.mac,
		from = gateway.ipv4,
		chaddr = MASTER,
		to = address === '0.0.0.0' ? '255.255.255.255' : address,
	} = {},
): Uint8Array {
	const time = [51, 4, ...u16(seconds >>> 16), ...u16(seconds & 0xffff)];
	const body = bootp(2, xid, chaddr, { yiaddr: address }, [53, 1, type, ...(seconds > 0 ? time : [])]);
	return ethernet(
		{ source, destination: to === '255.255.255.255' ? BROADCAST : chaddr },
		ipv4({ source: from, destination: to }, udp(67, 68, body)),
	);
}

export interface Association {
	iaid?: number;
	/** Address and seconds that it is valid. */
	addresses?: readonly (readonly [string, number])[];
	/** IA_NA by default. */
	kind?: number;
}

export function ask6(
	client: Client,
	type: number,
	duid: string,
	associations: readonly Association[],
	xid = 1,
): Uint8Array {
	const body = bytesOf([type, 0, 0, xid], option(1, octetsOf(duid)), ...associations.map(association));
	return ethernet(
		{ source: client.mac, destination: '33:33:00:01:00:02' },
		ipv6({ source: client.linkLocal, destination: 'ff02::1:2' }, udp(546, 547, body)),
	);
}

export function answer6(
	client: Client,
	type: number,
	duid: string,
	associations: readonly Association[],
	{
		xid = 1,
		source = gateway.mac,
		from = gateway.linkLocal,
		to = client.linkLocal,
		destination = MASTER,
	} = {},
): Uint8Array {
	const body = bytesOf([type, 0, 0, xid], option(1, octetsOf(duid)), ...associations.map(association));
	return ethernet({ source, destination }, ipv6({ source: from, destination: to }, udp(547, 546, body)));
}

function association({ iaid = 1, addresses = [], kind = 3 }: Association): Uint8Array {
	const times = kind === 4 ? [] : [0, 0, 0, 60, 0, 0, 0, 90];
	const inner = addresses.map(([address, valid]) =>
		option(5, bytesOf(octets(address), [0, 0, 0, 60], u16(valid >>> 16), u16(valid & 0xffff))),
	);
	return option(kind, bytesOf([0, 0, 0, iaid], times, ...inner));
}

function option(code: number, value: Uint8Array): Uint8Array {
	return bytesOf(u16(code), u16(value.length), value);
}

function octetsOf(hex: string): Uint8Array {
	return Uint8Array.from(Buffer.from(hex, 'hex'));
}

function bootp(
	op: number,
	xid: number,
	chaddr: string,
	addresses: { ciaddr?: string; yiaddr?: string; giaddr?: string },
	options: number[],
): Uint8Array {
	const body = new Uint8Array(Math.max(300, 241 + options.length));
	body.set([op, 1, 6, 0, 0, 0, 0, xid]);
	body.set(octets(addresses.ciaddr ?? '0.0.0.0'), 12);
	body.set(octets(addresses.yiaddr ?? '0.0.0.0'), 16);
	body.set(octets(addresses.giaddr ?? '0.0.0.0'), 24);
	body.set(mac(chaddr), 28);
	body.set([0x63, 0x82, 0x53, 0x63, ...options, 255], 236);
	return body;
}
