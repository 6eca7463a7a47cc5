/** What the witnesses' stacks believe, and whether an attack has changed it. */
import type { Namespace } from '../../../src/lab/namespace.js';
import type { Place, Witness } from './place.js';

export interface Belief {
	/** MAC by address, of those who have one. */
	neighbours: Record<string, string>;
	routes: string[];
	addresses: string[];
}

export type Testimony = Record<Witness, Belief>;

export async function hear(place: Place): Promise<Testimony> {
	const beliefs = Object.entries(place.witnesses).map(
		async ([name, namespace]) => [name, await beliefOf(namespace)] as const,
	);
	return Object.fromEntries(await Promise.all(beliefs)) as Testimony;
}

/** What is wrong now and was not before, in words. Neighbours that are being looked for are nobody's lie. */
export function changes(place: Place, before: Testimony, after: Testimony): string[] {
	const wrong: string[] = [];
	for (const [name, belief] of Object.entries(after) as [Witness, Belief][]) {
		const was = before[name];
		const side = name === 'victim' || name === 'host' ? 'inside' : 'wire';
		for (const [address, mac] of Object.entries(belief.neighbours)) {
			const known = place.truth.macOf(address, side);
			if (known === undefined ? was.neighbours[address] !== mac : known !== mac)
				wrong.push(`${name} believes that ${address} is at ${mac}`);
		}
		for (const kind of ['routes', 'addresses'] as const) {
			const [gone, come] = [without(was[kind], belief[kind]), without(belief[kind], was[kind])];
			if (gone.length > 0) wrong.push(`${name} has lost ${kind}: ${gone.join('; ')}`);
			if (come.length > 0) wrong.push(`${name} has new ${kind}: ${come.join('; ')}`);
		}
	}
	return wrong;
}

async function beliefOf(namespace: Namespace): Promise<Belief> {
	const commands = ['neigh show nud all', 'route show table all', '-6 route show table all', 'address show'];
	const script = commands.map(command => `ip -j ${command}; echo`).join('\n');
	const out = await namespace.exec('sh', ['-c', script]);
	const [neighbours, routes, routes6, links] = out
		.split('\n')
		.filter(line => line.trim() !== '')
		.map(line => JSON.parse(line)) as [Neighbour[], Route[], Route[], Link[]];
	return {
		neighbours: Object.fromEntries(
			neighbours.flatMap(({ dst, lladdr, state }) =>
				lladdr === undefined || state.some(one => one === 'NOARP' || one === 'PERMANENT' || one === 'FAILED')
					? []
					: [[dst, lladdr]],
			),
		),
		routes: [...routes, ...routes6].map(
			({ dst, gateway, dev, type = 'unicast' }) => `${type} ${dst} ${gateway ?? ''} ${dev ?? ''}`,
		),
		addresses: links.flatMap(({ ifname, addr_info: infos }) =>
			infos.map(
				({ local, tentative, dadfailed }) =>
					`${local} ${ifname}${dadfailed ? ' dadfailed' : tentative ? ' tentative' : ''}`,
			),
		),
	};
}

function without(all: readonly string[], some: readonly string[]): string[] {
	return all.filter(one => !some.includes(one));
}

// Of `ip -j` what is used here.
interface Neighbour {
	dst: string;
	lladdr?: string;
	state: string[];
}
interface Route {
	dst: string;
	gateway?: string;
	dev?: string;
	type?: string;
}
interface Link {
	ifname: string;
	addr_info: { local: string; tentative?: boolean; dadfailed?: boolean }[];
}
