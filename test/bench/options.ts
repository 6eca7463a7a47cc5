/** What `npm run bench -- …` takes. */
import { parseArgs } from 'node:util';
import { IpvtapError } from '../../src/errors.js';

export interface Options {
	quick: boolean;
	/** Only rows whose name contains one of these. */
	filters: string[];
	/** Peers by name; empty: those of the default set. */
	peers: string[];
	/** Blocks of the interleaving; each row runs twice per peer in each. */
	blocks: number;
	/** Length of a run's measured window, and what goes before it, seconds. */
	seconds: number;
	warmup: number;
	/** No new run starts later than this after the beginning, seconds. */
	budget: number;
	/** Folder of the raw results. */
	out: string;
	markdown: string | undefined;
	/** Whether the rows with frames of the network, and those of the micro-benchmarks, run. */
	network: boolean;
	micro: boolean;
}

export const usage = `npm run bench -- [options]      (needs root)

  --quick           fewer rows and shorter runs: under 90 s instead of under 15 min
  --filter ROW      only rows whose name contains ROW (again for more)
  --peers A,B       bridge is always among them: it is what the others are compared with
  --blocks N        interleaved blocks (5; quick: 2); every row runs twice per peer in each
  --seconds S       measured window of a run (1; quick: 0.4)
  --only micro|network
  --out DIR         raw results, default bench-results/
  --markdown FILE   writes the tables there, too
  --list            says which rows and peers there are
`;

/** @throws IpvtapError `usage`. */
export function parseOptions(args: readonly string[]): Options | 'help' | 'list' {
	const { values } = parse(args);
	if (values.help) return 'help';
	if (values.list) return 'list';
	const { quick = false, only } = values;
	if (only !== undefined && only !== 'micro' && only !== 'network') {
		throw new IpvtapError('usage', `--only ${only}: choose micro or network`);
	}
	return {
		quick,
		filters: values.filter ?? [],
		peers: (values.peers ?? '').split(',').filter(Boolean),
		blocks: number('--blocks', values.blocks, quick ? 2 : 5),
		seconds: number('--seconds', values.seconds, quick ? 0.4 : 1),
		warmup: quick ? 0.15 : 0.25,
		budget: quick ? 80 : 14 * 60,
		out: values.out ?? 'bench-results',
		markdown: values.markdown,
		network: only !== 'micro',
		micro: only !== 'network',
	};
}

function parse(args: readonly string[]) {
	const text = { type: 'string' } as const;
	const flag = { type: 'boolean' } as const;
	try {
		return parseArgs({
			args: [...args],
			options: {
				quick: flag,
				list: flag,
				help: { type: 'boolean', short: 'h' },
				filter: { type: 'string', multiple: true },
				peers: text,
				blocks: text,
				seconds: text,
				only: text,
				out: text,
				markdown: text,
			},
		});
	} catch (cause) {
		throw new IpvtapError('usage', `bench: ${cause instanceof Error ? cause.message : String(cause)}`, {
			hint: 'npm run bench -- --help',
			cause,
		});
	}
}

function number(option: string, text: string | undefined, otherwise: number): number {
	const value = text === undefined ? otherwise : Number(text);
	if (value > 0) return value;
	throw new IpvtapError('usage', `${option} ${text}: want a number above 0`);
}
