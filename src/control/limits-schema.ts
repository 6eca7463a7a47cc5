/** Limits in requests and in the state file. A burst that isn't said follows from the rate; in the file it is said. */
import { z } from 'zod';
import { type LimitKey, limitRanges } from './limits.js';

const rate = (key: LimitKey) => z.int().min(limitRanges[key].rate[0]).max(limitRanges[key].rate[1]);
const burst = (key: LimitKey) => z.int().min(limitRanges[key].burst[0]).max(limitRanges[key].burst[1]);

const asked = (key: LimitKey) =>
	z
		.strictObject({ rate: rate(key), burst: burst(key).exactOptional() })
		.nullable()
		.exactOptional();
const kept = (key: LimitKey) =>
	z
		.strictObject({ rate: rate(key), burst: burst(key) })
		.nullable()
		.exactOptional();

export const limitsBody = z.strictObject({
	tx: asked('tx'),
	rx: asked('rx'),
	slow: asked('slow'),
	learn: asked('learn'),
});

export const limitsFile = z.strictObject({
	tx: kept('tx'),
	rx: kept('rx'),
	slow: kept('slow'),
	learn: kept('learn'),
});
