/**
 * Ethernet II as ipvtap sees it: `at` is the offset of the destination MAC in `frame`, `length` counts from
 * there to the frame's last byte, without FCS. Readers here check nothing: `classify` has checked the length.
 *
 *      0            6            12          14
 *      | dst MAC    | src MAC    | ethertype | payload …
 */
export const ETHERNET_HEADER = 14;

/** Offsets of the fields from the start of the frame, bytes. */
export const ETH_DESTINATION = 0;
export const ETH_SOURCE = 6;
export const ETH_TYPE = 12;

// IEEE 802 numbers: https://www.iana.org/assignments/ieee-802-numbers
export const ETHERTYPE_IPV4 = 0x0800;
export const ETHERTYPE_ARP = 0x0806;
export const ETHERTYPE_VLAN = 0x8100;
export const ETHERTYPE_IPV6 = 0x86dd;
export const ETHERTYPE_QINQ = 0x88a8;

/** Of the two bytes of a tag: three of priority, one to drop by, and the VLAN; 0 is none, and the tag but a priority (802.1Q, 9.6). */
export const VLAN_ID = 0x0fff;

/**
 * A MAC address as two integers, the form in which the frame path compares and writes it: the first two
 * bytes, and the last four as a signed 32-bit integer (what `DataView.getInt32` gives).
 */
export interface MacWords {
	high: number;
	low: number;
}

/** True when the group bit of the destination is set: multicast and broadcast (IEEE 802-2014, 8.2.2). */
export function isGroupDestination(frame: DataView, at: number): boolean {
	return (frame.getUint8(at) & 1) === 1;
}

/** True when the six bytes at `at` are the given MAC. */
export function macEquals(frame: DataView, at: number, high: number, low: number): boolean {
	return frame.getInt32(at + 2) === low && frame.getUint16(at) === high;
}

export function writeMac(frame: DataView, at: number, high: number, low: number): void {
	frame.setUint16(at, high);
	frame.setInt32(at + 2, low);
}

/** @throws RangeError if `text` is not six hexadecimal pairs with colons. */
export function parseMac(text: string): MacWords {
	if (!/^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/i.test(text)) throw new RangeError(`not a MAC address: ${text}`);
	const digits = text.replaceAll(':', '');
	return { high: Number.parseInt(digits.slice(0, 4), 16), low: Number.parseInt(digits.slice(4), 16) | 0 };
}

export function formatMac({ high, low }: MacWords): string {
	const digits = high.toString(16).padStart(4, '0') + (low >>> 0).toString(16).padStart(8, '0');
	return digits.replace(/..(?!$)/g, '$&:');
}
