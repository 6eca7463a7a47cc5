/** TAPs are opened by name, and a name means something only in the daemon's own network namespace. */
import { readlinkSync } from 'node:fs';
import type { Config } from '../config.js';
import { ask } from '../control/autostart.js';
import type { Info } from '../control/model.js';
import { IpvtapError } from '../errors.js';

/** @throws IpvtapError `failed` if the daemon lives in another network namespace than we do. */
export async function requireSameNamespace(config: Config): Promise<void> {
	const { netns, pid } = await ask<Info>(config, 'GET', '/v1/info');
	if (netns === readlinkSync('/proc/self/ns/net')) return;
	throw new IpvtapError(
		'failed',
		`can't open the TAP: the daemon at ${config.socket} is in another network namespace`,
		{
			hint: `go there (nsenter --net=/proc/${pid}/ns/net …), or set IPVTAP_SOCKET to a daemon of this one`,
		},
	);
}
