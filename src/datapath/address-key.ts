/** Text addresses to the words that tables and filters compare, and back. */

import ipaddr from 'ipaddr.js';
import { parseMac } from '../wire/ethernet.js';
import { linkLocalOf } from '../wire/ip.js';

export interface AddressKey {
	family: 4 | 6;
	/** The address in network order, as signed 32-bit words: one for IPv4, four for IPv6. */
	words: Int32Array;
	/** The same as bytes: 4 or 16. */
	bytes: DataView;
}

/** @throws Error if `text` is neither an IPv4 nor an IPv6 address. */
export function keyOf(text: string): AddressKey {
	const octets = Uint8Array.from(ipaddr.parse(text).toByteArray());
	const bytes = new DataView(octets.buffer);
	const words = new Int32Array(octets.length / 4);
	for (let word = 0; word < words.length; word++) words[word] = bytes.getInt32(word * 4);
	return { family: words.length === 1 ? 4 : 6, words, bytes };
}

/** Of a text that is known to be an address: a storm of claims asks for it with each frame. */
export function familyOf(address: string): 4 | 6 {
	return address.includes(':') ? 6 : 4;
}

/** RFC 5952 text of the IPv6 address, dotted quad of the IPv4 address, whose bytes begin at `at`. */
export function addressText(frame: DataView, at: number, family: 4 | 6): string {
	const octets = Array.from({ length: family === 4 ? 4 : 16 }, (_, index) => frame.getUint8(at + index));
	const address = ipaddr.fromByteArray(octets);
	return address.kind() === 'ipv6' ? (address as ipaddr.IPv6).toRFC5952String() : address.toString();
}

/** Text of the link-local address that a machine makes of its MAC. @throws RangeError for what is no MAC. */
export function linkLocalText(mac: string): string {
	return addressText(linkLocalOf(parseMac(mac)), 0, 6);
}
