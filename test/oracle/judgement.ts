/** What the kernel decided about a case beside what we do, and in which places they differ. */
import type { Place } from '../cases/case.js';
import { onward } from '../cases/routed.js';
import { slaves } from '../helpers/world.js';
import type { Asked } from './l3-cases.js';
import { withOneMac } from './one-mac.js';
import { isOurs, ours } from './ours.js';
import type { Departure, Observation } from './plan.js';
import type { Question } from './questions.js';

export interface Judgement {
	question: Question;
	/** What left because of the frame, by the kernel. A frame that it refused to take has led to nothing. */
	kernel: readonly Departure[];
	/** Missing where we have no verdict of the kind. */
	ours: readonly Departure[] | undefined;
	/** What our fast path says, in the decision table's words. */
	verdict: string;
	disagreements: readonly Disagreement[];
}

/** One place that only one of the two sends something to, or both, but not the same. */
export interface Disagreement {
	place: Place;
	/** `guest`: another than the sender. */
	role: 'wire' | 'host' | 'sender' | 'guest';
	/** `hop`: both, and all that differs is that ours has passed a router. */
	by: 'kernel' | 'ours' | 'both' | 'hop';
}

export function judge(question: Question, observation: Observation): Judgement {
	const kernel = typeof observation === 'string' ? [] : observation;
	const { kind, one, aside } = question;
	if (aside || !isOurs(kind)) return { question, kernel, ours: undefined, verdict: '', disagreements: [] };
	const { verdict, out } = ours(one, kind.mode);
	// A lease is a conversation, of which a case is but the first word; and the kernel takes no part in it.
	const disagreements = verdict === 'dhcp' ? [] : disagreementsOf(one, kernel, out);
	return { question, kernel, ours: out, verdict, disagreements };
}

function disagreementsOf(
	{ from }: Asked,
	kernel: readonly Departure[],
	out: readonly Departure[],
): Disagreement[] {
	const alike = out.map(one =>
		from === 'wire' && one.to === 'host' ? one : { ...one, frame: mapped(one.frame) },
	);
	const places: readonly Place[] = ['wire', 'host', ...slaves.map(({ name }) => name)];
	return places.flatMap(place => {
		const by = differing(framesFor(place, kernel), framesFor(place, alike));
		return by === undefined ? [] : [{ place, role: roleOf(place, from), by }];
	});
}

/** What our guests get, as guests would that have the master's MAC. */
function mapped(frame: string): string {
	return Buffer.from(withOneMac(Buffer.from(frame, 'hex'))).toString('hex');
}

function framesFor(place: Place, departures: readonly Departure[]): string[] {
	return departures
		.filter(({ to }) => to === place)
		.map(({ frame }) => frame)
		.sort();
}

/** Who sends something that the other doesn't, or undefined if nobody does. */
function differing(theirs: readonly string[], own: readonly string[]): Disagreement['by'] | undefined {
	if (areSame(theirs, own)) return;
	if (own.length === 0) return 'kernel';
	if (theirs.length === 0) return 'ours';
	return areSame(theirs.map(routed), own) ? 'hop' : 'both';
}

function areSame(theirs: readonly string[], own: readonly string[]): boolean {
	return theirs.length === own.length && theirs.every((frame, index) => isSame(frame, own[index] ?? ''));
}

/** What the kernel's driver routes to the host itself has come by `lo`: without MACs. */
function isSame(theirs: string, own: string): boolean {
	return (
		theirs === own || (theirs.startsWith(noMacs) && theirs.slice(noMacs.length) === own.slice(noMacs.length))
	);
}

const noMacs = '00'.repeat(12);

/** The kernel's frame as a router would have sent it on, to where the kernel sends it; itself where none would. */
function routed(frame: string): string {
	const bytes = Buffer.from(frame, 'hex');
	return isIp(bytes) && hopsOf(bytes) > 1 ? Buffer.from(onward(bytes, macAt(frame))).toString('hex') : frame;
}

function isIp(bytes: Buffer): boolean {
	return bytes.length >= 34 && [0x0800, 0x86dd].includes(bytes.readUInt16BE(12));
}

function hopsOf(bytes: Buffer): number {
	return bytes[bytes.readUInt16BE(12) === 0x0800 ? 22 : 21] ?? 0;
}

function macAt(frame: string): string {
	return frame.slice(0, 12).replace(/..(?!$)/g, '$&:');
}

function roleOf(place: Place, from: Place): Disagreement['role'] {
	if (place === 'wire' || place === 'host') return place;
	return place === from ? 'sender' : 'guest';
}
