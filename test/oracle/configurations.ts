/** The standard port (helpers/world.ts) as the kernel's own drivers make it. */
import type { FlagName } from '../../src/datapath/port-state.js';
import type { Place } from '../cases/case.js';
import { packet4 } from '../cases/traffic.js';
import { text, udp, withDestination } from '../helpers/frames.js';
import {
	addressesOf,
	BROADCAST,
	gateway,
	host,
	laptop,
	MASTER,
	type Slave,
	slaves,
	vm1,
} from '../helpers/world.js';
import { withOneMac } from './one-mac.js';
import { type Configuration, type End, type Injection, type Marker, markerText } from './plan.js';

export type Driver = 'ipvtap' | 'ipvlan' | 'macvtap';
export type Mode = 'l2' | 'l3' | 'l3s';

export interface Kind {
	driver: Driver;
	/** Means nothing to macvtap. */
	mode: Mode;
	flag: FlagName;
}

/**
 * A guest behind ipvlan is a network namespace, as there is no TAP: the only way to see what `l3s` delivers, since it
 * does so inside the stack.
 */
export function configuration(kind: Kind, injections: readonly Injection[]): Configuration {
	const { driver, mode, flag } = kind;
	const type = driver === 'macvtap' ? `macvtap mode ${flag}` : `${driver} mode ${mode} ${flag}`;
	const ownMac = (mac: string): string => (driver === 'macvtap' ? `address ${mac}` : '');
	return {
		name: nameOf(kind),
		settings,
		links: [
			`link add eth0 address ${MASTER} type veth peer name far`,
			'link set far arp off up',
			'link set eth0 up',
			...addressesOf(host).map(address => `address add ${withLength(address)} dev eth0`),
			...[gateway, laptop, ...slaves].flatMap(station =>
				addressesOf(station).map(
					address => `neighbour replace ${address} lladdr ${station.mac} nud permanent dev eth0`,
				),
			),
			`route add default via ${gateway.ipv4}`,
			`route add default via ${gateway.ipv6} dev eth0`,
			...slaves.flatMap(slave => [
				`link add link eth0 name ${slave.name} ${ownMac(slave.mac)} type ${type}`,
				...(driver === 'ipvlan'
					? [
							`netns add ${namespaceOf(kind, slave)}`,
							`link set ${slave.name} netns ${namespaceOf(kind, slave)}`,
						]
					: configured(slave)),
			]),
		],
		inside:
			driver === 'ipvlan'
				? Object.fromEntries(slaves.map(slave => [namespaceOf(kind, slave), configured(slave)]))
				: {},
		rules: rules(driver),
		rulesInside,
		root: 'eth0',
		ends: [...ends, ...slaves.map(slave => guestEnd(kind, slave))],
		markers: markers(kind),
		injections,
	};
}

export function nameOf({ driver, mode, flag }: Kind): string {
	return driver === 'macvtap' ? `macvtap ${flag}` : `${driver} ${mode} ${flag}`;
}

function configured({ name, owns, ...station }: Slave): string[] {
	const addresses = owns ? addressesOf(station) : [];
	return [
		...addresses.map(
			address =>
				`address add ${withLength(address)} dev ${name} noprefixroute ${address.includes(':') ? 'nodad' : ''}`,
		),
		`link set ${name} up`,
	];
}

function guestEnd(kind: Kind, slave: Slave): End {
	const { name } = slave;
	return kind.driver === 'ipvlan'
		? { place: name, device: name, namespace: namespaceOf(kind, slave), kind: 'stack' }
		: { place: name, device: name, kind: 'tap' };
}

function namespaceOf(kind: Kind, { name }: Slave): string {
	return `${nameOf(kind).replaceAll(' ', '-')}-${name}`;
}

function withLength(address: string): string {
	return `${address}/${address.includes(':') ? 64 : 24}`;
}

const ETH_P_ALL = 3;
/** Ethertypes that the host is listened to for: a socket for all of them would see what others take, too. */
const ethertypes = [
	0x0800, 0x86dd, 0x0806, 0x8035, 0x8100, 0x88a8, 0x8808, 0x8847, 0x8863, 0x888e, 0x88cc, 0x88e5, 0xffff,
	// ETH_P_802_2: whatever has a length in the type's place.
	4,
];

const ends: End[] = [
	{ place: 'wire', device: 'far', kind: [ETH_P_ALL] },
	{ place: 'host', device: 'eth0', kind: ethertypes },
	// What is routed to the host itself comes to it that way.
	{ place: 'host', device: 'lo', kind: [0x0800, 0x86dd] },
];

/** The host's stack neither answers nor speaks by itself; but what a namespace gets in l3s has to pass it. */
function rules(driver: Driver): string {
	const passing = driver === 'ipvlan' ? `${forGuests('ip', '.')}\n${forGuests('ip6', ':')}` : '';
	return `
flush ruleset
table inet silence {
	chain in {
		type filter hook input priority 0; policy drop;
		${passing}
	}
	chain out {
		type filter hook output priority 0; policy accept;
		meta l4proto igmp drop
		icmpv6 type { 131, 132, 133, 143 } drop
		# Errors: how many there are is a matter of time (icmp_ratelimit), and so none is a verdict.
		icmp type { 3, 11 } drop
		icmpv6 type { 1, 3 } drop
	}
}
`;
}

/** A guest that is a stack says nothing by itself; what a raw socket sends is no matter of netfilter's. */
const rulesInside = `
table inet silence {
	chain out {
		type filter hook output priority 0; policy drop;
	}
}
`;

function forGuests(family: 'ip' | 'ip6', sign: string): string {
	const addresses = slaves.flatMap(addressesOf).filter(address => address.includes(sign));
	return `${family} daddr { ${addresses.join(', ')} } accept`;
}

const settings = {
	'net/ipv4/conf/all/arp_ignore': 8,
	'net/ipv6/conf/default/accept_dad': 0,
	'net/ipv6/conf/default/accept_ra': 0,
	'net/ipv6/conf/default/addr_gen_mode': 1,
	'net/ipv6/conf/default/dad_transmits': 0,
	'net/ipv6/conf/default/router_solicitations': 0,
};

/** Broadcast goes the longest way there is, through the worker; where none passes, all is done at once. */
function markers({ driver, mode, flag }: Kind): Partial<Record<Place, Marker>> {
	const payload = udp(9, 9, text(markerText));
	const hex = (frame: Uint8Array): string => Buffer.from(frame).toString('hex');
	const names = slaves.map(({ name }) => name);
	const routed = driver !== 'macvtap' && mode !== 'l2';
	const copies = driver === 'macvtap' ? flag === 'bridge' : !routed;
	const fromWire = packet4(gateway, vm1, { destination: MASTER }, payload);
	const fromHost = packet4(host, gateway, {}, payload);
	// A TAP of l3s hears nothing of the wire: it all ends in the host's stack.
	const reached: Place = mode === 'l3s' && driver === 'ipvtap' ? 'host' : 'vm1';
	const entries: [Place, Marker][] = [
		routed
			? ['wire', { frame: hex(fromWire), reaches: [reached] }]
			: ['wire', { frame: hex(withDestination(fromWire, BROADCAST)), reaches: ['host', ...names] }],
		['host', { frame: hex(fromHost), reaches: ['wire'] }],
		...slaves.map((slave): [Place, Marker] => {
			const toGateway = packet4(slave, gateway, {}, payload);
			const frame = routed ? toGateway : withDestination(toGateway, BROADCAST);
			const others = copies ? names.filter(name => name !== slave.name) : [];
			const shown = driver === 'macvtap' ? frame : withOneMac(frame);
			return [slave.name, { frame: hex(shown), reaches: ['wire', ...others] }];
		}),
	];
	return Object.fromEntries(entries);
}
