/** Slaves in the API's paths, and in words for people. Pure. */
import type { AddressEntry, Slave } from '../control/model.js';

export function slavePath(name: string): string {
	return `/v1/slaves/${encodeURIComponent(name)}`;
}

/** `web1 to eth0: MAC 52:54:00:…, 192.0.2.10`. */
export function summary(slave: Slave): string {
	return `${slave.name} to ${slave.master}: MAC ${slave.mac}, ${addressList(slave)}`;
}

export function addressList({ addresses, learn }: Slave): string {
	if (addresses.length > 0) return addresses.map(addressText).join(', ');
	return learn ? 'addresses to be learned' : 'no address';
}

/** `web (running, net0)`: the libvirt domain that it is a NIC of. */
export function domainText({ domain }: Slave): string | undefined {
	if (domain === undefined) return undefined;
	const { name, state, alias } = domain;
	return `${name} (${alias === undefined ? state : `${state}, ${alias}`})`;
}

/** The origin only where it isn't what one would think. */
export function addressText({ address, origin, expires }: AddressEntry): string {
	const until = expires === undefined ? '' : ` until ${expires}`;
	return origin === 'static' ? address : `${address} (${origin}${until})`;
}
