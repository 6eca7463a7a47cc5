/** The Internet checksum: whole (RFC 1071) and by difference (RFC 1624). */
import { ETH_SOURCE } from './ethernet.js';
import { IPV6_SOURCE, PROTOCOL_ICMPV6 } from './ip.js';
import { ICMPV6_CHECKSUM } from './ndp.js';

/** Folded one's complement sum of `length` bytes from `at`, not yet complemented; `initial` is added first. */
export function sumOf(frame: DataView, at: number, length: number, initial = 0): number {
	let sum = initial;
	const even = at + (length & ~1);
	for (let offset = at; offset < even; offset += 2) sum += frame.getUint16(offset);
	if (length & 1) sum += frame.getUint8(even) << 8;
	return fold(sum);
}

/** Sum of the pseudo-header for `length` bytes of `protocol` between the addresses at `addresses` (RFC 768). */
export function pseudoHeader4(frame: DataView, addresses: number, length: number, protocol: number): number {
	return sumOf(frame, addresses, 8, length + protocol);
}

/** The same for IPv6 (RFC 8200, 8.1). */
export function pseudoHeader6(frame: DataView, addresses: number, length: number, protocol: number): number {
	return sumOf(frame, addresses, 32, length + protocol);
}

/** Makes the checksum of the ICMPv6 message of `length` bytes at `message`, of the packet at `ip`, whole (RFC 4443, 2.3). */
export function writeIcmpv6Checksum(frame: DataView, ip: number, message: number, length: number): void {
	frame.setUint16(message + ICMPV6_CHECKSUM, 0);
	const header = pseudoHeader6(frame, ip + IPV6_SOURCE, length, PROTOCOL_ICMPV6);
	frame.setUint16(message + ICMPV6_CHECKSUM, ~sumOf(frame, message, length, header) & 0xffff);
}

/**
 * Overwrites the MAC at `at` and corrects the checksum field at `checksum` that covers it.
 * RFC 1624, equation 3: HC' = ~(~HC + ~m + m'), for the three words of the MAC.
 */
export function replaceMacInChecksum(
	frame: DataView,
	at: number,
	high: number,
	low: number,
	checksum: number,
): void {
	const old = sumOf(frame, at, ETH_SOURCE);
	frame.setUint16(at, high);
	frame.setInt32(at + 2, low);
	const sum = fold((~frame.getUint16(checksum) & 0xffff) + (~old & 0xffff) + sumOf(frame, at, ETH_SOURCE));
	frame.setUint16(checksum, ~sum & 0xffff);
}

function fold(sum: number): number {
	let folded = sum;
	while (folded > 0xffff) folded = (folded & 0xffff) + Math.floor(folded / 0x10000);
	return folded;
}
