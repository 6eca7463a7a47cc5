/**
 * What would become of a frame, step by step: a dry run of the real decision and the real slow path on a port that
 * was brought to the same state as the one that runs. Nothing is sent, and nothing is learned for good.
 */
import { summarise } from '../../wire/summary.js';
import { type BookOrigin, QUOTA, type Quota } from '../address-book.js';
import type { Report } from '../messages.js';
import {
	type DropReason,
	dropReasons,
	EDGE_HOST,
	EDGE_SLAVES,
	EDGE_WIRE,
	IGNORE,
	SLOW_CLAIM,
	SLOW_DHCP,
	SLOW_FANOUT,
	verdictName,
} from '../verdict.js';
import { copySteps } from './copies.js';
import { dropTexts } from './drop-text.js';
import { type DryCommand, DryPort, type DryRun } from './dry-port.js';
import { explain } from './explain.js';
import { edgeWords } from './owners.js';
import type { Place, Step } from './place.js';
import { verdictReason, verdictRemedy, verdictWords } from './verdict-text.js';

/** The port that a frame is tried on. */
export interface TracedPort {
	master: string;
	mode: string;
	flag: string;
	/** Names of the slaves, by edge. */
	names: ReadonlyMap<number, string>;
	/** What brings a new slow path to the state of the one that runs. */
	commands: readonly DryCommand[];
	/** Of addresses; the usual one where none is given. */
	quota?: Quota;
}

export interface TracedFrame {
	/** `wire`, `host`, or `slave NAME`. */
	to: string;
	edge: number;
	frame: Uint8Array;
	summary: string;
}

export interface FrameTrace {
	/** What becomes of it in the end: `wire`, `host`, `slave NAME`, `slow: …`, `ignore` or `drop: REASON`. */
	verdict: string;
	/** The last one is the verdict. */
	steps: Step[];
	out: TracedFrame[];
	/** What to do about a drop. */
	hint?: string;
}

/** @param now milliseconds since 1970. */
export function traceFrame(port: TracedPort, from: number, frame: Uint8Array, now: number): FrameTrace {
	const { quota = QUOTA } = port;
	const dry = new DryPort({ now: () => now, quota, edges: Math.max(EDGE_HOST, ...port.names.keys()) + 1 });
	try {
		for (const command of port.commands) dry.command(command);
		const place: Place = { ...port, state: dry.state, origins: originsOf(dry), claims: claimsOf(dry) };
		const view = new DataView(frame.slice().buffer);
		const { verdict: first } = dry.decide(from, frame);
		const before = [fromStep(place, from), modeStep(place), ...explain(place, view, from, first)];
		const known = dry.reports.length;
		const run = dry.receive(from, frame);
		const receivers = run.out.map(({ edge }) => edge);
		const end = isReply(run, from) ? undecided : endStep(run, port.names);
		return {
			verdict: end.result,
			steps: [
				...before,
				...claimSteps(dry.reports.slice(known), run, from, quota),
				// What a claim has changed meanwhile is the sender's alone, and it gets no copy.
				...(isFannedOut(run) ? copySteps(place, view, from, receivers) : []),
				end,
			],
			...hintFor(run, place, from),
			out: run.out.map(sent => ({
				...sent,
				to: edgeWords(sent.edge, port.names),
				summary: summarise(sent.frame),
			})),
		};
	} finally {
		dry.close();
	}
}

/** By address; the last report about each counts. */
function originsOf({ reports }: DryPort): Map<string, BookOrigin> {
	const origins = new Map<string, BookOrigin>();
	for (const report of reports) {
		if (report.kind !== 'address') continue;
		if (report.change === 'removed') origins.delete(report.address);
		else origins.set(report.address, report.origin);
	}
	return origins;
}

/** Those that are open, by address. */
function claimsOf({ reports }: DryPort): Map<string, number> {
	const claims = new Map<string, number>();
	for (const report of reports) {
		// An address that is somebody's is claimed no more.
		if (report.kind === 'claim' && report.open) claims.set(report.address, report.edge);
		else if (report.kind === 'claim' || report.kind === 'address') claims.delete(report.address);
	}
	return claims;
}

function fromStep({ names, state, origins, claims, master }: Place, from: number): Step {
	const step = 'from';
	const result = edgeWords(from, names);
	if (from === EDGE_WIRE) return { step, result, why: `received on ${master}` };
	if (from === EDGE_HOST) return { step, result, why: "sent by the host's stack through its slave" };
	const own = [...origins].flatMap(([address, origin]) =>
		state.ownerOf(address) === from ? [`${address} (${origin})`] : [],
	);
	const claimed = [...claims].flatMap(([address, edge]) => (edge === from ? [address] : []));
	const asks = claimed.length > 0 ? `; the LAN is being asked about ${listed(claimed)}` : '';
	const learns = `learning is ${state.learns[from] === 1 ? 'on' : 'off'}`;
	return { step, result, why: `it has ${listed(own) || 'no address yet'}${asks}; ${learns}` };
}

function listed(addresses: readonly string[]): string {
	const more = addresses.length > OWN_MAX ? ` and ${addresses.length - OWN_MAX} more` : '';
	return addresses.slice(0, OWN_MAX).join(', ') + more;
}

/** The verdict is the mode's own whatever it is; these words are there for those that they know. */
function modeStep({ mode }: Place): Step {
	const why: Record<string, string> = {
		l2: "guests are on the master's link, and addresses decide",
		l3: 'the host routes what leaves, and only unicast crosses',
		l3s: "as l3, by way of the host's netfilter and conntrack",
	};
	return { step: 'mode', result: mode, why: why[mode] ?? 'see docs/modes.md' };
}

/** Of a slave's addresses, so many are named. */
const OWN_MAX = 4;

/** A frame that nobody wants is fanned out to nobody, and ignored. */
function isFannedOut({ first, final }: DryRun): boolean {
	return final === SLOW_FANOUT || (first === SLOW_FANOUT && final === IGNORE);
}

/** What the address book said to a claim. */
function claimSteps(
	reports: readonly Report[],
	{ first, final }: DryRun,
	from: number,
	quota: Quota,
): Step[] {
	if (first !== SLOW_CLAIM) return [];
	const taken = reports.some(report => report.kind === 'address' && report.change === 'added');
	const opened = reports.some(report => report.kind === 'claim' && report.open);
	const steps = reports.flatMap(report => claimStep(report, from, quota));
	if (final === SLOW_CLAIM || (final === EDGE_WIRE && !taken)) {
		const asking = opened ? 'the LAN is asked' : 'the LAN is being asked already';
		const why =
			final === SLOW_CLAIM
				? `${asking} whether somebody has it; if nobody answers within a quarter of a second, it is its own, and the frame goes on`
				: 'the frame itself asks the LAN whether somebody has it; if nobody answers within a quarter of a second, it is its own';
		steps.push({ step: 'claim', result: 'tentative', why });
	}
	if (final < 0 && !taken) {
		const reason = dropReasons[-final] as DropReason;
		steps.push({ step: 'claim', result: 'refused', why: dropTexts[reason]?.means ?? reason });
	}
	return steps;
}

function claimStep(report: Report, from: number, quota: Quota): Step[] {
	const step = 'claim';
	if ((report.kind !== 'address' && report.kind !== 'claim') || report.edge !== from) return [];
	const { address } = report;
	if (report.kind === 'claim' ? !report.open : report.change === 'removed') {
		const full = `the quota is full (${quota[4]} IPv4, ${quota[6]} IPv6)`;
		return [{ step, result: 'gives way', why: `${address} was its oldest learned one, and ${full}` }];
	}
	return report.kind === 'claim'
		? []
		: [{ step, result: 'granted', why: `${address} is its own from now on` }];
}

function endStep({ final }: DryRun, names: ReadonlyMap<number, string>): Step {
	return { step: 'verdict', result: verdictWords(final, names), why: verdictReason(final) };
}

function hintFor({ final }: DryRun, { names, master }: Place, from: number): { hint?: string } {
	const remedy = verdictRemedy(final);
	if (remedy === undefined) return {};
	return { hint: remedy.replaceAll('MASTER', master).replaceAll('NAME', names.get(from) ?? 'NAME') };
}

/** Whose a DHCP server's reply is, only the slow path that saw the request can tell. */
function isReply({ first }: DryRun, from: number): boolean {
	return first === SLOW_DHCP && from < EDGE_SLAVES;
}

const undecided: Step = {
	step: 'verdict',
	result: verdictName(SLOW_DHCP),
	why: "a server's reply goes to whoever has its transaction open, which a trace can't know; it is the host's if nobody has",
};
