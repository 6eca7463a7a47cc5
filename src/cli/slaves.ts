/** What the commands about slaves have in common. */
import { parseAddress } from '../control/addresses.js';
import type { AddressEntry, Slave } from '../control/model.js';
import { checkInterfaceName, checkSlaveName, parseMac } from '../control/names.js';

/** Options of a new slave, as commander gives them. */
export interface SlaveOptions {
	master?: string;
	ip?: string[];
	mac?: string;
	learn?: 'on' | 'off';
	queues?: number;
}

/** Body of `PUT /v1/slaves/NAME`. Checked here as well, so that a slip starts no daemon. @throws IpvtapError `usage`. */
export function slaveBody(
	name: string,
	{ master, ip, mac, learn, queues }: SlaveOptions,
): Record<string, unknown> {
	checkSlaveName(name);
	if (master !== undefined) checkInterfaceName(master);
	return {
		master,
		addresses: ip?.map(parseAddress),
		mac: mac === undefined ? undefined : parseMac(mac),
		learn: learn === undefined ? undefined : learn === 'on',
		queues,
	};
}

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

/** The origin only where it isn't what one would think. */
export function addressText({ address, origin, expires }: AddressEntry): string {
	const until = expires === undefined ? '' : ` until ${expires}`;
	return origin === 'static' ? address : `${address} (${origin}${until})`;
}
