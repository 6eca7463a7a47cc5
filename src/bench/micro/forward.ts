/** The decision alone: nanoseconds per frame, and whether it leaves the garbage collector and the optimiser alone. */
import { fileURLToPath } from 'node:url';
import { exec } from '../../lab/command.js';
import type { MicroResult } from './result.js';

/**
 * @param frames per case. @param wasteful adds a case, the last, that allocates: what the others must not look like.
 * @throws IpvtapError when the child fails.
 */
export async function measureForward(frames: number, wasteful?: 'wasteful'): Promise<MicroResult[]> {
	const child = fileURLToPath(new URL('./forward-child.js', import.meta.url));
	// V8 writes its traces through a buffer of the C library: without stdbuf they would all come at the end.
	const words = ['-oL', process.execPath, '--trace-deopt', child, String(frames), wasteful ?? ''];
	const text = await exec('stdbuf', words, { timeout: 120_000 });
	const results: MicroResult[] = [];
	let deoptimisations = 0;
	for (const line of text.split('\n')) {
		if (line.startsWith('begin ')) deoptimisations = 0;
		else if (line.startsWith('[bailout')) deoptimisations++;
		else if (line.startsWith('end ')) {
			const { name, nsPerFrame, collections } = JSON.parse(line.slice(4)) as MicroResult;
			results.push({ name, frames, nsPerFrame, collections, deoptimisations });
		}
	}
	return results;
}
