/**
 * The one door to C. Files of this folder declare the functions that they need with `libc.func`; nothing
 * outside `src/sys` imports koffi, so this folder is all there is to audit for memory safety.
 */
import koffi from 'koffi';

export const libc = koffi.load('libc.so.6');

/** A system call that returned -1. `code` is the errno's name, as Node's own errors have it. */
export class SysError extends Error {
	override readonly name = 'SysError';
	readonly errno: number;
	readonly code: string;
	readonly syscall: string;

	constructor(syscall: string, errno: number) {
		const code = errnoName(errno);
		super(`${syscall}: ${strerror(errno)} (${code})`);
		this.errno = errno;
		this.code = code;
		this.syscall = syscall;
	}
}

/** Returns `result` if it is not negative. @throws SysError made from errno, naming `syscall`. */
export function check(result: number, syscall: string): number {
	if (result < 0) throw new SysError(syscall, koffi.errno());
	return result;
}

/** errno of the last call made on this thread. */
export function errno(): number {
	return koffi.errno();
}

/** `ENOENT` for 2, and so on; `E<number>` for one that this platform doesn't name. */
export function errnoName(errno: number): string {
	return errnoNames.get(errno) ?? `E${errno}`;
}

/** The first name wins: EAGAIN rather than its alias EWOULDBLOCK. */
const errnoNames = new Map<number, string>();
for (const [name, number] of Object.entries(koffi.os.errno)) {
	if (!errnoNames.has(number as number)) errnoNames.set(number as number, name);
}

const strerror = libc.func('const char *strerror(int errnum)') as (errno: number) => string;
