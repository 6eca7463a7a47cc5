/** Which cases are put to which of the kernel's drivers, and what they look like to it. */
import type { Place } from '../cases/case.js';
import { rooms } from '../cases/index.js';
import { longFrameHeader } from '../helpers/segmented.js';
import { configuration, type Driver, type Kind, type Mode, nameOf } from './configurations.js';
import { type Asked, l3Cases } from './l3-cases.js';
import { toOwnMac, withOneMac } from './one-mac.js';
import type { Configuration, Injection } from './plan.js';

export interface Question {
	kind: Kind;
	/** What the report has it under. */
	class: string;
	one: Asked;
	/** Told beside the others, for who comes from there; nobody compares. */
	aside: boolean;
}

const tableCases = Object.entries(rooms).flatMap(([room, cases]) =>
	cases.map(one => ({ one, class: room === 'flags' ? (one.flag ?? room) : room })),
);

/** In the report's order. */
export const questions: readonly Question[] = [
	...tableCases.map(({ one, class: room }) => question('ipvtap', 'l2', room, one)),
	...l3Cases.map(one => question('ipvtap', 'l3', 'l3', one)),
	...l3Cases.map(one => question('ipvlan', 'l3s', 'l3s', one)),
	// A TAP of the kernel's is of no use in l3s, as is to be seen here.
	...l3Cases
		.filter(({ flag = 'bridge' }) => flag === 'bridge')
		.map(one => question('ipvtap', 'l3s', 'l3s', one, true)),
	...tableCases
		.filter(({ one, class: room }) => room !== 'malformed' && !isExactGroup(one.frame))
		.map(({ one, class: room }) => question('macvtap', 'l2', room, one, true)),
];

/** Why a case isn't put to the kernel, or undefined. */
export function notAsked({ one }: Question): string | undefined {
	return one.frame.length >= LONGEST
		? 'the kernel itself cuts what is longer than 64 KB with all headers'
		: undefined;
}

/** One configuration for each kind of port, with the questions that its injections stand for. */
export function inquiries(): { configuration: Configuration; asked: readonly Question[] }[] {
	const kinds = new Map<string, [Kind, Question[]]>();
	for (const one of questions.filter(each => notAsked(each) === undefined)) {
		const [kind, asked] = kinds.get(nameOf(one.kind)) ?? [one.kind, []];
		asked.push(one);
		kinds.set(nameOf(kind), [kind, asked]);
	}
	return [...kinds.values()].map(([kind, asked]) => ({
		configuration: configuration(kind, asked.map(injection)),
		asked,
	}));
}

function question(driver: Driver, mode: Mode, room: string, one: Asked, aside = false): Question {
	return { kind: { driver, mode, flag: one.flag ?? 'bridge' }, class: room, one, aside };
}

/** macvlan's own filter for groups is a hash too, and there is no telling when it is a lucky one. */
function isExactGroup(frame: Uint8Array): boolean {
	const destination = Buffer.from(frame.subarray(0, 6)).toString('hex');
	return ((frame[0] ?? 0) & 1) === 1 && destination !== 'ffffffffffff';
}

function injection({ kind, one: { from, frame } }: Question): Injection {
	const bytes = shownTo(kind.driver, from, frame);
	const header = longFrameHeader(bytes);
	return {
		from,
		frame: Buffer.from(bytes).toString('hex'),
		...(header === undefined ? {} : { header: header.toString('hex') }),
	};
}

/** A guest of ipvlan has the master's MAC, and nobody outside ever hears of another; one of macvlan has its own. */
function shownTo(driver: Driver, from: Place, frame: Uint8Array): Uint8Array {
	if (driver === 'macvtap') return from === 'wire' ? toOwnMac(frame) : frame;
	return from === 'wire' ? frame : withOneMac(frame);
}

/** The kernel's gso_max_size less all headers (integration/datapath/judge.test.ts). */
const LONGEST = 65_000;
