/** Binary search for the accumulator among sorted ranges, as classic BPF: what keeps 1000 slaves cheap. */
import { type Code, type Instruction, ifAtLeast } from './classic-bpf.js';

/** Unsigned 32-bit numbers, both inclusive. */
export interface Range {
	first: number;
	last: number;
}

/**
 * Sorted, disjoint ranges that cover the numbers; neighbours are joined, and where there are more than `most`,
 * those with the smallest gaps between them too: the result then holds more numbers than were given.
 */
export function rangesOf(numbers: Iterable<number>, most = Number.POSITIVE_INFINITY): Range[] {
	const sorted = Array.from(new Set(numbers), number => number >>> 0).sort((a, b) => a - b);
	const gaps = sorted.slice(1).map((number, index) => number - (sorted[index] as number));
	const widest = [...gaps].sort((a, b) => b - a);
	// Keep apart only what the `most - 1` widest gaps separate; a gap of 1 is none.
	const limit = Math.max(2, gaps.length >= most ? (widest[most - 1] as number) + 1 : 2);
	const ranges: Range[] = [];
	sorted.forEach((number, index) => {
		const current = ranges.at(-1);
		if (current && (gaps[index - 1] as number) < limit) current.last = number;
		else ranges.push({ first: number, last: number });
	});
	return ranges;
}

/** Code that runs `hit` if A lies in one of the ranges and `miss` otherwise; both must end in `ret`. */
export function searchRanges(ranges: readonly Range[], hit: Code, miss: Code): Instruction[] {
	// Each bound changes the answer: at or above `first` it is a hit, above `last` a miss again.
	const bounds = ranges.flatMap(({ first, last }) =>
		last === 0xffffffff
			? [{ from: first, code: hit }]
			: [
					{ from: first, code: hit },
					{ from: last + 1, code: miss },
				],
	);
	return decide(bounds, 0, bounds.length, miss);
}

interface Bound {
	from: number;
	code: Code;
}

/** `below` is the answer for what lies under the first bound of this part. */
function decide(bounds: readonly Bound[], begin: number, end: number, below: Code): Instruction[] {
	if (begin === end) return [...below];
	const middle = (begin + end) >> 1;
	const { from, code } = bounds[middle] as Bound;
	return [...ifAtLeast(from, decide(bounds, middle + 1, end, code)), ...decide(bounds, begin, middle, below)];
}
