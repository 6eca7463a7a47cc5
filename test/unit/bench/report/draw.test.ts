import test from 'ava';
import { draw } from '../../../../src/bench/report/draw.js';
import type { Bar, Plot } from '../../../../src/bench/report/plots.js';
import { plotsOf, wanted } from '../../../../src/bench/report/plots.js';
import { summarise } from '../../../../src/bench/report/summary.js';
import { element } from '../../../../src/bench/report/svg.js';
import { rows } from '../../../../src/bench/rows/index.js';
import { results } from './results.js';

const bar = (peer: string, median: number): Bar => ({
	peer,
	median,
	low: median * 0.9,
	high: median * 1.1,
	disturbed: false,
});

const plotOf = (...bars: Bar[]): Plot => ({
	name: 'p',
	title: 'A & B',
	caption: '',
	panels: [{ title: 'row <x>: frames/s', better: 'more', mark: 1, unit: '×', bars }],
});

test('elements are closed, and texts made safe', t => {
	t.is(element('a', { b: '<"&>', c: 1.26 }), '<a b="&lt;&quot;&amp;&gt;" c="1.3"/>');
	t.is(element('text', {}, 'x < y'), '<text>x &lt; y</text>\n');
});

test('a picture is well-formed', t => {
	const svg = draw(plotOf(bar('ipvtap', 0.8), bar('ovs', 0.3)));
	const open: string[] = [];
	for (const [, slash, name, own] of svg.matchAll(/<(\/?)([a-z]+)[^>]*?(\/?)>/g)) {
		if (slash) t.is(open.pop(), name);
		else if (!own) open.push(name!);
	}
	t.deepEqual(open, []);
	t.regex(svg, /A &amp; B/);
	t.notRegex(svg, /NaN|undefined|Infinity/);
});

test('bars are as long as their figures, and the mark is where 1 is', t => {
	const svg = draw(plotOf(bar('ipvtap', 0.5), bar('ipvtap-tc-bpf', 1)));
	const widths = [...svg.matchAll(/<rect x="[\d.]+" y="[\d.]+" width="([\d.]+)"/g)].map(([, width]) =>
		Number(width),
	);
	t.is(widths.length, 2);
	t.true(Math.abs(widths[0]! * 2 - widths[1]!) < 0.3);
});

test('a bar that would make all others vanish is cut, and says so', t => {
	const svg = draw(plotOf(bar('ipvtap', 0.5), bar('vde', 400)));
	t.regex(svg, />400 ›</);
	const widths = [...svg.matchAll(/width="([\d.]+)" height="11"/g)].map(([, width]) => Number(width));
	t.true(Math.max(...widths) < 200 && Math.min(...widths) > 10);
});

test('rows that were not measured make no panel, and plots without panels are none', t => {
	const plots = plotsOf(summarise(results(), rows));
	t.deepEqual(
		plots.map(({ name, panels }) => [name, panels.length]),
		[
			['frames', 1],
			['cost', 1],
		],
	);
	t.deepEqual(
		plots[0]!.panels[0]!.bars.map(({ peer }) => peer),
		['ipvtap-tc-bpf', 'ipvtap'],
	);
});

test('every panel is of a row and a metric that exist', t => {
	for (const [name, metric] of wanted.flatMap(({ lines }) => lines)) {
		const row = rows.find(one => one.name === name);
		t.truthy(
			row?.metrics.find(one => one.name === metric),
			`${name} ${metric}`,
		);
	}
});
