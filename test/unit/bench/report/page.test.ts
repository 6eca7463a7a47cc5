import test from 'ava';
import { markdownReport } from '../../../../src/bench/report/markdown.js';
import { BEGIN, END, placed } from '../../../../src/bench/report/page.js';
import { plotsOf } from '../../../../src/bench/report/plots.js';
import { merge, summarise } from '../../../../src/bench/report/summary.js';
import { rows } from '../../../../src/bench/rows/index.js';
import { results } from './results.js';

test('the report goes between the marks of a page, and nothing else of it changes', t => {
	const page = `# Title\n\nprose\n\n${BEGIN}\nold\n${END}\n\nmore\n`;
	const once = placed(page, 'new\n');
	t.is(once, `# Title\n\nprose\n\n${BEGIN}\n\nnew\n\n${END}\n\nmore\n`);
	t.is(placed(once, 'new\n'), once);
	t.is(placed('', 'new\n'), '# Benchmark\n\nnew\n');
});

test('a report has goals, plots, ratios, and says what was left out', t => {
	const lines = summarise(results(), rows);
	const pictures = plotsOf(lines).map(plot => ({ plot, path: `p/${plot.name}.svg` }));
	const text = markdownReport(results(), lines, pictures);
	t.regex(text, /\| ipvtap \| 64 B \| ≥ 0\.90 × bridge \| 0\.80 \[0\.80, 0\.80\] \| \*\*missed\*\* \|/);
	t.regex(text, /!\[Frames a second\]\(p\/frames\.svg\)/);
	t.regex(text, /\| V2V 64 B, receiver napping \| frames\/s \| 1\.0 k\/s \| 1\.20 \[1\.20, 1\.20\] \| 0\.80/);
	t.regex(text, /\| guest to guest \| 91 \|/);
	t.regex(text, /\| `from_slave` \| l2 \| 4487 \| 20\.9 kB \| 25\.1 k \|/);
	t.regex(text, /\| instructions per frame, Linux 6\.1\.0 \| bridge \| ipvtap-tc-bpf \|/);
	t.regex(text, /\| guest to guest \| 5000 \| 0\.990 \|/);
	t.regex(text, /\| instructions per frame \| ≤ 1\.00 × bridge \| 0\.990 \| met \|/);
	t.regex(text, /vde\*\*: left out, vde_switch is missing/);
	t.regex(text, /8 runs in 1 interleaved blocks; 1 were disturbed/);
	t.notRegex(text, /undefined|NaN|Infinity/);
});

test('several sittings are one with more blocks', t => {
	const other = { ...results(), peers: [{ name: 'vde', about: 'about vde' }], rows: ['storm'] };
	const both = merge([results(), other]);
	t.is(both.runs.length, 16);
	t.deepEqual([...new Set(both.runs.map(({ block }) => block))], [0, 1]);
	t.deepEqual(
		both.peers.map(({ name }) => name),
		['bridge', 'ipvtap-tc-bpf', 'ipvtap', 'vde'],
	);
	t.deepEqual(both.rows, ['v2v-64-sleep', 'storm']);
	t.deepEqual(both.absent, [], 'who was there once is not missing');
});
