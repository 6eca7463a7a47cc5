/** How the host routes in mode l3, as a hook that comes later has to be told. */
import type { StateChange } from '../../datapath/messages.js';
import type { Way } from '../../datapath/routing/routing.js';
import type { MaybePromise, OffloadedPort } from '../../offload/offload.js';

export class RoutePicture {
	readonly #hops = new Map<string, Way>();
	readonly #macs = new Map<string, string>();

	/** The frame threads are told this. @returns what to tell a hook; undefined: it is not about routing. */
	follow(change: StateChange): ((hook: OffloadedPort) => MaybePromise<void>) | undefined {
		if (change.kind === 'routes') {
			const { add, remove } = change;
			for (const prefix of remove) this.#hops.delete(prefix);
			for (const { prefix, hop } of add) this.#hops.set(prefix, hop);
			return hook => hook.setRoutes?.(add, remove);
		}
		if (change.kind !== 'neighbour') return undefined;
		const { address, mac } = change;
		if (mac === undefined) this.#macs.delete(address);
		else this.#macs.set(address, mac);
		return hook => hook.setNeighbour?.(address, mac);
	}

	/** Tells all of it. */
	async tell(hook: OffloadedPort): Promise<void> {
		const routes = [...this.#hops].map(([prefix, hop]) => ({ prefix, hop }));
		await hook.setRoutes?.(routes, []);
		for (const [address, mac] of this.#macs) await hook.setNeighbour?.(address, mac);
	}
}
