/** What a guest may send without end: frames of each kind, to be sent in turn. */
import { address, arp, broadcastMac, ethernet, icmpv6, ipv4, ipv6, udp } from '../datapath/frames.js';
import { dhcp } from '../datapath/hostile-speech.js';

export interface Sender {
	mac: string;
	ipv4: string;
}

const VARIETY = 512;

export const storms = {
	broadcast: ({ mac, ipv4: source }: Sender) => [
		ethernet(
			broadcastMac,
			mac,
			0x0800,
			ipv4({ source, destination: '255.255.255.255' }, udp(9, 9, Buffer.alloc(1000))),
		),
	],
	arp: ({ mac, ipv4: sender }: Sender) =>
		many(count =>
			ethernet(
				broadcastMac,
				mac,
				0x0806,
				arp({ operation: 1, senderMac: mac, sender, target: `192.0.2.${count % 250}` }),
			),
		),
	'groups that nobody joined': ({ mac, ipv4: source }: Sender) =>
		many(count =>
			ethernet(
				`01:00:5e:01:${hex(count >> 8)}:${hex(count & 255)}`,
				mac,
				0x0800,
				ipv4({ source, destination: `239.1.${count >> 8}.${count & 255}` }, udp(9, 9, Buffer.alloc(200))),
			),
		),
	'membership reports': ({ mac, ipv4: source }: Sender) =>
		many(count => {
			const group = `239.2.${count >> 8}.${count & 255}`;
			if (count % 2 === 0) {
				const report = Buffer.concat([Buffer.from([0x16, 0, 0, 0]), address(group)]);
				return ethernet(
					`01:00:5e:02:${hex(count >> 8)}:${hex(count & 255)}`,
					mac,
					0x0800,
					ipv4({ source, destination: group, protocol: 2, ttl: 1 }, report),
				);
			}
			const group6 = `ff02::7:${count.toString(16)}`;
			const report = icmpv6(['::', group6], 131, 0, Buffer.concat([Buffer.alloc(4), address(group6)]));
			// Hop-by-hop options with the router alert (RFC 2710, 3).
			const alert = Buffer.from([58, 0, 5, 2, 0, 0, 1, 0]);
			return ethernet(
				`33:33:00:07:${hex(count >> 8)}:${hex(count & 255)}`,
				mac,
				0x86dd,
				ipv6({ source: '::', destination: group6, next: 0, hopLimit: 1 }, Buffer.concat([alert, report])),
			);
		}),
	'DHCP discovers': ({ mac }: Sender) =>
		many(count => {
			const message = dhcp(1, mac);
			message.writeUInt32BE(count, 4);
			return ethernet(
				broadcastMac,
				mac,
				0x0800,
				ipv4({ source: '0.0.0.0', destination: '255.255.255.255' }, udp(68, 67, message)),
			);
		}),
	claims: ({ mac }: Sender) =>
		many(count => {
			const source = `fe80::bad:${count.toString(16)}`;
			return ethernet(
				'33:33:00:00:00:01',
				mac,
				0x86dd,
				ipv6({ source, destination: 'ff02::1' }, udp(9, 9, Buffer.alloc(8))),
			);
		}),
} as const;

export type Kind = keyof typeof storms;

function many(make: (count: number) => Buffer): Buffer[] {
	return Array.from({ length: VARIETY }, (_, count) => make(count));
}

function hex(byte: number): string {
	return byte.toString(16).padStart(2, '0');
}
