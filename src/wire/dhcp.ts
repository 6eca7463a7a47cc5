/**
 * DHCPv4 (RFC 2131) as far as MAC-NAT needs it. Offsets count from the BOOTP header, which follows UDP's:
 *
 *      0    1       2      3      4     8      10      12       16       20       24       28
 *      | op | htype | hlen | hops | xid | secs | flags | ciaddr | yiaddr | siaddr | giaddr | chaddr (16) …
 *      236: magic cookie (4), then options: type, length, value …, 255
 */
export const DHCP_OP = 0;
export const DHCP_HARDWARE = 1;
export const DHCP_XID = 4;
export const DHCP_FLAGS = 10;
export const DHCP_CIADDR = 12;
export const DHCP_YIADDR = 16;
export const DHCP_GIADDR = 24;
export const DHCP_CHADDR = 28;
export const DHCP_COOKIE = 236;
export const DHCP_OPTIONS = 240;

export const BOOT_REQUEST = 1;
export const BOOT_REPLY = 2;
export const DHCP_MAGIC = 0x63825363;
export const DHCP_FLAG_BROADCAST = 0x8000;

/** RFC 2132. */
export const OPTION_PAD = 0;
export const OPTION_LEASE_TIME = 51;
export const OPTION_OVERLOAD = 52;
export const OPTION_MESSAGE_TYPE = 53;
export const OPTION_CLIENT_ID = 61;
export const OPTION_END = 255;

export const DHCP_DISCOVER = 1;
export const DHCP_OFFER = 2;
export const DHCP_REQUEST = 3;
export const DHCP_DECLINE = 4;
export const DHCP_ACK = 5;
export const DHCP_NAK = 6;
export const DHCP_RELEASE = 7;

export const UDP_HEADER = 8;
export const UDP_DESTINATION_PORT = 2;
export const UDP_LENGTH = 4;
export const UDP_CHECKSUM = 6;
export const DHCP_SERVER_PORT = 67;
export const DHCP_CLIENT_PORT = 68;

/** Whether a DHCP message for Ethernet, with its cookie, fits `length` bytes. */
export function isDhcp(frame: DataView, bootp: number, length: number): boolean {
	return (
		length >= DHCP_OPTIONS &&
		// Hardware type 1, address length 6.
		frame.getUint16(bootp + DHCP_HARDWARE) === 0x0106 &&
		frame.getUint32(bootp + DHCP_COOKIE) === DHCP_MAGIC
	);
}

/**
 * Offset of an option's type byte, or 0 if it isn't there. `end` is where the message ends; an option that
 * claims to go on past it ends the search, as does OPTION_END, whose offset `findOption(…, OPTION_END)` gives.
 * @param from offset of the first option to look at.
 */
export function findOption(
	frame: DataView,
	bootp: number,
	end: number,
	wanted: number,
	from = bootp + DHCP_OPTIONS,
): number {
	let option = from;
	while (option < end) {
		const type = frame.getUint8(option);
		if (type === OPTION_END) return wanted === OPTION_END ? option : 0;
		if (type === OPTION_PAD) {
			option++;
			continue;
		}
		if (option + 2 > end) return 0;
		const next = option + 2 + frame.getUint8(option + 1);
		if (next > end) return 0;
		if (type === wanted) return option;
		option = next;
	}
	return 0;
}

/** DHCP message type, or 0 for plain BOOTP. */
export function dhcpType(frame: DataView, bootp: number, end: number): number {
	const option = findOption(frame, bootp, end, OPTION_MESSAGE_TYPE);
	return option !== 0 && frame.getUint8(option + 1) === 1 ? frame.getUint8(option + 2) : 0;
}

/** Lease time in seconds, or 0 if the message names none. */
export function leaseTime(frame: DataView, bootp: number, end: number): number {
	const option = findOption(frame, bootp, end, OPTION_LEASE_TIME);
	return option !== 0 && frame.getUint8(option + 1) === 4 ? frame.getUint32(option + 2) : 0;
}
