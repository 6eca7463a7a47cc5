/** Where the report goes: a page of its own, or the part of a page that is between two marks; plots beside it. */
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { basename, dirname, extname, join } from 'node:path';
import { rows } from '../rows/index.js';
import { draw } from './draw.js';
import { markdownReport } from './markdown.js';
import { plotsOf } from './plots.js';
import { type Results, summarise } from './summary.js';

export const BEGIN = '<!-- bench: written by `npm run bench -- --report` -->';
export const END = '<!-- bench: end -->';

/**
 * Writes `file` and, into a folder of the same name without `.md`, its plots. A file that has the marks keeps what is
 * outside of them; any other is replaced.
 */
export async function writePage(file: string, results: Results): Promise<void> {
	const lines = summarise(results, rows);
	const name = basename(file, extname(file));
	const folder = join(dirname(file), name);
	const pictures = plotsOf(lines).map(plot => ({ plot, path: `${name}/${plot.name}.svg` }));
	await mkdir(folder, { recursive: true });
	for (const plot of pictures.map(picture => picture.plot)) {
		await writeFile(join(folder, `${plot.name}.svg`), draw(plot));
	}
	const before = await readFile(file, 'utf8').catch(() => '');
	await writeFile(file, placed(before, markdownReport(results, lines, pictures)));
}

/** @returns the page with the report between its marks. */
export function placed(page: string, report: string): string {
	const [begin, end] = [page.indexOf(BEGIN), page.indexOf(END)];
	if (begin < 0 || end < begin) return `# Benchmark\n\n${report}`;
	return `${page.slice(0, begin + BEGIN.length)}\n\n${report}\n${page.slice(end)}`;
}
