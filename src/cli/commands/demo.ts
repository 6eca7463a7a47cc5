/** `ipvtap demo`: the lab's demonstration, run with this very command line. */
import { runDemo } from '../../lab/demo.js';
import { hasColour } from '../output.js';

/** @returns 0 if everybody reached everybody, and the switch saw one MAC. */
export async function demo({ json = false }: { json?: boolean }): Promise<number> {
	const { ok } = await runDemo({ output: process.stdout, color: hasColour(process.stdout), json });
	return ok ? 0 : 1;
}
