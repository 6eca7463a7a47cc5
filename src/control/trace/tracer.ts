/** `POST /v1/trace`: finds the port and the sender, has the frame made and tried, and says what lies behind the port. */
import { type TracedFrame, traceFrame } from '../../datapath/trace/trace.js';
import { EDGE_HOST, EDGE_SLAVES, EDGE_WIRE } from '../../datapath/verdict.js';
import { IpvtapError } from '../../errors.js';
import type { Link } from '../../sys/netlink/link.js';
import { IFF_UP } from '../../sys/netlink/link-message.js';
import { ETHERNET_HEADER } from '../../wire/ethernet.js';
import { summarise } from '../../wire/summary.js';
import type { Estate } from '../estate.js';
import type { Trace } from '../model.js';
import { quote } from '../names.js';
import type { Registry } from '../registry.js';
import { Surroundings } from './surroundings.js';
import { type FrameWords, frameOf } from './words.js';

export interface TraceRequest extends FrameWords {
	/** `wire`, `host`, or a slave's name; as `slave NAME` also where the name is one of these. */
	from: string;
	/** Needed for `wire` and `host`, if there are several. */
	master?: string;
	/** The frame itself, in hex, in place of all words about it. */
	frame?: string;
}

/** @param now milliseconds since 1970. @throws IpvtapError. */
export function trace(registry: Registry, estate: Estate, request: TraceRequest, now: number): Trace {
	const { from, frame: hex, master: _, ...words } = request;
	const sender = findSender(registry, request);
	const { mode, flag } = registry.requireMaster(sender.master);
	const open = estate.port(sender.master);
	if (!open) {
		throw new IpvtapError('failed', `trace on ${sender.master}: it isn't working at the moment`, {
			hint: estate.problems.get(sender.master) ?? `see: ipvtap show ${sender.master}`,
		});
	}
	const plan = open.port.plan(now);
	const around = new Surroundings(plan);
	const edge = edgeOf(sender, around);
	const { frame, notes } =
		hex === undefined ? frameOf(words, edge, around) : { frame: given(hex, words), notes: [] };
	const names = new Map([...plan.edges].map(([name, at]) => [at, name]));
	const { commands } = plan;
	const { verdict, steps, out, hint } = traceFrame(
		{ master: sender.master, mode, flag, names, commands },
		edge,
		frame,
		now,
	);
	return {
		master: sender.master,
		from: steps[0]?.result ?? from,
		frame: hexOf(frame),
		summary: summarise(frame),
		notes,
		verdict,
		steps,
		...(hint === undefined ? {} : { hint }),
		out: out.map(sent => ({
			to: sent.to,
			frame: hexOf(sent.frame),
			summary: sent.summary,
			...lostAt(sent, linkOf(sent, names, estate, open.link)),
		})),
	};
}

interface Sender {
	master: string;
	/** Undefined: the wire or the host. */
	slave?: string;
	place: 'wire' | 'host' | 'slave';
}

function findSender(registry: Registry, { from, master }: TraceRequest): Sender {
	if (from === 'wire' || from === 'host') return { master: findMaster(registry, from, master), place: from };
	const slave = registry.requireSlave(from.replace(/^slave /, ''));
	if (master !== undefined && master !== slave.master) {
		throw new IpvtapError(
			'usage',
			`trace: ${quote(slave.name)} is a slave of ${slave.master}, not of ${master}`,
			{
				hint: 'leave --master out: a slave has but one',
			},
		);
	}
	return { master: slave.master, slave: slave.name, place: 'slave' };
}

function findMaster(registry: Registry, from: string, master: string | undefined): string {
	if (master !== undefined) return registry.requireMaster(master).name;
	const masters = registry.masters().map(({ name }) => name);
	const [only] = masters;
	if (only === undefined)
		throw new IpvtapError('not-found', `trace from the ${from}: there is no master`, {
			hint: 'see: ipvtap up --help',
		});
	if (masters.length === 1) return only;
	throw new IpvtapError('usage', `trace from the ${from}: there are ${masters.length} masters`, {
		hint: `say which: --master ${masters.slice(0, 5).join(' | ')}`,
	});
}

function edgeOf({ place, slave = '', master }: Sender, around: Surroundings): number {
	if (place === 'wire') return EDGE_WIRE;
	if (place === 'host') {
		if (around.hasHost) return EDGE_HOST;
		throw new IpvtapError('usage', `trace from the host: ${master} is up with --no-host`, {
			hint: 'what the host sends by the master itself reaches no slave',
		});
	}
	const edge = around.edgeOf(slave);
	if (edge !== undefined) return edge;
	throw new IpvtapError('failed', `trace from ${quote(slave)}: it is closed to traffic at the moment`, {
		hint: `see: ipvtap show ${slave}`,
	});
}

function given(hex: string, words: FrameWords): Uint8Array {
	const [word] = Object.keys(words);
	if (word !== undefined) {
		throw new IpvtapError('usage', `trace: ${word} can't be said of a frame that is given whole`, {
			hint: 'give either --frame, or words about it',
		});
	}
	return Uint8Array.from(hex.match(/../g) ?? [], pair => Number.parseInt(pair, 16));
}

/** The device that a frame leaves by; none is looked at for the host. */
function linkOf(
	{ edge }: TracedFrame,
	names: ReadonlyMap<number, string>,
	estate: Estate,
	master: Link,
): Link | undefined {
	if (edge === EDGE_WIRE) return master;
	return edge >= EDGE_SLAVES ? estate.tap(names.get(edge) ?? '')?.link : undefined;
}

/** The decision doesn't ask whether the receiver can take the frame; whoever sends it finds out. */
function lostAt({ edge, frame }: TracedFrame, link: Link | undefined): { lost?: string } {
	if (link === undefined) return {};
	if ((link.flags & IFF_UP) === 0) return { lost: 'receiver-down: its interface is down' };
	if (frame.length > link.mtu + ETHERNET_HEADER) return { lost: `too-big: its MTU is ${link.mtu}` };
	if (link.carrier) return {};
	// The kernel takes such frames and drops them; what a TAP drops is counted as if its guest were too slow.
	return { lost: edge === EDGE_WIRE ? 'its link is down' : 'receiver-full: nobody has its TAP open' };
}

function hexOf(bytes: Uint8Array): string {
	return Buffer.from(bytes).toString('hex');
}
