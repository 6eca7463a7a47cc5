/** The frames of an evil guest: who speaks, in what words, and where each frame should end. */
import {
	arp,
	broadcastMac,
	ethernet,
	extension,
	fragment,
	icmpv6,
	ipv4,
	ipv6,
	mac,
	routerAdvertisement,
} from './frames.js';
import { far, type Guest } from './site.js';

/** Set before any frame is made. */
export let evil: Guest;
export let victim: Guest;

export function speakAs(speaker: Guest, listener: Guest): void {
	evil = speaker;
	victim = listener;
}

export const victimLinkLocal = 'fe80::12';
export const evilLinkLocal = 'fe80::11';
/** Where a frame ends up, or why it doesn't. */
export type Fate = 'refused' | 'unseen' | 'wire' | 'victim' | 'wire victim' | 'nowhere' | { drop: string };
export type Case = [name: string, frame: () => Buffer, fate: Fate | Fate[]];

export const malformed: Fate = { drop: 'malformed' };
export const ipSpoof: Fate = { drop: 'ip-spoof' };
export const ethertype: Fate = { drop: 'ethertype' };
export const vlan: Fate = { drop: 'vlan' };
export const hidden: Fate = { drop: 'nd-hidden' };

export const v4 = (
	fields: Partial<Parameters<typeof ipv4>[0]> = {},
	payload?: Uint8Array,
	to: string = far.mac,
): Buffer =>
	ethernet(to, evil.mac, 0x0800, ipv4({ source: evil.ipv4, destination: far.ipv4, ...fields }, payload));
export const v6 = (
	fields: Partial<Parameters<typeof ipv6>[0]> = {},
	payload?: Uint8Array,
	from: string = evil.mac,
	to: string = far.mac,
): Buffer =>
	ethernet(to, from, 0x86dd, ipv6({ source: evil.ipv6, destination: far.ipv6, ...fields }, payload));
export const arpFrame = (fields: Partial<Parameters<typeof arp>[0]>, to = broadcastMac): Buffer =>
	ethernet(
		to,
		evil.mac,
		0x0806,
		arp({ operation: 1, senderMac: evil.mac, sender: evil.ipv4, target: far.ipv4, ...fields }),
	);
export const nd = (type: number, source: string, destination: string, body: Buffer, to: string): Buffer =>
	v6(
		{ source, destination, next: 58, hopLimit: 255 },
		icmpv6([source, destination], type, 0, body),
		evil.mac,
		to,
	);
export const allNodes = 'ff02::1';
export const allNodesMac = '33:33:00:00:00:01';
/** An ICMPv6 message behind extension headers of the given types, the first nearest to the IPv6 header. */
export const behind = (types: readonly number[], type: number, body: Buffer): Buffer => {
	let packet: Buffer = icmpv6([evilLinkLocal, allNodes], type, 0, body);
	let next = 58;
	for (const header of [...types].reverse()) {
		packet = Buffer.concat([header === 44 ? fragment(next) : extension(next), packet]);
		next = header;
	}
	return v6(
		{ source: evilLinkLocal, destination: allNodes, next, hopLimit: 255 },
		packet,
		evil.mac,
		allNodesMac,
	);
};
export const ra = (): Buffer => routerAdvertisement(evil.mac);
export const echo6 = Buffer.from([0, 1, 0, 1]);

export function range(from: number, to: number): number[] {
	return Array.from({ length: to - from + 1 }, (_, index) => from + index);
}

/** A DHCP message of the type (RFC 2132, 9.6) about the hardware address. */
export function dhcp(type: number, chaddr: string, operation = 1): Buffer {
	const message = Buffer.alloc(247);
	message.set([operation, 1, 6, 0, 0x12, 0x34, 0x56, type]);
	message.set(mac(chaddr), 28);
	message.set([0x63, 0x82, 0x53, 0x63, 53, 1, type, 255], 236);
	return message.subarray(0, 244);
}
