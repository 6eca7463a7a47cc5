/** The generated part of docs/modes.md. */
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** @throws Error if the markers are gone. */
export function committedTable(): string {
	const text = readFileSync(file, 'utf8');
	const [from, to] = bounds(text);
	return text.slice(from, to).trim();
}

export function commitTable(table: string): void {
	const text = readFileSync(file, 'utf8');
	const [from, to] = bounds(text);
	writeFileSync(file, `${text.slice(0, from)}\n\n${table}\n\n${text.slice(to)}`);
}

function bounds(text: string): [from: number, to: number] {
	const [from, to] = [text.indexOf(begin), text.indexOf(end)];
	if (from < 0 || to < from) throw new Error(`${file} has no place for the table: ${begin} … ${end}`);
	return [from + begin.length, to];
}

const begin = '<!-- written by test/oracle/write.ts: change nothing here -->';
const end = '<!-- end of what is written by test/oracle/write.ts -->';
/** Seen from dist/test/oracle. */
const file = fileURLToPath(new URL('../../../docs/modes.md', import.meta.url));
