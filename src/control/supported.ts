/** What this version can't do yet is refused, not pretended. Pure. */
import { IpvtapError } from '../errors.js';
import { quote } from './names.js';
import type { MasterOptions } from './registry.js';

/** @throws IpvtapError `usage`. */
export function checkSupported(options: MasterOptions): void {
	const { mode, offload } = options;
	if (mode !== undefined && mode !== 'l2') {
		throw new IpvtapError('usage', `mode ${mode} is not supported in this version`, {
			hint: 'use --mode l2',
		});
	}
	if (offload !== undefined && offload !== 'auto' && offload !== 'none') {
		throw new IpvtapError('usage', `offload ${quote(offload)} is not supported in this version`, {
			hint: 'use --offload none (or auto, which is the same until there is one)',
		});
	}
}

/** What `auto` comes to. */
export function effectiveOffload(offload: string): string {
	return offload === 'auto' ? 'none' : offload;
}
