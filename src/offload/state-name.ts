import { createHash } from 'node:crypto';

/** By which what a daemon leaves in the kernel is told from another's: 15 characters, the same for the same state folder. */
export function nameOf(stateDir: string): string {
	return `ipvtap-${createHash('sha256').update(stateDir).digest('hex').slice(0, 8)}`;
}
