/**
 * Every error that ipvtap shows to a person is made here. The code decides the exit status and
 * travels unchanged from the daemon through the API to `--json`, so scripts can rely on it.
 */
export class IpvtapError extends Error {
	override readonly name = 'IpvtapError';
	readonly code: ErrorCode;
	/** What the reader can do about it: a sentence, or a command to paste. */
	readonly hint: string | undefined;

	/** @param message `what failed: why`, without a final full stop. */
	constructor(code: ErrorCode, message: string, options: { hint?: string; cause?: unknown } = {}) {
		super(message, options.cause === undefined ? undefined : { cause: options.cause });
		this.code = code;
		this.hint = options.hint;
	}
}

/** Exit status of the command line for each code; the numbers are the contract of docs/cli.md. */
export const exitStatus = {
	failed: 1,
	usage: 2,
	'not-found': 3,
	conflict: 4,
	permission: 5,
	'daemon-unreachable': 6,
	'timed-out': 7,
} as const;

export type ErrorCode = keyof typeof exitStatus;

export function isErrorCode(code: unknown): code is ErrorCode {
	return typeof code === 'string' && Object.hasOwn(exitStatus, code);
}

/** Wraps whatever was thrown, so that every path ends in a code, a message and, where known, a hint. */
export function asIpvtapError(error: unknown): IpvtapError {
	if (error instanceof IpvtapError) return error;
	const message = error instanceof Error ? error.message : String(error);
	return new IpvtapError('failed', message, { cause: error });
}
