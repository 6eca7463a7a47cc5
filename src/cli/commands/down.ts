/** `ipvtap down MASTER`: closes its port. */
import { readConfig } from '../../config.js';
import { askIfAny } from '../../control/autostart.js';
import { checkInterfaceName } from '../../control/names.js';
import { IpvtapError } from '../../errors.js';
import { print } from '../output.js';

interface Removed {
	name: string;
	slaves: string[];
}

export async function down(
	name: string,
	{ json = false, force = false }: { json?: boolean; force?: boolean },
): Promise<void> {
	checkInterfaceName(name);
	const path = `/v1/masters/${encodeURIComponent(name)}${force ? '?force=true' : ''}`;
	const removed = await askIfAny<Removed>(readConfig(), 'DELETE', path);
	if (!removed) {
		throw new IpvtapError('not-found', `can't take ${name} down: it is not up`, {
			hint: 'no daemon runs, so nothing is; see: ipvtap list',
		});
	}
	const detached = removed.slaves.length > 0 ? `, and detached: ${removed.slaves.join(', ')}` : '';
	print(json, removed, `${removed.name} is down${detached}`);
}
