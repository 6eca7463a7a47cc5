/** What a DHCPv4 message says about who has an address, once it is known to be one and whose it is. Pure. */

import {
	DHCP_ACK,
	DHCP_CIADDR,
	DHCP_DECLINE,
	DHCP_NAK,
	DHCP_RELEASE,
	DHCP_YIADDR,
	dhcpType,
	findOption,
	leaseTime,
	UDP_HEADER,
	UDP_LENGTH,
} from '../../wire/dhcp.js';
import { ETHERNET_HEADER } from '../../wire/ethernet.js';
import { ipv4Payload } from '../../wire/ip.js';
import { addressText } from '../address-key.js';

/** Address and seconds of the lease that a server's reply grants, or undefined if it grants none. */
export function leaseOf(frame: DataView, at: number): { address: string; seconds: number } | undefined {
	const { bootp, end } = messageAt(frame, at);
	const seconds = leaseTime(frame, bootp, end);
	const granted = dhcpType(frame, bootp, end) === DHCP_ACK && frame.getInt32(bootp + DHCP_YIADDR) !== 0;
	return granted && seconds > 0
		? { address: addressText(frame, bootp + DHCP_YIADDR, 4), seconds }
		: undefined;
}

/** Whether a server tells a client that its address isn't its own any more. */
export function isNak(frame: DataView, at: number): boolean {
	const { bootp, end } = messageAt(frame, at);
	return dhcpType(frame, bootp, end) === DHCP_NAK;
}

/** The address that a client gives back, or declines because another machine uses it; otherwise undefined. */
export function releasedAddress(frame: DataView, at: number): string | undefined {
	const { bootp, end } = messageAt(frame, at);
	const type = dhcpType(frame, bootp, end);
	if (type === DHCP_RELEASE) return addressText(frame, bootp + DHCP_CIADDR, 4);
	const requested = findOption(frame, bootp, end, OPTION_REQUESTED_ADDRESS);
	if (type !== DHCP_DECLINE || requested === 0 || frame.getUint8(requested + 1) !== 4) return undefined;
	return addressText(frame, requested + 2, 4);
}

/** RFC 2132, 9.1. */
const OPTION_REQUESTED_ADDRESS = 50;

function messageAt(frame: DataView, at: number): { bootp: number; end: number } {
	const ip = at + ETHERNET_HEADER;
	const udp = ipv4Payload(frame, ip);
	return { bootp: udp + UDP_HEADER, end: udp + frame.getUint16(udp + UDP_LENGTH) };
}
