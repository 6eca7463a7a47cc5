/** What a benchmark is told, and what it does when it is told nothing. */
import { IpvtapError } from '../errors.js';

export interface Options {
	quick: boolean;
	/** Only rows whose name contains one of these. */
	filters: readonly string[];
	/** Peers by name; empty: those of the default set. */
	peers: readonly string[];
	/** Blocks of the interleaving; each row runs twice per peer in each. */
	blocks: number;
	/** Length of a run's measured window, and what goes before it, seconds. */
	seconds: number;
	warmup: number;
	/** No new block of a row starts that would end later than this after the beginning, seconds. */
	budget: number;
	/** Folder of the raw results. */
	out: string;
	/** A page to write the report into. */
	report: string | undefined;
	/** Raw results to report on instead of measuring. */
	from: readonly string[];
	/** Whether the rows with frames of the network, and those of the micro-benchmarks, run, and instructions are counted. */
	network: boolean;
	micro: boolean;
	instructions: boolean;
}

/** As the command line has them; all but lists are text. */
export interface Given {
	quick?: boolean;
	filter?: readonly string[];
	peers?: string;
	blocks?: string;
	seconds?: string;
	minutes?: string;
	only?: string;
	out?: string;
	report?: string;
	from?: readonly string[];
}

/** @throws IpvtapError `usage`. */
export function chooseOptions(given: Given): Options {
	const { quick = false, only } = given;
	const blocks = positive('--blocks', given.blocks, quick ? 2 : 3);
	if (!Number.isInteger(blocks)) throw new IpvtapError('usage', `--blocks ${blocks}: want a whole number`);
	return {
		quick,
		filters: given.filter ?? [],
		peers: (given.peers ?? '').split(',').filter(Boolean),
		blocks,
		seconds: positive('--seconds', given.seconds, 0.4),
		warmup: 0.15,
		budget: 60 * positive('--minutes', given.minutes, quick ? 2 : 14),
		out: given.out ?? 'bench-results',
		report: given.report,
		from: given.from ?? [],
		network: only === undefined || only === 'network',
		micro: only === undefined || only === 'micro',
		instructions: only === 'instructions' || (only === undefined && !quick),
	};
}

function positive(option: string, text: string | undefined, otherwise: number): number {
	const value = text === undefined ? otherwise : Number(text);
	if (value > 0 && Number.isFinite(value)) return value;
	throw new IpvtapError('usage', `${option} ${text}: want a number above 0`);
}
