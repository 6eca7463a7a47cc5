/** A plot as SVG: small panels side by side, one bar a peer, with its interval. Pure. */
import { OFFLOAD, USERSPACE } from '../peers/index.js';
import type { Bar, Panel, Plot } from './plots.js';
import { element, picture } from './svg.js';
import { figure } from './words.js';

const COLUMNS = 3;
const WIDTH = 312;
const NAMES = 92;
const VALUES = 44;
const BARS = WIDTH - NAMES - VALUES;
const STEP = 17;
const THICK = 11;
const HEAD = 40;
const FOOT = 30;
const MARGIN = 18;
/** A bar beyond this would make all others vanish: it is cut, and its figure says so. */
const LONGEST = { '×': 4, '%': 400 } as const;

/** What stays the same from plot to plot: ours in strong colours, others in quieter ones. */
const colours: Readonly<Record<string, string>> = {
	[OFFLOAD]: '#0b61a4',
	[USERSPACE]: '#25a0c5',
	'ipvtap-l3': '#4f6fd0',
	'c-twin': '#9bcbd9',
	'c-sendmmsg': '#bfdfe8',
	bridge: '#5d6570',
	'bridge-nft': '#8b6f47',
	'bridge-snoop': '#a58f6f',
	macvtap: '#8d96a3',
	routed: '#b3a06a',
	'routed-nat': '#d1c08c',
	ovs: '#d77a32',
	vde: '#bb5566',
};
const INK = '#1f2630';
const FAINT = '#d9dde3';
const GREY = '#69717d';

export function draw(plot: Plot): string {
	const columns = Math.min(COLUMNS, plot.panels.length);
	const lines = Math.ceil(plot.panels.length / columns);
	const tops: number[] = [];
	let top = 46;
	for (let line = 0; line < lines; line++) {
		tops.push(top);
		top += Math.max(...plot.panels.slice(line * columns, (line + 1) * columns).map(height)) + MARGIN;
	}
	const panels = plot.panels.map((panel, index) => {
		const x = MARGIN + (index % columns) * (WIDTH + MARGIN);
		return element(
			'g',
			{ transform: `translate(${x} ${tops[Math.floor(index / columns)]})` },
			drawPanel(panel),
		);
	});
	const heading = text(MARGIN, 28, plot.title, { 'font-size': 16, 'font-weight': 600, fill: INK });
	return picture(MARGIN + columns * (WIDTH + MARGIN), top, plot.title, [heading, ...panels]);
}

function height({ bars }: Panel): number {
	return HEAD + bars.length * STEP + FOOT;
}

function drawPanel(panel: Panel): string[] {
	const { title, better, bars, unit, mark } = panel;
	const end = domainEnd(panel);
	const at = (value: number): number => NAMES + (Math.min(value, end) / end) * BARS;
	const bottom = HEAD + bars.length * STEP;
	const [first, second] = titleLines(title);
	const ticks = ticksTo(end).map(tick => [
		line(at(tick), HEAD - 4, at(tick), bottom, { stroke: FAINT, 'stroke-width': 1 }),
		text(at(tick), bottom + 13, unit === '%' ? `${tick} %` : String(tick), {
			'text-anchor': 'middle',
			'font-size': 9.5,
			fill: GREY,
		}),
	]);
	return [
		text(0, 12, first, { 'font-weight': 600, fill: INK }),
		text(0, 26, second, { fill: GREY }),
		text(WIDTH, 26, better === 'more' ? 'more is better →' : '← less is better', {
			'text-anchor': 'end',
			'font-size': 9.5,
			fill: GREY,
		}),
		...ticks.flat(),
		...bars.map((bar, index) => drawBar(bar, HEAD + index * STEP, at, end, unit)),
		...(mark > 0 && mark <= end
			? [line(at(mark), HEAD - 5, at(mark), bottom + 2, { stroke: INK, 'stroke-width': 1.4 })]
			: []),
	];
}

function drawBar(
	bar: Bar,
	top: number,
	at: (value: number) => number,
	end: number,
	unit: Panel['unit'],
): string {
	const { peer, median, low, high, disturbed } = bar;
	const ours = peer === OFFLOAD || peer === USERSPACE;
	const middle = top + STEP / 2;
	const colour = colours[peer] ?? GREY;
	const whisker = (value: number): string =>
		value > end ? '' : line(at(value), middle - 3, at(value), middle + 3, { stroke: INK, 'stroke-width': 1 });
	const words = unit === '%' ? median.toFixed(median < 9.95 ? 1 : 0) : figure(median);
	return element('g', disturbed ? { opacity: 0.55 } : {}, [
		text(NAMES - 6, middle + 3.5, peer, {
			'text-anchor': 'end',
			fill: INK,
			...(ours ? { 'font-weight': 600 } : {}),
		}),
		element('rect', {
			x: NAMES,
			y: middle - THICK / 2,
			width: Math.max(0.8, at(median) - NAMES),
			height: THICK,
			rx: 1.5,
			fill: colour,
		}),
		line(at(low), middle, at(high), middle, { stroke: INK, 'stroke-width': 1 }),
		whisker(low),
		whisker(high),
		text(NAMES + BARS + 8, middle + 3.5, `${disturbed ? '~' : ''}${words}${median > end ? ' ›' : ''}`, {
			fill: INK,
			...(ours ? { 'font-weight': 600 } : {}),
		}),
	]);
}

/** Room for all medians and, as far as that leaves them legible, their intervals. */
function domainEnd({ bars, mark, unit }: Panel): number {
	const medians = Math.max(...bars.map(({ median }) => median));
	const highs = Math.max(...bars.map(({ high }) => high));
	const wanted = Math.max(mark * 1.15, medians * 1.05, Math.min(highs, medians * 1.4));
	const least = unit === '%' ? 10 : 0;
	return Math.max(least, Math.min(wanted, LONGEST[unit]));
}

function ticksTo(end: number): number[] {
	const step = [0.1, 0.25, 0.5, 1, 2, 2.5, 5, 10, 25, 50, 100].find(one => end / one <= 5.5) ?? 100;
	return Array.from({ length: Math.floor(end / step + 1e-9) + 1 }, (_, index) =>
		Number((index * step).toFixed(2)),
	);
}

/** The row in bold, and what was measured below it; longer words are cut by nobody, so they break there. */
function titleLines(title: string): [string, string] {
	const colon = title.lastIndexOf(': ');
	return [title.slice(0, colon), title.slice(colon + 2)];
}

function text(x: number, y: number, words: string, attributes: Record<string, string | number>): string {
	return element('text', { x, y, ...attributes }, words);
}

function line(
	x1: number,
	y1: number,
	x2: number,
	y2: number,
	attributes: Record<string, string | number>,
): string {
	return element('line', { x1, y1, x2, y2, ...attributes });
}
