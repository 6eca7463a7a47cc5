/**
 * DHCPv6 (RFC 8415) as far as leases and identities go. A message between client and server is
 *
 *      0    1               4
 *      | type | transaction | options: code (2), length (2), value …
 *
 * and an identity association holds its addresses as options of its own:
 *
 *      IA_NA    | IAID (4) | T1 (4) | T2 (4) | options …        IA_TA    | IAID (4) | options …
 *      IAADDR   | address (16) | preferred (4) | valid (4) | options …
 */
export const DHCP6_CLIENT_PORT = 546;
export const DHCP6_SERVER_PORT = 547;

export const DHCP6_SOLICIT = 1;
export const DHCP6_ADVERTISE = 2;
export const DHCP6_REQUEST = 3;
export const DHCP6_CONFIRM = 4;
export const DHCP6_RENEW = 5;
export const DHCP6_REBIND = 6;
export const DHCP6_REPLY = 7;
export const DHCP6_RELEASE = 8;
export const DHCP6_DECLINE = 9;
export const DHCP6_RECONFIGURE = 10;
export const DHCP6_INFORMATION_REQUEST = 11;

export const DHCP6_CLIENT_ID = 1;
export const DHCP6_IA_NA = 3;
export const DHCP6_IA_TA = 4;
export const DHCP6_IA_ADDRESS = 5;
export const DHCP6_IA_PD = 25;

/** Valid for ever (RFC 8415, 7.7). */
export const DHCP6_INFINITY = 0xffffffff;

export interface Dhcp6Address {
	/** Where its 16 bytes lie. */
	at: number;
	/** Seconds that it is valid from now on. */
	valid: number;
}

export interface Dhcp6Association {
	/** DHCP6_IA_NA, DHCP6_IA_TA or DHCP6_IA_PD; prefixes are not among the addresses. */
	kind: number;
	/** The client's number for it. */
	id: number;
	addresses: Dhcp6Address[];
}

export interface Dhcp6Message {
	type: number;
	transaction: number;
	/** The client's DUID in hexadecimal, or '' where none is given. */
	duid: string;
	associations: Dhcp6Association[];
}

/** Whether the message at `at`, which has a byte at least, is one that only clients send. */
export function isClientMessage(frame: DataView, at: number): boolean {
	const type = frame.getUint8(at);
	return (
		type === DHCP6_SOLICIT ||
		(type >= DHCP6_REQUEST && type <= DHCP6_REBIND) ||
		type === DHCP6_RELEASE ||
		type === DHCP6_DECLINE ||
		type === DHCP6_INFORMATION_REQUEST
	);
}

/** The message from `at` to `end`, or undefined if it is none: an option that doesn't fit, or two client identifiers. */
export function parseDhcp6(frame: DataView, at: number, end: number): Dhcp6Message | undefined {
	if (at + OPTIONS > end) return undefined;
	const message: Dhcp6Message = {
		type: frame.getUint8(at),
		transaction: frame.getUint32(at) & 0xffffff,
		duid: '',
		associations: [],
	};
	const whole = eachOption(frame, at + OPTIONS, end, (code, value, valueEnd) => {
		if (code === DHCP6_CLIENT_ID) {
			const size = valueEnd - value;
			if (message.duid !== '' || size < DUID_MIN || size > DUID_MAX) return false;
			message.duid = hexOf(frame, value, valueEnd);
			return true;
		}
		if (code !== DHCP6_IA_NA && code !== DHCP6_IA_TA && code !== DHCP6_IA_PD) return true;
		const association = associationOf(frame, code, value, valueEnd);
		if (association) message.associations.push(association);
		return association !== undefined;
	});
	return whole ? message : undefined;
}

function associationOf(
	frame: DataView,
	kind: number,
	value: number,
	end: number,
): Dhcp6Association | undefined {
	const options = value + (kind === DHCP6_IA_TA ? 4 : 12);
	if (options > end) return undefined;
	const addresses: Dhcp6Address[] = [];
	const whole = eachOption(frame, options, end, (code, at, addressEnd) => {
		if (code !== DHCP6_IA_ADDRESS || kind === DHCP6_IA_PD) return true;
		if (at + ADDRESS > addressEnd) return false;
		addresses.push({ at, valid: frame.getUint32(at + 20) });
		return true;
	});
	return whole ? { kind, id: frame.getUint32(value), addresses } : undefined;
}

/** Shows each option's code and value until `take` returns false. @returns whether all fitted and were taken. */
function eachOption(
	frame: DataView,
	from: number,
	end: number,
	take: (code: number, value: number, valueEnd: number) => boolean,
): boolean {
	let option = from;
	while (option < end) {
		if (option + 4 > end) return false;
		const next = option + 4 + frame.getUint16(option + 2);
		if (next > end || !take(frame.getUint16(option), option + 4, next)) return false;
		option = next;
	}
	return true;
}

function hexOf(frame: DataView, from: number, to: number): string {
	let text = '';
	for (let at = from; at < to; at++) text += frame.getUint8(at).toString(16).padStart(2, '0');
	return text;
}

/** Message type and transaction id. */
const OPTIONS = 4;
/** IPv6 address, preferred and valid lifetime. */
const ADDRESS = 24;
/** RFC 8415, 11.1: two bytes of type, and 1 to 128 of identifier. */
const DUID_MIN = 3;
const DUID_MAX = 130;
