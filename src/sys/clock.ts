/** The monotonic clock without garbage (`performance.now` makes a number object at each call, and costs the same), and a pause. */
import { libc } from './libc.js';
import { mapShared } from './memory.js';

/** Milliseconds since some moment in the past, the same in all threads. @syscalls clock_gettime, in the vDSO */
export function monotonicMs(): number {
	readMonotonicMs(moment);
	return moment[0] as number;
}

/** Writes them into the first place: a double that is returned is an object, unless V8 has merged caller and called. */
export function readMonotonicMs(into: Float64Array): void {
	clockGetTime(CLOCK_MONOTONIC, timespec.address);
	// struct timespec: seconds and nanoseconds of 64 bits each, whose lower halves last for 136 years of uptime.
	into[0] = (words[0] as number) * 1000 + (words[2] as number) / 1e6;
}

/** Does nothing for so long, and some 50 µs more (PR_SET_TIMERSLACK). @syscalls clock_nanosleep */
export const rest = libc.func('int usleep(unsigned int microseconds)') as (microseconds: number) => number;

const CLOCK_MONOTONIC = 1;
const moment = new Float64Array(1);
const timespec = mapShared(16);
const words = new Uint32Array(timespec.bytes.buffer, timespec.bytes.byteOffset, 4);
const clockGetTime = libc.func('int clock_gettime(int id, void *tp)') as (id: number, tp: bigint) => number;
