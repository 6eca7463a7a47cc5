import test from 'ava';
import {
	defaultLimits,
	edgeLimits,
	effectiveLimits,
	limitKeys,
	limitText,
	mergeLimits,
	parseLimit,
	parseLimits,
} from '../../../src/control/limits.js';

for (const [text, rate, burst] of [
	['100mbit', 100e6, 3_125_000],
	['100Mbit', 100e6, 3_125_000],
	['1gbit', 1e9, 31_250_000],
	['512kbit', 512_000, 65_536],
	['8000', 8000, 65_536],
	['8000bit', 8000, 65_536],
	['1mbps', 8e6, 250_000],
	['1mibit', 2 ** 20, 65_536],
	['1.5mbit/64k', 1_500_000, 65_536],
	['100mbit/65536', 100e6, 65_536],
	['100mbit/1mb', 100e6, 1_048_576],
	['1tbit', 1e12, 2 ** 30],
] as const) {
	test(`tx=${text}`, t => t.deepEqual(parseLimit('tx', text), { rate, burst }));
}

test('frames and addresses are plain numbers, and their bursts too', t => {
	t.deepEqual(parseLimit('slow', '500'), { rate: 500, burst: 1000 });
	t.deepEqual(parseLimit('slow', '500/50'), { rate: 500, burst: 50 });
	t.deepEqual(parseLimit('learn', '6'), { rate: 6, burst: 24 });
	t.deepEqual(parseLimit('learn', '6/2'), { rate: 6, burst: 2 });
});

test('none lifts a limit, default brings back what holds for everybody', t => {
	for (const key of limitKeys) {
		t.is(parseLimit(key, 'none'), null);
		t.deepEqual(parseLimit(key, 'default'), defaultLimits[key]);
	}
});

for (const [key, text] of [
	['tx', ''],
	['tx', '0'],
	['tx', '100'],
	['tx', '7999bit'],
	['tx', '2tbit'],
	['tx', '100 mbit'],
	['tx', '-1mbit'],
	['tx', '1e9'],
	['tx', '100mb'],
	['tx', '100mbit/'],
	['tx', '100mbit/1500'],
	['tx', '100mbit/63k'],
	['tx', '100mbit/2g'],
	['tx', '100mbit/64kbit'],
	['tx', '100mbit/64k/3'],
	['rx', 'None'],
	['slow', '0'],
	['slow', '1.5'],
	['slow', '1k'],
	['slow', '10/0'],
	['slow', '1000001'],
	['learn', '60001'],
	['learn', '60/24k'],
] as const) {
	test(`${key}=${text} is no limit`, t => t.is(parseLimit(key, text), undefined));
}

test('what is wrong with --limit is said with what is allowed', t => {
	t.throws(() => parseLimits(['bandwidth=1gbit']), {
		code: 'usage',
		message: "--limit 'bandwidth=1gbit': there is no limit 'bandwidth'",
	});
	t.throws(() => parseLimits(['tx']), { code: 'usage', message: "--limit 'tx': '' is not a limit of tx" });
	const error = t.throws(() => parseLimits(['tx=1gbit', 'slow=lots']), { code: 'usage' });
	t.is(error?.message, "--limit 'slow=lots': 'lots' is not a limit of slow");
	t.regex((error as unknown as { hint: string }).hint, /^allowed: frames a second such as '500'/);
});

test('of two limits of one kind the later counts', t => {
	t.deepEqual(parseLimits(['tx=1gbit', 'rx=none', 'tx=none']), { tx: null, rx: null });
});

test('what is shown can be given again', t => {
	const texts = [
		'tx=100mbit',
		'tx=1500kbit/1m',
		'rx=8001bit/65537b',
		'rx=none',
		'slow=1000',
		'slow=5/9',
		'learn=6/5',
	];
	for (const text of texts) {
		const [key] = Object.entries(parseLimits([text]));
		t.is(limitText(key?.[0] as 'tx', key?.[1] as never), text);
	}
});

test('what was not said has its default, and stays unsaid', t => {
	t.deepEqual(effectiveLimits(), defaultLimits);
	const said = mergeLimits(undefined, { tx: { rate: 8e6 } });
	t.deepEqual(said, { tx: { rate: 8e6, burst: 250_000 } });
	t.deepEqual(mergeLimits(said, { slow: null }), { ...said, slow: null });
	t.deepEqual(mergeLimits(said, { tx: null }), { tx: null });
	t.deepEqual(effectiveLimits(said), { ...defaultLimits, ...said });
});

test('the frame threads count bytes, and everything by the second', t => {
	t.deepEqual(edgeLimits({ ...defaultLimits, tx: { rate: 8e6, burst: 65_536 } }), {
		tx: { rate: 1e6, burst: 65_536 },
		slow: { rate: 1000, burst: 2000 },
		learn: { rate: 1, burst: 24 },
	});
});
