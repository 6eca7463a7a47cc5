import type { Ability, Need } from '../peers/peer.js';
import type { Run, Timing, Traffic } from '../run.js';
import type { Place } from '../site.js';

export interface Metric {
	name: string;
	/** `%` and `s/restart` are compared by their values; of everything else ratios are made. */
	unit: string;
	/** Which of two values is the better one. */
	better: 'more' | 'less';
	/** undefined: this run can't tell. */
	of(run: Run): number | undefined;
}

export type Table = 'quick' | 'usual' | 'all';

/** A line of the table: which way the frames go, and what is counted. */
export interface Row {
	name: string;
	title: string;
	/** The smallest table that has it. */
	table: Table;
	/** What a peer must have to be measured so. */
	wants: readonly Ability[];
	/** A program that makes its traffic. */
	needs?: Need;
	/** How many guests its places have. */
	guests: readonly number[];
	/** A run that disturbs the machine by itself: what else went on then says nothing. */
	unquiet?: boolean;
	/** What has to be known, or to be in place, before a run: it isn't measured. */
	prepare?(places: readonly Place[]): Promise<unknown>;
	/** @param places one for each of `guests`. */
	traffic(places: readonly Place[], timing: Timing): Promise<Traffic>;
	/** The first metric is the row's own. */
	metrics: readonly Metric[];
}
