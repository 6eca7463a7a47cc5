/** Numbers for a port's slaves. They go round, so that a late frame of one that has gone is not counted to its successor. */
import { EDGE_SLAVES, EDGES_MAX } from '../../datapath/verdict.js';
import { IpvtapError } from '../../errors.js';

export class EdgeNumbers {
	#next = EDGE_SLAVES;

	/** @throws IpvtapError when all are in use. */
	take(isUsed: (edge: number) => boolean, master: string): number {
		for (let tries = EDGE_SLAVES; tries < EDGES_MAX; tries++) {
			const edge = this.#next;
			this.#next = edge + 1 === EDGES_MAX ? EDGE_SLAVES : edge + 1;
			if (!isUsed(edge)) return edge;
		}
		throw new IpvtapError('failed', `add a slave to ${master}: it has ${EDGES_MAX - EDGE_SLAVES} already`);
	}
}
