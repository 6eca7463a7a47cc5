/** What commands say: one JSON document or text for people on stdout, everything else on stderr. */
import type { IpvtapError } from '../errors.js';

/** Prints the document with `--json`, and the text otherwise; no text, no line. */
export function print(json: boolean, document: unknown, text: string): void {
	const out = json ? `${JSON.stringify(document, null, '\t')}\n` : text;
	if (out !== '') process.stdout.write(out.endsWith('\n') ? out : `${out}\n`);
}

/** `error: what failed: why`, then `hint: what to do`; with `--json` also as a document on stdout. */
export function reportError(error: IpvtapError, json: boolean): void {
	const { code, message, hint } = error;
	if (json) print(true, { error: { code, message, ...(hint === undefined ? {} : { hint }) } }, '');
	process.stderr.write(`${paint('31', 'error:')} ${message}\n`);
	if (hint !== undefined) process.stderr.write(`${paint('36', 'hint:')} ${hint}\n`);
	if (process.env.IPVTAP_LOG === 'debug') process.stderr.write(`${error.stack}\n`);
}

/** For people who watch; stdout stays for what scripts read. */
export function note(text: string): void {
	process.stderr.write(`${text}\n`);
}

export function warn(text: string): void {
	note(`${paint('33', 'warning:')} ${text}`);
}

/** Before the arguments are understood, `--json` is looked for by hand; after `--` it is somebody else's. */
export function wantsJson(argv: readonly string[]): boolean {
	const end = argv.indexOf('--');
	return argv.slice(0, end < 0 ? undefined : end).includes('--json');
}

/** Colour on a terminal alone, and never with NO_COLOR (no-color.org). */
export function hasColour(stream: { isTTY?: boolean }): boolean {
	return stream.isTTY === true && !process.env.NO_COLOR && process.env.TERM !== 'dumb';
}

function paint(colour: string, text: string): string {
	return hasColour(process.stderr) ? `\x1b[${colour}m${text}\x1b[0m` : text;
}
