/** Text for people: tables and details. Pure. */
import { stripVTControlCharacters } from 'node:util';

export interface Column {
	title: string;
	/** Numbers are easier to compare when they end in one line. */
	right?: boolean;
}

/** Aligned columns, two blanks apart; the title line is there even if no row is. */
export function table(
	columns: readonly Column[],
	rows: readonly (readonly string[])[],
	colour = false,
): string {
	const titles = columns.map(({ title }) => title);
	const widths = columns.map((_, index) =>
		Math.max(...[titles, ...rows].map(row => width(row[index] ?? ''))),
	);
	const line = (row: readonly string[]): string =>
		columns
			.map(({ right }, index) => {
				const cell = row[index] ?? '';
				const gap = ' '.repeat((widths[index] ?? 0) - width(cell));
				return right ? gap + cell : cell + gap;
			})
			.join('  ')
			.trimEnd();
	const head = colour ? `\x1b[1m${line(titles)}\x1b[0m` : line(titles);
	return `${[head, ...rows.map(line)].join('\n')}\n`;
}

/** `name:  value` lines with the values aligned; undefined values are left out. */
export function details(entries: readonly (readonly [string, string | undefined])[]): string {
	const shown = entries.filter((entry): entry is readonly [string, string] => entry[1] !== undefined);
	const longest = Math.max(...shown.map(([name]) => name.length));
	return shown.map(([name, value]) => `${`${name}:`.padEnd(longest + 2)} ${value}`.trimEnd() + '\n').join('');
}

/** 1234567 bytes are `1.2 MB`: decimal, as network people count. */
export function bytes(count: number): string {
	const units = ['B', 'kB', 'MB', 'GB', 'TB', 'PB'];
	let value = count;
	let unit = 0;
	while (value >= 999.5 && unit < units.length - 1) {
		value /= 1000;
		unit++;
	}
	return `${unit === 0 ? value : value.toFixed(value < 9.95 ? 1 : 0)} ${units[unit]}`;
}

/** `3 own-mac, 1 short-frame`, the most frequent first; `-` for none. */
export function reasons(drops: Record<string, number>): string {
	const sorted = Object.entries(drops).sort(([, a], [, b]) => b - a);
	return sorted.length === 0 ? '-' : sorted.map(([reason, count]) => `${count} ${reason}`).join(', ');
}

export function sum(drops: Record<string, number>): number {
	return Object.values(drops).reduce((total, count) => total + count, 0);
}

function width(text: string): number {
	return stripVTControlCharacters(text).length;
}
