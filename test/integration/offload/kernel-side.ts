/** What a site's daemon has in the kernel, seen from outside. */
import { join } from 'node:path';
import { Pins } from '../../../src/offload/tc-bpf/pins.js';
import { closeFd } from '../../../src/sys/fd.js';
import { listLinks, requireLink } from '../../../src/sys/netlink/link.js';
import { type ObjectIds, objectsOf, objectsOfLink } from '../../helpers/bpf-objects.js';
import { within } from '../../helpers/tap-guest.js';
import type { Site } from '../datapath/site.js';

/** Of the devices of ipvtap's that have to stay; the one by which frames are handed over is each daemon's own. */
export function numbersOf(site: Site): Record<string, number> {
	const links = within(site.host, () => listLinks());
	const lasting = links.filter(({ name }) => /^ipv[tph]-/.test(name));
	return Object.fromEntries(lasting.map(({ name, ifindex }) => [name, ifindex]));
}

/** What is attached to the site's devices, in either way. */
export async function attached(site: Site): Promise<ObjectIds> {
	const found: ObjectIds = { programs: [], maps: [] };
	const names = ['eth0', ...Object.keys(numbersOf(site))];
	for (const name of names) {
		const text = await site.host.exec('tc', ['filter', 'show', 'dev', name, 'ingress']);
		for (const [, id] of text.matchAll(/ipvtap\/.* id (\d+) /g)) note(found, objectsOf(Number(id)));
	}
	const pins = pinsOf(site);
	for (const name of pins.names()) {
		const link = pins.get(name) as number;
		note(found, objectsOfLink(link));
		closeFd(link);
	}
	if (pins.names().length === 0) pins.close();
	return found;
}

export function note(all: ObjectIds, some: ObjectIds): void {
	all.programs = [...new Set([...all.programs, ...some.programs])];
	all.maps = [...new Set([...all.maps, ...some.maps])];
}

export function masterOf(site: Site): number {
	return within(site.host, () => requireLink('eth0').ifindex);
}

/** The folder that the daemon has its links in, and which is made by asking for it. */
export function pinsOf(site: Site): Pins {
	const pins = Pins.open(join(site.product.folder, 'state'), masterOf(site));
	if (!pins) throw new Error('there is no bpffs here that lasts');
	return pins;
}

export function isEmpty({ programs, maps }: ObjectIds): boolean {
	return programs.length + maps.length === 0;
}
