/**
 * Packets that take a second look, each of them on every way through a port: what is asked about one of a guest's is often
 * asked in other words about the wire's and the host's.
 */
import {
	type ArpFields,
	advertisement,
	arp,
	bytesOf,
	cut,
	destinationOptions,
	type Extension,
	ethernet,
	fragmentHeader,
	hopByHop,
	type Ipv4Header,
	type Ipv6Header,
	icmp,
	icmpv6,
	igmp,
	type NdOption,
	nonce,
	padded,
	patched,
	raw,
	redirect,
	routerAdvertisement,
	routerSolicitation,
	routing,
	solicitation,
	sourceLinkLayer,
	targetLinkLayer,
	tcp,
	type Upper,
	u16,
	udp,
} from '../helpers/frames.js';
import { BROADCAST, gateway, host, laptop, MASTER, type Station, vm1, vm2, vm4 } from '../helpers/world.js';
import type { Place, Question } from './case.js';
import { packet4, packet6 } from './traffic.js';

export function oddities(): Question[] {
	const asked = ways.flatMap(([name, from, sender, receiver]) =>
		Object.entries(packets(sender, receiver)).map(([what, frame]) => ({
			name: `${what}, ${name}`,
			from,
			frame,
		})),
	);
	return ports.flatMap(port =>
		asked.map(question => ({
			...port,
			...question,
			name: `${question.name}, ${Object.values(port).join()}`,
		})),
	);
}

const ports = [
	...(['l2', 'l3'] as const).flatMap(mode => [
		...(['bridge', 'private', 'vepa'] as const).map(flag => ({ mode, flag })),
		{ mode, noHost: true as const },
	]),
	...(['bridge', 'private'] as const).map(flag => ({ mode: 'l3s' as const, flag })),
];

type Way = readonly [name: string, from: Place, sender: Station, receiver: Station];

const everybody = { ...gateway, mac: BROADCAST, ipv4: '192.0.2.255', ipv6: 'ff02::1' };
const aGroup = { ...gateway, mac: '01:00:5e:01:02:03', ipv4: '239.1.2.3', ipv6: 'ff05::203' };
const behindMaster = (station: Station): Station => ({ ...station, mac: MASTER });

/** With addresses that nobody has yet. */
const renewed = ({ mac }: Station): Station => ({
	mac,
	ipv4: '192.0.2.77',
	ipv6: '2001:db8:1::77',
	linkLocal: 'fe80::77',
});

/** Another MAC that ends like this one. */
const half = (mac: string): string => `0e:00:5e:00:${mac.slice(12)}`;

const ways: readonly Way[] = [
	['to the LAN', 'vm1', vm1, gateway],
	['to a neighbour', 'vm1', vm1, behindMaster(vm2)],
	['to itself', 'vm1', vm1, behindMaster(vm1)],
	['to the host', 'vm1', vm1, host],
	["to half of the master's MAC", 'vm1', vm1, { ...laptop, mac: half(MASTER) }],
	['as another', 'vm1', vm2, gateway],
	['in the name of another', 'vm1', { ...vm2, mac: vm1.mac }, gateway],
	['from a new address', 'vm1', renewed(vm1), gateway],
	['from a new address of who learns', 'vm4', renewed(vm4), gateway],
	['from half of its MAC', 'vm1', { ...vm1, mac: half(vm1.mac) }, gateway],
	['from the wire', 'wire', gateway, behindMaster(vm1)],
	['to the host from the wire', 'wire', gateway, host],
	["to half of the master's MAC from the wire", 'wire', gateway, { ...vm1, mac: half(MASTER) }],
	["from half of the master's MAC", 'wire', { ...laptop, mac: half(MASTER) }, behindMaster(vm1)],
	['back from the wire, of another', 'wire', behindMaster(vm2), behindMaster(vm1)],
	['back from the wire, of its own', 'wire', behindMaster(vm1), behindMaster(vm1)],
	['back from the wire, of nobody', 'wire', behindMaster(laptop), behindMaster(vm1)],
	['from the host', 'host', host, vm1],
	['from the host to nobody', 'host', host, laptop],
	...[everybody, aGroup, behindMaster(aGroup), { ...vm1, mac: BROADCAST }].flatMap((receiver): Way[] => [
		[`to ${receiver.ipv4} at ${receiver.mac}`, 'vm1', vm1, receiver],
		[`to ${receiver.ipv4} at ${receiver.mac} from the wire`, 'wire', gateway, receiver],
		[`to ${receiver.ipv4} at ${receiver.mac}, back from the wire`, 'wire', behindMaster(vm2), receiver],
		[`to ${receiver.ipv4} at ${receiver.mac} from the host`, 'host', host, receiver],
	]),
];

const ETHERNET = 14;
const CHECKSUM = ETHERNET + 10;
const nothing = new Uint8Array(0);
/** RFC 4302, with an integrity value of no length. */
const authentication: Extension = {
	header: 51,
	build: next => Uint8Array.of(next, 1, ...new Array(10).fill(0)),
};

function packets(from: Station, to: Station): Record<string, Uint8Array> {
	const four = (upper: Upper, header: Partial<Ipv4Header> = {}) => packet4(from, to, {}, upper, header);
	const six = (upper: Upper, header: Partial<Ipv6Header> = {}) => packet6(from, to, {}, upper, header);
	const behind = (extension: Extension, upper: Upper) => six(upper, { extensions: [extension] });
	const first = fragmentHeader(0, true);
	const nd = (upper: Upper) => six(upper, { hopLimit: 255 });
	const asks = (...options: NdOption[]) => nd(solicitation(to.ipv6, options));
	const [own, target] = [sourceLinkLayer(from.mac), targetLinkLayer(from.mac)];
	const says = (more: Partial<ArpFields> = {}) => {
		const fields = { operation: 1, senderMac: from.mac, sender: from.ipv4, target: to.ipv4, ...more };
		return ethernet({ source: from.mac, destination: to.mac }, arp(fields));
	};
	const toTarget = { targetMac: to.mac };
	return {
		'another version of IPv4': four(udp(), { version: 5 }),
		'IPv4 with half a header': four(udp(), { headerWords: 4 }),
		'IPv4, shorter than its header': four(udp(), { totalLength: 19 }),
		'IPv4, longer than it is': four(udp(), { totalLength: 9000 }),
		'IPv4 that may go two hops': four(udp(), { ttl: 2 }),
		'IPv6 that may go two hops': six(udp(), { hopLimit: 2 }),
		'IPv4 with a wrong checksum': patched(four(udp()), CHECKSUM, [0, 0]),
		'IPv4 with a checksum that ends at zero': withChecksum(four(udp(), { ttl: 9 }), 0xfeff),
		'IPv4 with a checksum that carries': withChecksum(four(udp(), { ttl: 9 }), 0xff80),
		'DHCP of a client': four(udp(68, 67)),
		'DHCP of a server': four(udp(67, 68)),
		'DHCP of a client behind IPv4 options': four(udp(68, 67), { options: new Uint8Array(8) }),
		'DHCP of a server behind IPv4 options': four(udp(67, 68), { options: new Uint8Array(8) }),
		'UDP behind IPv4 options with the ports of DHCP': four(udp(), {
			options: Uint8Array.of(0, 68, 0, 67, 0, 0, 0, 0),
		}),
		'TCP to a port of DHCP': four(tcp(40000, 67)),
		'UDP without a header': four(raw(17, nothing)),
		'a later fragment with the ports of DHCP': four(udp(67, 68), { fragment: 1 }),
		IGMP: four(igmp('239.1.2.3')),
		'a redirect': four(icmp(5)),
		'ICMP without a type': four(raw(1, nothing)),
		'another version of IPv6': six(udp(), { version: 4 }),
		'IPv6, longer than it is': six(udp(), { payloadLength: 9000 }),
		'a jumbogram without a length': patched(behind(hopByHop, udp()), ETHERNET + 4, u16(0)),
		'DHCPv6 of a client': six(udp(546, 547)),
		'DHCPv6 of a server': six(udp(547, 546)),
		'UDP over IPv6 without a header': six(raw(17, nothing)),
		TCP: six(tcp()),
		'TCP to a port of DHCPv6': six(tcp(40000, 547)),
		'ICMPv6 without a type': six(raw(58, nothing)),
		'ICMPv6 of no length': six(raw(58, new Uint8Array(8)), { payloadLength: 0 }),
		'an echo': six(icmpv6(128)),
		'ICMPv6 beyond neighbour discovery': six(icmpv6(200)),
		'a router solicitation': nd(routerSolicitation()),
		'a router solicitation with options': nd(routerSolicitation([own, nonce(), nonce()])),
		'a router advertisement': nd(routerAdvertisement()),
		'a redirect of IPv6': nd(redirect(to.ipv6, from.ipv6)),
		'a solicitation': asks(own),
		'a solicitation without options': asks(),
		'a solicitation that says that it is shorter': six(solicitation(to.ipv6, [own]), {
			hopLimit: 255,
			payloadLength: 16,
		}),
		'a solicitation without a target': nd(raw(58, Uint8Array.of(135, 0, 0, 0, 0, 0, 0, 0))),
		...optionsOf(own, target, asks),
		'a solicitation with the MAC of another': asks(sourceLinkLayer(laptop.mac)),
		'an advertisement': nd(advertisement(from.ipv6, [target])),
		'an advertisement without options': nd(advertisement(from.ipv6)),
		'an advertisement with both options': nd(advertisement(from.ipv6, [own, target])),
		'a fragment without a header': cut(six(raw(44, new Uint8Array(8))), ETHERNET + 40),
		'a fragment with half a header': six(raw(44, Uint8Array.of(17, 0, 0, 0))),
		'a fragment that says that it is shorter': six(raw(44, bytesOf([17], new Uint8Array(15))), {
			payloadLength: 7,
		}),
		'a later fragment': behind(fragmentHeader(8, true), udp(546, 547)),
		'a much later fragment': behind(fragmentHeader(4096, true), udp(546, 547)),
		'a first fragment of options': six(udp(), { extensions: [first, destinationOptions] }),
		'a solicitation behind a first fragment and options': six(solicitation(to.ipv6, [own]), {
			extensions: [first, destinationOptions],
			hopLimit: 255,
		}),
		'UDP from the link-local address': six(udp(), { source: from.linkLocal }),
		'UDP over IPv6 from nobody': six(udp(), { source: '::' }),
		'UDP from nobody': four(udp(), { source: '0.0.0.0' }),
		'a solicitation from the link-local address': six(solicitation(to.ipv6, [own]), {
			source: from.linkLocal,
			hopLimit: 255,
		}),
		'an advertisement of the link-local address': six(advertisement(from.linkLocal, [target]), {
			source: from.linkLocal,
			hopLimit: 255,
		}),
		'a solicitation behind two headers': six(solicitation(to.ipv6, [own]), {
			extensions: [destinationOptions, routing],
			hopLimit: 255,
		}),
		'an authenticated solicitation': behind(authentication, solicitation(to.ipv6, [own])),
		...hiddenBehind({ hopByHop, destinationOptions, routing, first }, to, behind),
		ARP: says(),
		'ARP of no request or answer': says({ operation: 3 }),
		'ARP for another kind of addresses': says({ prefix: [0, 1, 8, 0, 6, 16] }),
		'ARP of another kind of device': says({ prefix: [0, 32, 8, 0, 6, 4] }),
		'ARP cut short': cut(says(), ETHERNET + 20),
		'ARP as long as a wire wants it': padded(says()),
		'ARP from nobody': says({ sender: '0.0.0.0' }),
		'ARP about nobody': says({ target: '0.0.0.0' }),
		'ARP about oneself': says({ target: from.ipv4 }),
		'ARP with the MAC of another': says({ senderMac: laptop.mac }),
		'an answer': says({ operation: 2, ...toTarget }),
		'an answer to nobody': says({ operation: 2, target: '0.0.0.0', ...toTarget }),
		'an answer from nobody': says({ operation: 2, sender: '0.0.0.0', ...toTarget }),
		'padded to what a wire takes': padded(four(raw(17, nothing))),
	};
}

/** As much of a transport as shows, behind each of the headers. */
function hiddenBehind(
	extensions: Readonly<Record<string, Extension>>,
	to: Station,
	behind: (extension: Extension, upper: Upper) => Uint8Array,
): Record<string, Uint8Array> {
	const uppers = {
		UDP: udp(),
		'half a UDP header': raw(17, new Uint8Array(4)),
		'DHCPv6 of a client': udp(546, 547),
		'DHCPv6 of a server': udp(547, 546),
		TCP: tcp(),
		'an echo': icmpv6(128),
		'ICMPv6 without a type': raw(58, nothing),
		'a solicitation': solicitation(to.ipv6, [sourceLinkLayer(laptop.mac)]),
		'a router advertisement': routerAdvertisement(),
	};
	return Object.fromEntries(
		Object.entries(extensions).flatMap(([header, extension]) =>
			Object.entries(uppers).map(([what, upper]) => [`${what} behind ${header}`, behind(extension, upper)]),
		),
	);
}

/** Options one after another, the strange one in each place. */
function optionsOf(
	own: NdOption,
	target: NdOption,
	asks: (...options: NdOption[]) => Uint8Array,
): Record<string, Uint8Array> {
	const frames = [0, 1, 2, 3, 4].flatMap(place => {
		const others = new Array<NdOption>(place).fill(nonce());
		return Object.entries({
			no: asks(...others),
			'its own': asks(...others, own),
			'its own and another': asks(...others, own, nonce()),
			'its own twice': asks(own, ...others, own),
			"an advertisement's": asks(...others, target),
			'both kinds': asks(target, ...others, own),
			'an empty': asks(...others, { ...own, length: 0 }),
			'too long an': asks(...others, { ...own, length: 9 }),
		}).map(([what, frame]) => [`a solicitation with ${what} option, and ${place} more`, frame] as const);
	});
	return Object.fromEntries(frames);
}

/** The header's checksum made to be this one, and right, by its identification. */
function withChecksum(frame: Uint8Array, checksum: number): Uint8Array {
	const word = (at: number) => (frame[at]! << 8) | frame[at + 1]!;
	const id = word(ETHERNET + 4) + word(CHECKSUM) + 0xffff - checksum;
	return patched(patched(frame, ETHERNET + 4, u16((id & 0xffff) + (id >> 16))), CHECKSUM, u16(checksum));
}
