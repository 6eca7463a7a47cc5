/** `ipvtap detach NAME`: removes a slave; with --qmp after its guest has let go of it. */
import { readConfig } from '../../config.js';
import { askIfAny } from '../../control/autostart.js';
import type { Slave } from '../../control/model.js';
import { checkSlaveName } from '../../control/names.js';
import { IpvtapError } from '../../errors.js';
import { print } from '../output.js';
import { slavePath } from '../slave-text.js';

export async function detach(
	name: string,
	{ json = false, qmp, domain }: { json?: boolean; qmp?: string; domain?: string },
): Promise<void> {
	checkSlaveName(name);
	if (domain !== undefined) {
		const { unplugFromDomain } = await import('./libvirt-plug.js');
		return unplugFromDomain(name, domain, json);
	}
	const config = readConfig();
	if (qmp !== undefined) {
		// Asked first: what isn't ours is not unplugged from anything.
		if (!(await askIfAny<Slave>(config, 'GET', slavePath(name)))) throw noSuch(name);
		const { hotUnplug } = await import('../../../qemu/hotplug.js');
		const { qemuIds } = await import('../../../qemu/ids.js');
		await hotUnplug({ qmpPath: qmp, id: qemuIds(name).device });
	}
	const removed = await askIfAny<object>(config, 'DELETE', slavePath(name));
	if (!removed) throw noSuch(name);
	print(json, removed, `${name} is detached`);
}

function noSuch(name: string): IpvtapError {
	return new IpvtapError('not-found', `no slave is named '${name}'`, {
		hint: 'no daemon runs, so there is none; see: ipvtap list',
	});
}
