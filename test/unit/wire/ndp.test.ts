import test from 'ava';
import {
	linkLayerOption,
	ND_HIDDEN,
	ND_MALFORMED,
	NEIGHBOUR_ADVERTISEMENT,
	NEIGHBOUR_SOLICITATION,
	ndType,
	OPTION_SOURCE_LINK_LAYER,
	OPTION_TARGET_LINK_LAYER,
	REDIRECT,
	ROUTER_ADVERTISEMENT,
	ROUTER_SOLICITATION,
} from '../../../src/wire/ndp.js';
import {
	advertisement,
	destinationOptions,
	type Extension,
	fragmentHeader,
	hopByHop,
	icmpv6,
	ipv6,
	nonce,
	raw,
	redirect,
	routerAdvertisement,
	routerSolicitation,
	routing,
	solicitation,
	sourceLinkLayer,
	targetLinkLayer,
	type Upper,
	udp,
} from '../../helpers/frames.js';

const mac = '52:54:00:00:00:11';
const target = '2001:db8::1';
const question = solicitation(target, [sourceLinkLayer(mac)]);

function packet(upper: Upper, extensions: Extension[] = []): DataView {
	const { bytes } = ipv6({ source: 'fe80::1', destination: 'ff02::1', hopLimit: 255, extensions }, upper);
	return new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
}

for (const [name, upper, type] of [
	['a router solicitation', routerSolicitation(), ROUTER_SOLICITATION],
	['a router advertisement', routerAdvertisement([sourceLinkLayer(mac)]), ROUTER_ADVERTISEMENT],
	['a neighbour solicitation', question, NEIGHBOUR_SOLICITATION],
	['a neighbour advertisement', advertisement(target), NEIGHBOUR_ADVERTISEMENT],
	['a redirect', redirect(target, target, [targetLinkLayer(mac)]), REDIRECT],
	[
		'both kinds of link-layer option',
		solicitation(target, [targetLinkLayer(mac), sourceLinkLayer(mac)]),
		NEIGHBOUR_SOLICITATION,
	],
	['an echo request', icmpv6(128), 0],
	['an MLD report', icmpv6(143), 0],
	['ICMPv6 of type 132', icmpv6(132), 0],
	['ICMPv6 of type 138', icmpv6(138), 0],
	['UDP', udp(), 0],
	['no next header', raw(59), 0],
	['ICMPv6 of no bytes', raw(58), ND_MALFORMED],
	['ICMPv6 of one byte', raw(58, Uint8Array.of(135)), ND_MALFORMED],
	[
		'a solicitation with the same option twice',
		solicitation(target, [sourceLinkLayer(mac), sourceLinkLayer(mac)]),
		ND_MALFORMED,
	],
] as const) {
	test(`${name} is ${type === 0 ? 'no discovery' : `type ${type}`}`, t =>
		t.is(ndType(packet(upper), 0), type));
}

const options = (count: number) => new Array<Extension>(count).fill(destinationOptions);

for (const [name, extensions, upper, type] of [
	['hop-by-hop options', [hopByHop], question, ND_HIDDEN],
	['a routing header', [routing], question, ND_HIDDEN],
	['eight headers', options(8), question, ND_HIDDEN],
	['nine headers', options(9), question, ND_HIDDEN],
	['eight headers, UDP', options(8), udp(), 0],
	['nine headers, UDP', options(9), udp(), ND_HIDDEN],
	['an atomic fragment', [fragmentHeader(0, false)], question, ND_HIDDEN],
	['a first fragment, an echo', [fragmentHeader(0, true)], icmpv6(128), 0],
	['a first fragment without its header', [fragmentHeader(0, true)], raw(58), ND_HIDDEN],
	['a later fragment', [fragmentHeader(8, true)], question, 0],
	['options in a fragment', [fragmentHeader(0, true), destinationOptions], question, ND_HIDDEN],
	['options in a later fragment', [fragmentHeader(8, true), destinationOptions], question, 0],
	['options, then nothing', [destinationOptions], raw(58), ND_HIDDEN],
	['options, then ESP', [destinationOptions], raw(50, new Uint8Array(16)), 0],
] as const) {
	test(`behind ${name}: ${type === ND_HIDDEN ? 'hidden' : 'no discovery'}`, t => {
		t.is(ndType(packet(upper, [...extensions]), 0), type);
	});
}

test('the link-layer option is found behind others, and only the one of its type', t => {
	const frame = packet(solicitation(target, [nonce(), sourceLinkLayer(mac)]));
	const end = frame.byteLength;
	t.is(linkLayerOption(frame, 40, end, OPTION_SOURCE_LINK_LAYER), 40 + 24 + 8 + 2);
	t.is(linkLayerOption(frame, 40, end, OPTION_TARGET_LINK_LAYER), 0);
});
