/** `ipvtap trace`: what would become of a frame, step by step, and why. */
import { readConfig } from '../../config.js';
import { askIfAny } from '../../control/autostart.js';
import type { Trace } from '../../control/model.js';
import type { TraceRequest } from '../../control/trace/tracer.js';
import { IpvtapError } from '../../errors.js';
import { table } from '../format.js';
import { parseHexFrame } from '../hex-frame.js';
import { hasColour, print } from '../output.js';

export async function trace({
	json = false,
	frame,
	...words
}: TraceRequest & { json?: boolean }): Promise<void> {
	const hex = frame === undefined ? undefined : parseHexFrame(frame === '-' ? await readStdin() : frame);
	const request = { ...words, ...(hex === undefined ? {} : { frame: hex }) };
	const traced = await askIfAny<Trace>(readConfig(), 'POST', '/v1/trace', request);
	if (!traced) {
		throw new IpvtapError('not-found', `trace from '${words.from}': no daemon runs, so there is no port`, {
			hint: 'see: ipvtap up --help, ipvtap attach --help',
		});
	}
	print(json, traced, traceText(traced, hasColour(process.stdout)));
}

function traceText({ summary, master, notes, steps, hint, out }: Trace, colour: boolean): string {
	const rows = steps.map(({ step, result, why }) => [step, result, why]);
	return [
		`${summary}\non ${master}\n`,
		notes.map(note => `note: ${note}\n`).join(''),
		'\n',
		table(columns, rows, colour),
		'\n',
		hint === undefined ? '' : `hint: ${hint}\n\n`,
		out.length === 0 ? 'Nothing leaves.\n' : out.map(leaving).join(''),
	].join('');
}

function leaving({ to, summary, lost }: Trace['out'][number]): string {
	return `To ${to}${lost === undefined ? '' : ` (lost: ${lost})`}: ${summary}\n`;
}

async function readStdin(): Promise<string> {
	const chunks: Buffer[] = [];
	for await (const chunk of process.stdin) chunks.push(chunk as Buffer);
	return Buffer.concat(chunks).toString('latin1');
}

const columns = [{ title: 'STEP' }, { title: 'RESULT' }, { title: 'WHY' }];
