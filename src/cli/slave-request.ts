/** What a command says about a slave that is to be made, checked before any daemon is asked or started. */
import { parseAddress } from '../control/addresses.js';
import { parseLimits } from '../control/limits.js';
import type { Permission } from '../control/model.js';
import { checkInterfaceName, checkSlaveName, parseMac } from '../control/names.js';

/** Options of a new slave, as commander gives them. */
export interface SlaveOptions {
	master?: string;
	ip?: string[];
	mac?: string;
	learn?: 'on' | 'off';
	allow?: Permission[];
	queues?: number;
	limit?: string[];
}

/** Body of `PUT /v1/slaves/NAME`. Checked here as well, so that a slip starts no daemon. @throws IpvtapError `usage`. */
export function slaveBody(
	name: string,
	{ master, ip, mac, learn, allow, queues, limit }: SlaveOptions,
): Record<string, unknown> {
	checkSlaveName(name);
	if (master !== undefined) checkInterfaceName(master);
	return {
		master,
		addresses: ip?.map(parseAddress),
		mac: mac === undefined ? undefined : parseMac(mac),
		learn: learn === undefined ? undefined : learn === 'on',
		allow,
		queues,
		limits: limit && parseLimits(limit),
	};
}
