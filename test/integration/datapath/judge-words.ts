/** Whether a port did with a frame what the decision table says, and in words what it did instead. */
import type { Case } from '../../cases/case.js';
import { readable } from '../../helpers/describe.js';
import type { Judged } from './judge.js';

/** @returns undefined if all is as it should be. */
export function complaintOf(
	{ verdict, frame, out = [] }: Case,
	{ taken, out: seen, drops }: Judged,
): string | undefined {
	const wanted = out.map(one => `${one.to}: ${readable(one.frame)}`).sort();
	const got = seen.map(one => `${one.to}: ${readable(one.frame)}`).sort();
	if (wanted.join('\n') !== got.join('\n')) return `\n got ${shown(got)}\nnot  ${shown(wanted)}`;
	if (!/^(drop|refuse): /.test(verdict) || !taken) return undefined;
	const counted = JSON.stringify(drops);
	// The kernel takes tags out of frames before anybody sees them, and drops what is too short for one itself.
	if (isTagged(frame))
		return counted === '{"vlan":1}' || (counted === '{}' && frame.length < 18)
			? undefined
			: `counted as ${counted}`;
	const reason = verdict.replace(/^(drop|refuse): /, '');
	return counted === JSON.stringify({ [reason]: 1 }) ? undefined : `counted as ${counted}, not ${reason}`;
}

function isTagged(frame: Uint8Array): boolean {
	const type = (frame[12]! << 8) | frame[13]!;
	return type === 0x8100 || type === 0x88a8;
}

/** The beginnings of frames, which is where they differ. */
function shown(frames: readonly string[]): string {
	return frames.map(text => text.slice(0, 500)).join('\n     ') || 'nothing';
}
