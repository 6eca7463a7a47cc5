/** What a port has counted: the frame threads and the offload, each for its own frames, and the kernel for the TAPs. */
import { type EdgeCounters, readEdge } from '../../datapath/counters.js';
import { EDGE_HOST, EDGE_WIRE } from '../../datapath/verdict.js';
import { getLink } from '../../sys/netlink/link.js';
import type { SlaveStats } from '../model.js';
import type { FrameThreads } from './frame-threads.js';
import type { Member, Members } from './members.js';
import type { PortOffload } from './offload.js';
import { addStats, edgeStats, noStats } from './stats.js';

export class Accounts {
	readonly #threads: FrameThreads;
	readonly #offload: PortOffload;
	readonly #members: Members;

	constructor(threads: FrameThreads, offload: PortOffload, members: Members) {
		this.#threads = threads;
		this.#offload = offload;
		this.#members = members;
	}

	/** Counters of one slave, as its guest sees them. */
	ofSlave({ edge, ifindex }: Member): SlaveStats {
		const device = getLink(ifindex)?.stats.tx ?? { packets: 0, bytes: 0, dropped: 0 };
		return edgeStats(this.#edge(edge), device);
	}

	/** Counters of the port as a whole: rx and tx are the wire's, drops everybody's. */
	total(): SlaveStats {
		const total = noStats();
		addStats(total, this.#edge(EDGE_WIRE), true);
		for (const edge of [EDGE_HOST, ...this.#members.all().map(member => member.edge)])
			addStats(total, this.#edge(edge), false);
		return total;
	}

	#edge(edge: number): EdgeCounters {
		return this.#offload.include(readEdge(this.#threads.counters, edge), edge);
	}
}
