/** What this version can't do yet is refused, not pretended. Pure. */
import { IpvtapError } from '../errors.js';
import { checkOffload } from '../offload/choose.js';
import type { MasterOptions } from './registry.js';

/** @param existing the master that they change. @throws IpvtapError `usage`. */
export function checkSupported(options: MasterOptions, existing: MasterOptions = {}): void {
	const { mode, flag, host, offload } = { ...existing, ...options };
	if (mode === 'l3s' && host === false) {
		throw new IpvtapError('usage', "mode l3s can't do without the host: its stack is what frames pass", {
			hint: 'leave --no-host out, or use --mode l3',
		});
	}
	if (mode === 'l3s' && flag === 'vepa') {
		throw new IpvtapError(
			'usage',
			"mode l3s can't have flag vepa: the host's own routes lead to its guests",
			{
				hint: 'use --flag bridge or private, or --mode l3',
			},
		);
	}
	if (offload !== undefined) checkOffload(offload);
}
