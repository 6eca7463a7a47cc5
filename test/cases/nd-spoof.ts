/** Design 5.1: the lies of neighbour discovery, told openly, or where a filter might not look. */
import {
	advertisement,
	destinationOptions,
	type Extension,
	ethernet,
	fragmentHeader,
	hopByHop,
	icmpv6,
	ipv6,
	type NdOption,
	nonce,
	raw,
	redirect,
	routerAdvertisement,
	routing,
	sourceLinkLayer,
	targetLinkLayer,
	udp,
	upperBytes,
} from '../helpers/frames.js';
import { gateway, host, laptop, MASTER, vm1, vm2, vm3, vm4 } from '../helpers/world.js';
import { type Case, dropped } from './case.js';
import {
	ALL_NODES,
	advertise,
	advertiseToAll,
	detectDuplicate,
	groupMac6,
	packet6,
	solicit,
	solicitRouters,
} from './traffic.js';

/** A forged advertisement that says the gateway is at vm1. */
const forged = advertisement(gateway.linkLocal, [targetLinkLayer(vm1.mac)], 0xa0);

/** Forged, with extension headers in front: whoever looks only at a fixed place doesn't see what it is. */
function hidden(...extensions: Extension[]): Uint8Array {
	return ethernet(
		{ source: vm1.mac, destination: groupMac6(ALL_NODES) },
		ipv6({ source: vm1.linkLocal, destination: ALL_NODES, hopLimit: 255, extensions }, forged),
	);
}

function twice(option: NdOption, second: NdOption): NdOption[] {
	return [option, nonce(), second];
}

const nine = new Array<Extension>(9).fill(destinationOptions);
const firstBytes = upperBytes(vm1.linkLocal, ALL_NODES, forged).slice(0, 8);
const toAll = { source: vm1.mac, destination: groupMac6(ALL_NODES) };
const fromVm1 = { source: vm1.linkLocal, destination: ALL_NODES, hopLimit: 255 };

export const ndSpoofCases: Case[] = [
	dropped(
		"a solicitation with another guest's address",
		'vm1',
		solicit({ ...vm2, mac: vm1.mac }, gateway.linkLocal),
		'nd-spoof',
	),
	dropped(
		"a solicitation with the host's address",
		'vm1',
		solicit({ ...host, mac: vm1.mac }, gateway.linkLocal),
		'nd-spoof',
	),
	dropped(
		'a solicitation with a global address of nobody, without learning',
		'vm1',
		solicit(vm1, gateway.linkLocal, {}, { source: '2001:db8:1::99' }),
		'nd-spoof',
	),
	dropped(
		"a solicitation with another guest's MAC in its option",
		'vm1',
		solicit(vm1, gateway.linkLocal, {}, {}, [sourceLinkLayer(vm2.mac)]),
		'nd-spoof',
	),
	dropped(
		"a solicitation with the master's MAC in its option",
		'vm1',
		solicit(vm1, gateway.linkLocal, {}, {}, [sourceLinkLayer(MASTER)]),
		'nd-spoof',
	),
	dropped(
		"a router solicitation with another guest's MAC in its option",
		'vm1',
		ethernet(
			{ source: vm1.mac, destination: groupMac6('ff02::2') },
			ipv6(
				{ source: vm1.linkLocal, destination: 'ff02::2', hopLimit: 255 },
				icmpv6(133, Uint8Array.of(0, 0, 0, 0, 1, 1, 0x52, 0x54, 0, 0, 0, 0x12)),
			),
		),
		'nd-spoof',
	),
	dropped(
		"a router solicitation with another guest's address",
		'vm1',
		solicitRouters({ ...vm2, mac: vm1.mac }),
		'nd-spoof',
	),
	dropped(
		"an advertisement for another guest's address",
		'vm1',
		advertise(vm1, gateway, vm2.linkLocal),
		'nd-spoof',
	),
	dropped(
		"an advertisement for the host's address",
		'vm3',
		advertise({ ...vm3, linkLocal: 'fe80::aa' }, gateway, host.linkLocal),
		'nd-spoof',
	),
	dropped(
		'an advertisement for a global address of nobody, without learning',
		'vm1',
		advertise(vm1, laptop, gateway.ipv6),
		'nd-spoof',
	),
	dropped(
		"an unsolicited advertisement for another guest's address",
		'vm1',
		advertiseToAll(vm1, vm2.ipv6),
		'nd-spoof',
	),
	dropped(
		"an advertisement with another guest's address as source",
		'vm1',
		advertise({ ...vm2, mac: vm1.mac }, gateway, vm1.linkLocal),
		'nd-spoof',
	),
	dropped(
		"an advertisement with the gateway's MAC in its option",
		'vm1',
		advertise(vm1, vm2, vm1.linkLocal, {}, {}, [targetLinkLayer(gateway.mac)]),
		'nd-spoof',
	),
	dropped(
		'an advertisement from nobody for an address of nobody, without learning',
		'vm1',
		advertise({ ...vm1, linkLocal: '::' }, laptop, '2001:db8:1::99'),
		'nd-spoof',
	),
	dropped(
		'duplicate address detection for an address of nobody, without learning',
		'vm1',
		detectDuplicate(vm1, '2001:db8:1::99'),
		'nd-spoof',
	),
	dropped('duplicate address detection for a group', 'vm3', detectDuplicate(vm3, 'ff02::1'), 'nd-spoof'),
	dropped(
		'two link-layer options in a solicitation: which one would be believed?',
		'vm1',
		solicit(vm1, gateway.linkLocal, {}, {}, twice(sourceLinkLayer(vm1.mac), sourceLinkLayer(gateway.mac))),
		'malformed',
	),
	dropped(
		'two link-layer options in an advertisement',
		'vm1',
		advertise(
			vm1,
			gateway,
			vm1.linkLocal,
			{},
			{},
			twice(targetLinkLayer(vm1.mac), targetLinkLayer(gateway.mac)),
		),
		'malformed',
	),

	dropped(
		'a router advertisement',
		'vm1',
		packet6(vm1, vm2, {}, routerAdvertisement([sourceLinkLayer(vm1.mac)]), {
			source: vm1.linkLocal,
			hopLimit: 255,
		}),
		'router-guard',
	),
	dropped(
		'a router advertisement to all nodes',
		'vm4',
		ethernet(
			{ source: vm4.mac, destination: groupMac6(ALL_NODES) },
			ipv6({ source: vm4.linkLocal, destination: ALL_NODES, hopLimit: 255 }, routerAdvertisement()),
		),
		'router-guard',
	),
	dropped(
		'a redirect',
		'vm1',
		packet6(vm1, vm2, {}, redirect(vm1.linkLocal, gateway.ipv6), { source: vm1.linkLocal, hopLimit: 255 }),
		'router-guard',
	),

	dropped('an advertisement behind hop-by-hop options', 'vm1', hidden(hopByHop), 'nd-hidden'),
	dropped('an advertisement behind destination options', 'vm1', hidden(destinationOptions), 'nd-hidden'),
	dropped('an advertisement behind a routing header', 'vm1', hidden(routing), 'nd-hidden'),
	dropped('an advertisement in an atomic fragment', 'vm1', hidden(fragmentHeader(0, false)), 'nd-hidden'),
	dropped('the first fragment of an advertisement', 'vm1', hidden(fragmentHeader(0, true)), 'nd-hidden'),
	dropped(
		'the first eight bytes of an advertisement',
		'vm1',
		ethernet(toAll, ipv6({ ...fromVm1, extensions: [fragmentHeader(0, true)] }, raw(58, firstBytes))),
		'nd-hidden',
	),
	dropped(
		'an advertisement behind options in a fragment',
		'vm1',
		hidden(fragmentHeader(0, false), destinationOptions),
		'nd-hidden',
	),
	dropped(
		'an advertisement behind options before and in a fragment',
		'vm1',
		hidden(hopByHop, destinationOptions, fragmentHeader(0, false), destinationOptions),
		'nd-hidden',
	),
	dropped(
		'an advertisement behind a fragment of a fragment',
		'vm1',
		hidden(fragmentHeader(0, false), fragmentHeader(0, false)),
		'nd-hidden',
	),
	dropped('an advertisement behind nine extension headers', 'vm1', hidden(...nine), 'nd-hidden'),
	dropped(
		'anything behind nine extension headers',
		'vm1',
		packet6(vm1, gateway, {}, udp(), { extensions: nine }),
		'nd-hidden',
	),
	dropped(
		'a first fragment that ends before its headers do',
		'vm1',
		ethernet(toAll, ipv6({ ...fromVm1, extensions: [fragmentHeader(0, true)] }, raw(60))),
		'nd-hidden',
	),
	dropped(
		'a first fragment that ends before its ICMPv6 header',
		'vm1',
		ethernet(toAll, ipv6({ ...fromVm1, extensions: [fragmentHeader(0, true), destinationOptions] }, raw(58))),
		'nd-hidden',
	),
	dropped(
		'a router advertisement behind destination options',
		'vm1',
		ethernet(toAll, ipv6({ ...fromVm1, extensions: [destinationOptions] }, routerAdvertisement())),
		'nd-hidden',
	),
];
