/**
 * Router advertisements for guests that may not choose their addresses. Such a guest, told that a prefix is for
 * autoconfiguration, would make itself an address in it, prefer that to the one it was given, and be dropped for
 * it. So its copy says that the prefix is on-link, and not that it is autonomous (RFC 4861, 4.6.2).
 */
import { writeIcmpv6Checksum } from '../../wire/checksum.js';
import { ETH_TYPE, ETHERNET_HEADER, ETHERTYPE_IPV6 } from '../../wire/ethernet.js';
import { IPV6_HEADER, IPV6_PAYLOAD_LENGTH } from '../../wire/ip.js';
import { ndOptionsAt, ndType, ROUTER_ADVERTISEMENT } from '../../wire/ndp.js';
import { checksumIsPartial } from '../../wire/vnet-header.js';

/** The frame's headers are known to be whole. */
export function isRouterAdvertisement(frame: DataView, at: number): boolean {
	return (
		frame.getUint16(at + ETH_TYPE) === ETHERTYPE_IPV6 &&
		ndType(frame, at + ETHERNET_HEADER) === ROUTER_ADVERTISEMENT
	);
}

/** Clears the autonomous flag of each prefix in the advertisement, in place. */
export function clearAutonomous(frame: DataView, at: number): void {
	const ip = at + ETHERNET_HEADER;
	const icmp = ip + IPV6_HEADER;
	const length = frame.getUint16(ip + IPV6_PAYLOAD_LENGTH);
	const end = icmp + length;
	for (let option = icmp + ndOptionsAt(ROUTER_ADVERTISEMENT); option < end; ) {
		const flags = option + PREFIX_FLAGS;
		if (frame.getUint8(option) === OPTION_PREFIX) frame.setUint8(flags, frame.getUint8(flags) & ~AUTONOMOUS);
		option += frame.getUint8(option + 1) << 3;
	}
	// Left to whoever sends at last, it holds the pseudo-header alone, and that hasn't changed.
	if (checksumIsPartial(frame, at)) return;
	writeIcmpv6Checksum(frame, ip, icmp, length);
}

const OPTION_PREFIX = 3;
/** On-link and autonomous, from the start of the option. */
const PREFIX_FLAGS = 3;
const AUTONOMOUS = 0x40;
