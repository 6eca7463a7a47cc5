/** A request that the kernel refused, in its own words where it has any. */
import koffi from 'koffi';
import { type ErrorCode, IpvtapError } from '../../errors.js';
import { errnoName, SysError } from '../libc.js';

export class NetlinkError extends IpvtapError {
	readonly errno: number;
	/** `EEXIST` and so on: what callers decide by. */
	readonly errnoName: string;
	/** The extended acknowledgement, e.g. `Exclusivity flag on, cannot modify`. */
	readonly kernelText: string | undefined;

	/** @param what the operation and its object, e.g. `create veth ipvh0` */
	constructor(what: string, errno: number, kernelText: string | undefined) {
		const cause = new SysError(what, errno);
		const code = codes[cause.code] ?? 'failed';
		const hint = code === 'permission' ? 'run as root, or with the capability CAP_NET_ADMIN' : undefined;
		super(code, kernelText === undefined ? cause.message : `${cause.message}: ${kernelText}`, {
			...(hint === undefined ? {} : { hint }),
			cause,
		});
		this.errno = errno;
		this.errnoName = errnoName(errno);
		this.kernelText = kernelText;
	}
}

/**
 * Runs `action`; true if it passed, false if the kernel refused it with one of `errnoNames`. It compares numbers,
 * because some errnos have two names.
 */
export function unless(errnoNames: readonly string[], action: () => void): boolean {
	try {
		action();
		return true;
	} catch (error) {
		if (error instanceof NetlinkError && errnoNames.some(name => koffi.os.errno[name] === error.errno))
			return false;
		throw error;
	}
}

const codes: Record<string, ErrorCode | undefined> = {
	EPERM: 'permission',
	EACCES: 'permission',
	EEXIST: 'conflict',
	EBUSY: 'conflict',
	EADDRINUSE: 'conflict',
	ENODEV: 'not-found',
	ENOENT: 'not-found',
	ESRCH: 'not-found',
	EADDRNOTAVAIL: 'not-found',
	ETIMEDOUT: 'timed-out',
};
