/** A limit for what must not hang: the daemon does one thing at a time, so one that never ends would end all. */
import { IpvtapError } from '../errors.js';

/** @throws IpvtapError `timed-out` when `work` isn't done in time; it may go on all the same. */
export async function inTime<T>(work: Promise<T>, milliseconds: number, what: string): Promise<T> {
	let timer: NodeJS.Timeout | undefined;
	const late = new Promise<never>((_, reject) => {
		timer = setTimeout(() => {
			reject(
				new IpvtapError('timed-out', `${what}: not done after ${milliseconds / 1000} s`, {
					hint: "see the daemon's log; restarting it does the slaves no harm if it is killed (kill -9)",
				}),
			);
		}, milliseconds);
	});
	try {
		return await Promise.race([work, late]);
	} finally {
		clearTimeout(timer);
	}
}
