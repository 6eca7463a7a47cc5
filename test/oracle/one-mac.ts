/**
 * The kernel's ipvtap knows one MAC: every guest has the master's. Our guests have their own, and MAC-NAT on the way
 * out and in. Seen through this map, which gives every guest the master's MAC, the two can be compared byte by byte.
 */
import { internetChecksum, mac, octets, withDestination } from '../helpers/frames.js';
import { addressesOf, MASTER, slaves } from '../helpers/world.js';

/** The frame with the master's MAC in place of any guest's, wherever it stands; an ICMPv6 checksum follows. */
export function withOneMac(frame: Uint8Array): Uint8Array {
	const copy = Buffer.from(frame);
	for (const guest of guests) {
		for (let at = copy.indexOf(guest); at >= 0; at = copy.indexOf(guest, at + guest.length)) {
			copy.set(master, at);
		}
	}
	if (isIcmpv6(frame)) followChecksum(frame, copy);
	return copy;
}

/**
 * The other way round, for a driver that gives each guest a MAC of its own: what the wire sends to a guest's address by
 * the master's MAC, it would send to the guest's.
 */
export function toOwnMac(frame: Uint8Array): Uint8Array {
	if (!Buffer.from(frame.subarray(0, 6)).equals(master)) return frame;
	const owner = slaves.find(
		slave => slave.owns && addressesOf(slave).some(address => isFor(frame, Buffer.from(octets(address)))),
	);
	return owner === undefined ? frame : withDestination(frame, owner.mac);
}

/** Whether the address stands where IPv4, IPv6 or ARP have the receiver's. */
function isFor(frame: Uint8Array, address: Buffer): boolean {
	const at = new Map([
		['0800', 30],
		['0806', 38],
		['86dd', 38],
	]).get(Buffer.from(frame.subarray(12, 14)).toString('hex'));
	const length = frame[12] === 0x86 ? 16 : 4;
	return at !== undefined && length === address.length && address.equals(frame.subarray(at, at + length));
}

const guests = slaves.map(slave => Buffer.from(mac(slave.mac)));
const master = Buffer.from(mac(MASTER));
const ICMPV6 = 14 + 40;

function isIcmpv6(frame: Uint8Array): boolean {
	return frame.length >= ICMPV6 + 4 && frame[12] === 0x86 && frame[13] === 0xdd && frame[14 + 6] === 58;
}

/** RFC 1624: a wrong checksum stays as wrong as it was. */
function followChecksum(before: Uint8Array, after: Buffer): void {
	const complement = (bytes: Uint8Array): Uint8Array => bytes.map(byte => ~byte & 0xff);
	const parts = [before.slice(ICMPV6 + 2, ICMPV6 + 4), before.slice(ICMPV6 + 4), after.subarray(ICMPV6 + 4)];
	const [checksum, old, now] = parts as [Uint8Array, Uint8Array, Uint8Array];
	const even = (bytes: Uint8Array): Uint8Array =>
		bytes.length % 2 === 0 ? bytes : Uint8Array.of(...bytes, 0);
	const terms = [complement(checksum), complement(even(old)), even(now)];
	after.writeUInt16BE(internetChecksum(Buffer.concat(terms)), ICMPV6 + 2);
}
