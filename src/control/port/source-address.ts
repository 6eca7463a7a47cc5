/** Which of its addresses the host should speak from to a guest. Pure. */
import ipaddr from 'ipaddr.js';
import {
	type Address,
	IFA_F_DEPRECATED,
	IFA_F_TEMPORARY,
	IFA_F_TENTATIVE,
} from '../../sys/netlink/address.js';

/**
 * The master's address in the same subnet as the guest's, else its first of that family. Without one the route
 * names no source, and the kernel looks among the host's other devices.
 */
export function preferredSource(guest: string, addresses: readonly Address[]): string | undefined {
	const parsed = ipaddr.parse(guest);
	const usable = addresses.filter(
		({ address, flags }) =>
			ipaddr.parse(address).kind() === parsed.kind() &&
			!isLinkLocal(address) &&
			(flags & (IFA_F_DEPRECATED | IFA_F_TEMPORARY | IFA_F_TENTATIVE)) === 0,
	);
	const neighbour = usable.find(({ address, prefix }) => parsed.match(ipaddr.parse(address), prefix));
	return (neighbour ?? usable[0])?.address;
}

/** fe80::/10; IPv4's 169.254/16 is an address like any other here. */
export function isLinkLocal(address: string): boolean {
	const parsed = ipaddr.parse(address);
	return parsed.kind() === 'ipv6' && parsed.range() === 'linkLocal';
}
