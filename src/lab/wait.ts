import { setTimeout as sleep } from 'node:timers/promises';
import { IpvtapError } from '../errors.js';

/** How often state is looked at that the kernel gives no event for. */
const pollMs = 20;

/**
 * Looks until `probe` gives something other than `undefined` or `false`. Only for state that nothing
 * announces: an address leaving its tentative state, a socket of another program starting to listen.
 *
 * @throws IpvtapError `timed-out` after `timeout` milliseconds, saying what was waited for.
 */
export async function until<T>(
	what: string,
	timeout: number,
	probe: () => Promise<T | undefined | false> | T | undefined | false,
): Promise<T> {
	const deadline = performance.now() + timeout;
	for (;;) {
		const seen = await probe();
		if (seen !== undefined && seen !== false) return seen;
		if (performance.now() > deadline) {
			throw new IpvtapError('timed-out', `wait for ${what}: not so after ${timeout} ms`);
		}
		await sleep(pollMs);
	}
}
