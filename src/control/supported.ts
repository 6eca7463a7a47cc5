/** What this version can't do yet is refused, not pretended. Pure. */
import { IpvtapError } from '../errors.js';
import { checkOffload } from '../offload/choose.js';
import type { MasterOptions } from './registry.js';

/** @throws IpvtapError `usage`. */
export function checkSupported(options: MasterOptions): void {
	const { mode, offload } = options;
	if (offload !== undefined) checkOffload(offload);
	if (mode !== undefined && mode !== 'l2') {
		throw new IpvtapError('usage', `mode ${mode} is not supported in this version`, {
			hint: 'use --mode l2',
		});
	}
}
