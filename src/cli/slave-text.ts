/** Slaves in the API's paths, and in words for people. Pure. */
import { limitKeys, limitText } from '../control/limits.js';
import type { AddressEntry, Slave } from '../control/model.js';

export function slavePath(name: string): string {
	return `/v1/slaves/${encodeURIComponent(name)}`;
}

/** `web1 to eth0: MAC 52:54:00:…, 192.0.2.10`. */
export function summary(slave: Slave): string {
	return `${slave.name} to ${slave.master}: MAC ${slave.mac}, ${addressList(slave)}`;
}

export function addressList({ addresses, learn }: Slave): string {
	if (addresses.length > 0) return addresses.map(entry => addressText(entry)).join(', ');
	return learn ? 'addresses to be learned' : 'no address';
}

/** `web (running, net0)`: the libvirt domain that it is a NIC of. */
export function domainText({ domain }: Slave): string | undefined {
	if (domain === undefined) return undefined;
	const { name, state, alias } = domain;
	return `${name} (${alias === undefined ? state : `${state}, ${alias}`})`;
}

/** As `--limit` takes them: `tx=100mbit rx=1gbit/1m slow=none learn=60`. */
export function limitList({ limits }: Slave): string {
	return limitKeys.map(key => limitText(key, limits[key])).join(' ');
}

/** `192.0.2.7 (learned 5m ago)`: the origin only where it isn't what one would think. @param now milliseconds since 1970. */
export function addressText(entry: AddressEntry, now = Date.now()): string {
	const { address, origin, since, expires, duplicate } = entry;
	const age = since === undefined ? '' : ` ${duration(now - Date.parse(since))} ago`;
	const until = expires === undefined ? '' : ` until ${expires}`;
	const notes = [
		...(origin === 'static' ? [] : [`${origin}${age}${until}`]),
		...(duplicate === undefined ? [] : [`duplicate: ${duplicate} has it too`]),
	];
	return notes.length === 0 ? address : `${address} (${notes.join('; ')})`;
}

/** `45s`, `5m`, `3h`, `2d`. */
function duration(milliseconds: number): string {
	const seconds = Math.max(0, Math.round(milliseconds / 1000));
	if (seconds < 60) return `${seconds}s`;
	if (seconds < 3600) return `${Math.round(seconds / 60)}m`;
	return seconds < 86_400 ? `${Math.round(seconds / 3600)}h` : `${Math.round(seconds / 86_400)}d`;
}
