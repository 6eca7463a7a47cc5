/**
 * The decision table's form. A case is one frame that comes in from somewhere on the standard port (see
 * helpers/world.ts), what is decided about it, and every frame that leaves because of it. Nothing but bytes and
 * words, so that one table judges the pure functions, the whole userspace path, and a program in the kernel.
 */
import type { FlagName, ModeName } from '../../src/datapath/port-state.js';
import type { DropReason } from '../../src/datapath/verdict.js';
import type { SlaveName } from '../helpers/world.js';

export type Place = 'wire' | 'host' | SlaveName;

/**
 * What the fast path says. `fan out`, `answer`, `claim` and `router` belong to the slow path, and `out` says what it
 * does, after a `claim` as soon as the address belongs to the sender; what becomes of DHCPv4 depends on what was asked before, and is
 * the matter of unit/datapath/dhcp-nat.test.ts and dhcp-identity.test.ts. In l3, what is refused is dropped, and `out`
 * has the ICMP error; `resolve` waits for a neighbour, and `fragment` is cut. `ignore`: it is the host's own business.
 */
export type Verdict =
	| Place
	| 'resolve'
	| 'fragment'
	| `refuse: ${DropReason}`
	| 'fan out'
	| 'answer'
	| 'claim'
	| 'dhcp'
	| 'refresh'
	| 'conflict'
	| 'router'
	| 'ignore'
	| `drop: ${DropReason}`;

export interface Case {
	name: string;
	/** `bridge` where none is given. */
	flag?: FlagName;
	/** `l2` where none is given. */
	mode?: ModeName;
	/** Who gets multicast in l3 all the same. */
	multicastSlave?: SlaveName;
	/** The port was brought up with `--no-host`. */
	noHost?: true;
	from: Place;
	frame: Uint8Array;
	verdict: Verdict;
	/** In any order; nothing else may leave. */
	out?: readonly { to: Place; frame: Uint8Array }[];
}

/** A case of which nobody says what comes of it: its judges must agree. */
export type Question = Omit<Case, 'verdict' | 'out'>;

/** A frame that is delivered to one place. */
export function delivered(
	name: string,
	from: Place,
	frame: Uint8Array,
	to: Place,
	received: Uint8Array,
	more: Partial<Case> = {},
): Case {
	return { name, from, frame, verdict: to, out: [{ to, frame: received }], ...more };
}

/** A frame that ends here. */
export function dropped(
	name: string,
	from: Place,
	frame: Uint8Array,
	reason: DropReason,
	more: Partial<Case> = {},
): Case {
	return { name, from, frame, verdict: `drop: ${reason}`, ...more };
}

export function ignored(name: string, frame: Uint8Array, more: Partial<Case> = {}): Case {
	return { name, from: 'wire', frame, verdict: 'ignore', ...more };
}

/** A frame that is copied: `wire` is the wire's own, rewritten copy, everybody else gets the same. */
export function copied(
	name: string,
	from: Place,
	frame: Uint8Array,
	receivers: readonly Place[],
	wire?: Uint8Array,
	more: Partial<Case> = {},
): Case {
	const out = receivers.map(to => ({ to, frame: more.out?.[0]?.frame ?? frame }));
	const toWire = wire ? [{ to: 'wire' as const, frame: wire }] : [];
	return { name, from, frame, verdict: 'fan out', ...more, out: [...out, ...toWire] };
}
