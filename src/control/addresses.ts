/** Addresses as people write them, and the one form in which ipvtap keeps them. Pure. */
import ipaddr from 'ipaddr.js';
import { IpvtapError } from '../errors.js';
import type { AddressEntry } from './model.js';
import { quote } from './names.js';

/**
 * The canonical form: a dotted quad, or RFC 5952. `/32` and `/128` are accepted and dropped.
 * @throws IpvtapError `usage` for what isn't one host's unicast address.
 */
export function parseAddress(text: string): string {
	const slash = text.indexOf('/');
	const bare = slash < 0 ? text : text.slice(0, slash);
	const address = parseBare(bare);
	if (!address) throw unfit(text, 'it is neither an IPv4 nor an IPv6 address');
	const whole = address.kind() === 'ipv4' ? '32' : '128';
	if (slash >= 0 && text.slice(slash + 1) !== whole) {
		throw new IpvtapError('usage', `${quote(text)} can't be a guest's address: it is a network`, {
			hint: `give the address alone: ${quote(bare)} (of prefixes, only /${whole} is accepted)`,
		});
	}
	const [first = 0] = address.toByteArray();
	const reserved =
		address.kind() === 'ipv4' && first >= 240 ? 'it is reserved, as all of 240.0.0.0/4' : undefined;
	const fault = rangeFaults[address.range()] ?? reserved;
	if (fault) throw unfit(text, fault);
	return address instanceof ipaddr.IPv6 ? address.toRFC5952String() : address.toString();
}

/** The scope in which an address must be unique: a link-local one may be used again on another master. */
export function isLinkLocal(address: string): boolean {
	return ipaddr.parse(address).range() === 'linkLocal';
}

export function familyOf(address: string): AddressEntry['family'] {
	return address.includes(':') ? 'inet6' : 'inet';
}

/** Strict, unlike inet_aton: `10.1` or `010.0.0.1` are more often a slip than an address. */
function parseBare(text: string): ipaddr.IPv4 | ipaddr.IPv6 | null {
	if (ipaddr.IPv4.isValidFourPartDecimal(text)) return ipaddr.IPv4.parse(text);
	if (text.includes(':') && !text.includes('%') && ipaddr.IPv6.isValid(text)) return ipaddr.IPv6.parse(text);
	return null;
}

const rangeFaults: Record<string, string | undefined> = {
	multicast: 'it is a multicast group',
	loopback: 'it is a loopback address',
	unspecified: 'it is the unspecified address',
	broadcast: 'it is the broadcast address',
	ipv4Mapped: 'it is an IPv4 address in IPv6 dress (write it as IPv4)',
};

function unfit(text: string, why: string): IpvtapError {
	return new IpvtapError('usage', `${quote(text)} can't be a guest's address: ${why}`, {
		hint: 'give one address that the guest itself will use, for example 192.0.2.10 or 2001:db8::10',
	});
}
