/**
 * One seed for all property tests of a run. It is printed, and `TEST_SEED=<number>` replays the same run;
 * `TEST_RUNS=<factor>` multiplies the number of cases, for a long night.
 *
 * With `CI` set the seed is always the same: a change must not be refused for what another has broken, nor pass the
 * second time. Everywhere else it is a new one for each run, which is how the tests find what nobody thought of.
 */
import type { ExecutionContext } from 'ava';
import fc from 'fast-check';

export const seed = Number(
	process.env.TEST_SEED ?? (process.env.CI ? 20_261_128 : Math.floor(Math.random() * 0x7fffffff)),
);

/**
 * Less than AVA waits for a test: a failure that can be shrunk for hours is better shown as it is. It counts from the
 * beginning, and a machine that others use takes a minute for what is mostly done in ten seconds.
 */
const SHRINKING_MS = 240_000;

const factor = Number(process.env.TEST_RUNS ?? 1);

/** Checks a property in `runs` cases; what fails is shrunk, and shown with seed and path. */
export function check<Values>(t: ExecutionContext, property: fc.IProperty<Values>, runs = 200): void {
	t.log(`TEST_SEED=${seed}`);
	fc.assert(property, {
		seed,
		numRuns: Math.ceil(runs * factor),
		includeErrorInReport: true,
		interruptAfterTimeLimit: SHRINKING_MS * factor,
		markInterruptAsFailure: true,
	});
	t.pass();
}

/** A small generator (xorshift32) for inner loops that need more numbers than fast-check should shrink. */
export function numbers(start: number): (limit: number) => number {
	let state = start | 0 || 1;
	return limit => {
		state ^= state << 13;
		state ^= state >>> 17;
		state ^= state << 5;
		return (state >>> 0) % limit;
	};
}
