/** The kinds of frames that the pure forwarder is measured with: each is a table of frames and where they come from. */
import { PortState } from '../../datapath/port-state.js';
import { EDGE_SLAVES, EDGE_WIRE } from '../../datapath/verdict.js';
import { arp, ethernet, ip, type Packet, solicitation, udp } from '../../wire/compose.js';

export interface Case {
	name: string;
	/** How many guests the port has. */
	guests: number;
	/** Edge that frame number `n` of the table comes from. */
	ingress(n: number): number;
	frame(n: number): Uint8Array;
}

/** Guests of a port; an IPv4 and an IPv6 address each. */
export function portWith(guests: number): PortState {
	const state = new PortState(0x5eed);
	state.setMaster(MASTER);
	state.host = true;
	for (let guest = 0; guest < guests; guest++) {
		state.addSlave(EDGE_SLAVES + guest, mac(guest), false);
		state.assign(address4(guest), EDGE_SLAVES + guest);
		state.assign(address6(guest), EDGE_SLAVES + guest);
	}
	return state;
}

const MASTER = '02:00:00:00:ff:01';
const GATEWAY = '02:00:00:00:ff:02';

const mac = (guest: number): string => `02:00:00:00:${hex(guest >> 8)}:${hex(guest & 255)}`;
const hex = (byte: number): string => byte.toString(16).padStart(2, '0');
const address4 = (guest: number): string => `10.1.${guest >> 8}.${guest & 255}`;
const address6 = (guest: number): string => `fd00::1:${guest.toString(16)}`;
/** Spreads neighbours in the table over all guests, so that no two looked up in a row lie together. */
const partner = (n: number, guests: number): number => (n * 7919 + 1) % guests;
const sender = (n: number, guests: number): number => (n * 104_729) % guests;

function datagram(source: string, destination: string): Packet {
	return ip({ source, destination }, udp(40_000, 9));
}

/** Frames from one guest to another, to the wire, and back. */
function paths(family: string, guests: number, address: typeof address4, far: string): Case[] {
	const crowd = guests > 2 ? `, ${guests} guests` : '';
	const fromGuest = (n: number): number => EDGE_SLAVES + sender(n, guests);
	return [
		{
			name: `guest to guest, ${family}${crowd}`,
			guests,
			ingress: fromGuest,
			frame: n => {
				const [from, to] = [sender(n, guests), partner(n, guests)];
				return ethernet({ source: mac(from), destination: mac(to) }, datagram(address(from), address(to)));
			},
		},
		{
			name: `guest to wire, ${family}${crowd}`,
			guests,
			ingress: fromGuest,
			frame: n => {
				const from = sender(n, guests);
				return ethernet({ source: mac(from), destination: GATEWAY }, datagram(address(from), far));
			},
		},
		{
			name: `wire to guest, ${family}${crowd}`,
			guests,
			ingress: () => EDGE_WIRE,
			frame: n =>
				ethernet({ source: GATEWAY, destination: MASTER }, datagram(far, address(partner(n, guests)))),
		},
	];
}

const neighbours: Case[] = [
	{
		name: 'ARP request for another guest',
		guests: 2,
		ingress: () => EDGE_SLAVES,
		frame: () =>
			ethernet(
				{ source: mac(0), destination: 'ff:ff:ff:ff:ff:ff' },
				arp({ operation: 1, senderMac: mac(0), sender: address4(0), target: address4(1) }),
			),
	},
	{
		name: 'neighbour solicitation for another guest',
		guests: 2,
		ingress: () => EDGE_SLAVES,
		frame: () =>
			ethernet(
				{ source: mac(0), destination: '33:33:ff:01:00:01' },
				ip({ source: address6(0), destination: 'ff02::1:ff01:1', ttl: 255 }, solicitation(address6(1))),
			),
	},
	{
		name: 'forged IPv4 source, dropped',
		guests: 2,
		ingress: () => EDGE_SLAVES,
		frame: () => ethernet({ source: mac(0), destination: mac(1) }, datagram('10.9.9.9', address4(1))),
	},
];

export const cases: readonly Case[] = [
	...paths('IPv4', 2, address4, '192.0.2.1'),
	...paths('IPv6', 2, address6, '2001:db8::1'),
	...paths('IPv4', 1000, address4, '192.0.2.1'),
	...paths('IPv6', 1000, address6, '2001:db8::1'),
	...neighbours,
].map(one => ({ ...one, frame: (n: number) => padded(one.frame(n)) }));

/** To the 60 bytes that Ethernet wants at least. */
function padded(frame: Uint8Array): Uint8Array {
	if (frame.length >= 60) return frame;
	const whole = new Uint8Array(60);
	whole.set(frame);
	return whole;
}
