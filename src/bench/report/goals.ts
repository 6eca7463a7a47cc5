/** What was promised before anything was measured, beside what was: met or missed, in words. Pure. */
import { MANY_GUESTS } from '../ground.js';
import { GUEST_TO_GUEST } from '../micro/result.js';
import { OFFLOAD, USERSPACE } from '../peers/index.js';
import type { Row } from '../rows/row.js';
import { absolute, type Estimate, ratio } from '../statistics.js';
import type { Results } from './summary.js';
import { figure, quantity } from './words.js';

export interface Goal {
	peer: string;
	text: string;
	/** As the goal is written: `≥ 1.05 × macvtap`. */
	want: string;
	/** What was measured, as it is written. */
	got: string;
	verdict: Verdict;
}

export type Verdict = 'met' | 'met, within noise' | 'missed, within noise' | '**missed**' | 'not measured';

export function goals(results: Results, rows: readonly Row[]): Goal[] {
	const judge = (promise: Promised): Goal => {
		const got = promise.measured(results, rows);
		return {
			peer: promise.peer,
			text: promise.text,
			want: promise.want,
			got: got === undefined ? '' : promise.write(got),
			verdict: verdict(got, promise),
		};
	};
	return promises.map(judge);
}

/** The whole interval on the right side of the limit, or its middle only. */
export function verdict(got: Estimate | undefined, { least, most }: Limit): Verdict {
	if (got === undefined) return 'not measured';
	const holds = (value: number): boolean => value >= (least ?? -Infinity) && value <= (most ?? Infinity);
	const sure = !got.disturbed && holds(got.low) === holds(got.high);
	if (holds(got.median)) return sure ? 'met' : 'met, within noise';
	return sure ? '**missed**' : 'missed, within noise';
}

interface Limit {
	least?: number;
	most?: number;
}

interface Promised extends Limit {
	peer: string;
	text: string;
	want: string;
	measured(results: Results, rows: readonly Row[]): Estimate | undefined;
	write(got: Estimate): string;
}

/** A ratio to another peer. @param metric by its place in the row's list, or its name. */
function against(
	peer: string,
	text: string,
	row: string,
	metric: string | 0,
	other: string,
	limit: Limit,
): Promised {
	return {
		peer,
		text,
		...limit,
		want: `${limitText(limit, figure)} × ${other}`,
		measured: (results, rows) => {
			const found = find(results, rows, row, metric);
			return ratio(found.runs, found.metric, peer, other);
		},
		write: ({ median, low, high }) => `${figure(median)} [${figure(low)}, ${figure(high)}]`,
	};
}

/** A value of its own. */
function alone(
	peer: string,
	text: string,
	row: string,
	metric: string | 0,
	limit: Limit,
	unit: string,
): Promised {
	return {
		peer,
		text,
		...limit,
		want: limitText(limit, value => quantity(value, unit)),
		measured: (results, rows) => {
			const found = find(results, rows, row, metric);
			return absolute(found.runs, found.metric, peer);
		},
		write: ({ median, low, high }) =>
			low === high
				? quantity(median, unit)
				: `${quantity(median, unit)} [${quantity(low, unit)}, ${quantity(high, unit)}]`,
	};
}

/** Something that is counted or timed once. */
function once(
	peer: string,
	text: string,
	limit: Limit,
	unit: string,
	of: (results: Results) => number | undefined,
): Promised {
	return {
		peer,
		text,
		...limit,
		want: limitText(limit, value => quantity(value, unit)),
		measured: results => {
			const value = of(results);
			if (value === undefined) return undefined;
			return { median: value, low: value, high: value, samples: 1, disturbed: false };
		},
		write: ({ median }) => quantity(median, unit),
	};
}

/** A frame from guest to guest, counted once. */
function instructions(peer: string, other: string, limit: Limit): Promised {
	return {
		...once(peer, 'instructions per frame', limit, '', ({ instructions: all }) => {
			const of = (name: string): number =>
				all?.counts.find(one => one.peer === name && one.path === GUEST_TO_GUEST)?.instructions ?? Number.NaN;
			const value = of(peer) / of(other);
			return Number.isNaN(value) ? undefined : value;
		}),
		want: `${limitText(limit, figure)} × ${other}`,
		write: ({ median }) => median.toFixed(3),
	};
}

/** @throws for a row or metric that doesn't exist: a goal must not be unmeasured because of a misspelling. */
function find(results: Results, rows: readonly Row[], name: string, which: string | 0) {
	const own = rows.find(one => one.name === name)?.metrics;
	const metric = own?.find((one, index) => one.name === which || index === which);
	if (metric === undefined) throw new Error(`goals: there is no ${which} of ${name}`);
	return { runs: results.runs.filter(run => run.row === name), metric };
}

function limitText({ least, most }: Limit, write: (value: number) => string): string {
	return least !== undefined ? `≥ ${write(least)}` : `≤ ${write(most!)}`;
}

/** What attaching took, or the daemon held, with as many guests as the table goes to. */
const setup =
	(peer: string, of: (of: Results['setups'][number]) => number | undefined) => (results: Results) => {
		const found = results.setups.find(one => one.peer === peer && one.guests === MANY_GUESTS);
		return found && of(found);
	};

const micro = (of: 'collections' | 'deoptimisations') => (results: Results) =>
	results.micro.length === 0 ? undefined : results.micro.reduce((sum, one) => sum + one[of], 0);

const frames = 'frames/s';
const unsegmented = 'arrived unsegmented';
const neighbours = 'lost of unicast between two others';
const forged = "frames in another guest's name that arrived";

const promises: readonly Promised[] = [
	against(OFFLOAD, '64 B', 'v2v-64-sleep', frames, 'bridge', { least: 1 }),
	against(OFFLOAD, '64 B, guests sleeping in `poll`', 'v2v-64-poll', frames, 'bridge', { least: 1.05 }),
	against(OFFLOAD, '64 B, both with anti-spoof', 'v2v-64-sleep', frames, 'bridge-nft', { least: 1.3 }),
	against(OFFLOAD, '64 B, both with anti-spoof, in `poll`', 'v2v-64-poll', frames, 'bridge-nft', {
		least: 1.9,
	}),
	against(OFFLOAD, '64 B', 'v2v-64-sleep', frames, 'macvtap', { least: 1.05 }),
	instructions(OFFLOAD, 'bridge', { most: 1 }),
	against(OFFLOAD, '64 KB GSO', 'v2v-gso-poll', 0, 'bridge', { least: 1 }),
	alone(OFFLOAD, '64 KB GSO, unsegmented', 'v2v-gso-poll', unsegmented, { least: 99.9 }, '%'),
	against(OFFLOAD, 'request/response, p99', 'rr-v2v-64', 'p99', 'bridge', { most: 1 }),
	...[OFFLOAD, USERSPACE].flatMap(peer =>
		[8, 100].flatMap(guests => [
			against(peer, `broadcast to ${guests}, deliveries`, `fan-${guests}`, 0, 'bridge', { least: 1 }),
			alone(peer, `the same, unicast loss of two others`, `fan-${guests}`, neighbours, { most: 10 }, '%'),
		]),
	),
	alone(OFFLOAD, '`kill -9` of the daemon: frames lost', 'disruption', 0, { most: 0 }, ''),
	alone(OFFLOAD, 'the same, forged frames that arrived', 'disruption', forged, { most: 0 }, ''),
	alone(OFFLOAD, "upgrade from another version's programs: frames lost", 'upgrade', 0, { most: 0 }, ''),
	alone(OFFLOAD, 'the same, forged frames that arrived', 'upgrade', forged, { most: 0 }, ''),
	alone(
		USERSPACE,
		'`kill -9` of the daemon: forged frames that arrived',
		'disruption',
		forged,
		{ most: 0 },
		'',
	),
	against(USERSPACE, '64 B', 'v2v-64-sleep', frames, 'bridge', { least: 0.9 }),
	against(USERSPACE, '64 B, guests sleeping in `poll`', 'v2v-64-poll', frames, 'bridge', { least: 0.4 }),
	...['ovs', 'vde'].map(other => against(USERSPACE, '64 B', 'v2v-64-sleep', frames, other, { least: 2 })),
	against(USERSPACE, '64 B', 'v2v-64-sleep', frames, 'c-twin', { least: 1 }),
	against(USERSPACE, '64 KB GSO', 'v2v-gso-poll', 0, 'bridge', { least: 0.5 }),
	alone(USERSPACE, '64 KB GSO, unsegmented', 'v2v-gso-poll', unsegmented, { least: 99.9 }, '%'),
	against(USERSPACE, 'request/response', 'rr-v2v-64', 0, 'bridge', { least: 0.8 }),
	against(USERSPACE, 'request/response, p99', 'rr-v2v-64', 'p99', 'bridge', { most: 1.5 }),
	against(USERSPACE, 'delay at half of its own limit, p99', 'v2v-half', 'p99', 'c-twin', { most: 3 }),
	once(USERSPACE, 'garbage collections in the frame path', { most: 0 }, '', micro('collections')),
	once(USERSPACE, 'deoptimisations in the frame path', { most: 0 }, '', micro('deoptimisations')),
	...[OFFLOAD, USERSPACE].flatMap(peer => [
		alone(peer, "a guest's storm: left of its neighbours' transactions", 'storm', 0, { least: 90 }, '%'),
		alone(peer, `frames/s among ${MANY_GUESTS} guests`, 'scale-1000', 0, { least: 90 }, '%'),
		once(
			peer,
			`attaching the ${MANY_GUESTS} guests, 99th percentile`,
			{ most: 100 },
			'ms',
			setup(peer, ({ attachMs }) => attachMs[Math.ceil(attachMs.length * 0.99) - 1]),
		),
		once(
			peer,
			`resident with ${MANY_GUESTS} guests`,
			{ most: 300 },
			' MB',
			setup(peer, ({ residentMb }) => residentMb),
		),
	]),
];
