/** What the kernel decided about a case beside what we do, and in which places they differ. */
import type { Place } from '../cases/case.js';
import { slaves } from '../helpers/world.js';
import type { Asked } from './l3-cases.js';
import { withOneMac } from './one-mac.js';
import { comparedModes, ours } from './ours.js';
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
	by: 'kernel' | 'ours' | 'both';
}

export function judge(question: Question, observation: Observation): Judgement {
	const kernel = typeof observation === 'string' ? [] : observation;
	const { kind, one, aside } = question;
	if (aside || !comparedModes.includes(kind.mode))
		return { question, kernel, ours: undefined, verdict: '', disagreements: [] };
	const { verdict, out } = ours(one);
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
		const [theirs, own] = [framesFor(place, kernel), framesFor(place, alike)];
		if (theirs.join() === own.join() || isSameCount(theirs, own)) return [];
		const by = own.length === 0 ? 'kernel' : theirs.length === 0 ? 'ours' : 'both';
		return [{ place, role: roleOf(place, from), by }];
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

/** Packets whose frame nobody has seen can only be counted. */
function isSameCount(theirs: readonly string[], own: readonly string[]): boolean {
	return theirs.length > 0 && theirs.length === own.length && theirs.every(frame => frame === '');
}

function roleOf(place: Place, from: Place): Disagreement['role'] {
	if (place === 'wire' || place === 'host') return place;
	return place === from ? 'sender' : 'guest';
}
