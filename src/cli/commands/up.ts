/** `ipvtap up MASTER`: opens its port. Again with the same options it changes nothing. */
import { readConfig } from '../../config.js';
import { ask } from '../../control/autostart.js';
import type { Flag, Master, Mode } from '../../control/model.js';
import { checkInterfaceName } from '../../control/names.js';
import { print, warn } from '../output.js';

interface UpOptions {
	json?: boolean;
	mode?: Mode;
	flag?: Flag;
	offload?: string;
	backlog?: number;
	ageing?: number;
	host: boolean;
}

export async function up(
	name: string,
	{ json = false, mode, flag, offload, backlog, ageing, host }: UpOptions,
): Promise<void> {
	checkInterfaceName(name);
	// Only what was said: what is left out stays as it is if the master is up already.
	const body = { mode, flag, offload, backlogFrames: backlog, ageing, ...(host ? {} : { host }) };
	const master = await ask<Master>(readConfig(), 'PUT', `/v1/masters/${encodeURIComponent(name)}`, body);
	for (const text of master.warnings ?? []) warn(text);
	const reach = master.host === null ? 'without the host' : `with the host on ${master.host}`;
	print(json, master, `${master.name} is up: mode ${master.mode}, flag ${master.flag}, ${reach}`);
}
