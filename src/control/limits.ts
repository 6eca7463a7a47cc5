/**
 * What a slave may use of its port: `--limit KEY=VALUE`, its words in libvirt's metadata, and the defaults. Rates and
 * sizes are written as tc(8) has them, "PARAMETERS": `100mbit`, `1gbit/256k`. Pure, and light: libvirt's hook loads it.
 */
import type { EdgeLimits } from '../datapath/limits.js';
import { IpvtapError } from '../errors.js';

export const limitKeys = ['tx', 'rx', 'slow', 'learn'] as const;
export type LimitKey = (typeof limitKeys)[number];

/** tx, rx: bits a second, and bytes; slow: frames a second, and frames; learn: addresses a minute, and addresses. */
export interface Limit {
	rate: number;
	/** What may come at once after a rest. */
	burst: number;
}

/** null: as much as there is. */
export type Limits = Record<LimitKey, Limit | null>;

/** As it is asked for: what isn't said stays as it is, and a burst that isn't said follows from the rate. */
export type LimitRequest = { [K in LimitKey]?: { rate: number; burst?: number } | null };

/**
 * A thousand frames a second are more than ARP, ND, mDNS and DHCP of any guest come to, and far less than what
 * delays others. A guest that boots may take all addresses of its quota, twice over, at once; then one a second.
 */
export const defaultLimits: Limits = {
	tx: null,
	rx: null,
	slow: { rate: 1000, burst: 2000 },
	learn: { rate: 60, burst: 24 },
};

/** Below these a limit is most likely a slip of the pen: `tx=100`, meant as mbit. */
export const limitRanges: Record<LimitKey, { rate: [number, number]; burst: [number, number] }> = {
	tx: { rate: [8000, 1e12], burst: [64 << 10, 1 << 30] },
	rx: { rate: [8000, 1e12], burst: [64 << 10, 1 << 30] },
	slow: { rate: [1, 1e6], burst: [1, 1e6] },
	learn: { rate: [1, 60_000], burst: [1, 10_000] },
};

/** For messages: what may be said for a key. */
export const limitWords: Record<LimitKey, string> = {
	tx: bandwidthWords('100mbit'),
	rx: bandwidthWords('100mbit'),
	slow: "frames a second such as '500' or '500/1000' (/burst), 1 to 1000000; 'none' or 'default'",
	learn: "addresses a minute such as '60' or '60/24' (/burst), 1 to 60000; 'none' or 'default'",
};

/** @param words `KEY=VALUE` each; of two with one key the later counts. @throws IpvtapError `usage`. */
export function parseLimits(words: readonly string[]): LimitRequest {
	const limits: LimitRequest = {};
	for (const word of words) {
		const [name = '', value = ''] = splitOnce(word, '=');
		const key = limitKeys.find(one => one === name);
		if (key === undefined) {
			throw new IpvtapError('usage', `--limit '${word}': there is no limit '${name}'`, {
				hint: `write KEY=VALUE; keys are ${limitKeys.join(', ')}`,
			});
		}
		const limit = parseLimit(key, value);
		if (limit === undefined) {
			throw new IpvtapError('usage', `--limit '${word}': '${value}' is not a limit of ${key}`, {
				hint: `allowed: ${limitWords[key]}`,
			});
		}
		limits[key] = limit;
	}
	return limits;
}

/** @returns null for `none`, undefined for what `limitWords` doesn't allow. */
export function parseLimit(key: LimitKey, text: string): Limit | null | undefined {
	if (text === 'none') return null;
	if (text === 'default') return defaultLimits[key];
	const [rateText, burstText] = splitOnce(text, '/');
	const bandwidth = key === 'tx' || key === 'rx';
	const rate = number(rateText, bandwidth ? rateUnits : plain);
	const burst = burstText === undefined ? undefined : number(burstText, bandwidth ? sizeUnits : plain);
	if (rate === undefined || (burst === undefined && burstText !== undefined)) return undefined;
	const limit = withBurst(key, { rate, ...(burst === undefined ? {} : { burst }) });
	return within(limit.rate, limitRanges[key].rate) && within(limit.burst, limitRanges[key].burst)
		? limit
		: undefined;
}

/** As `--limit` takes it, with a burst that isn't the usual one: `tx=100mbit`, `tx=100mbit/256k`. */
export function limitText(key: LimitKey, limit: Limit | null): string {
	if (limit === null) return `${key}=none`;
	const bandwidth = key === 'tx' || key === 'rx';
	const rate = bandwidth ? unitText(limit.rate, shownRates) : limit.rate;
	if (limit.burst === withBurst(key, { rate: limit.rate }).burst) return `${key}=${rate}`;
	return `${key}=${rate}/${bandwidth ? unitText(limit.burst, shownSizes) : limit.burst}`;
}

/** What holds, where only some is said. */
export function effectiveLimits(said: Partial<Limits> = {}): Limits {
	return { ...defaultLimits, ...said };
}

/** What is said when `change` is said too. */
export function mergeLimits(said: Partial<Limits> | undefined, change: LimitRequest): Partial<Limits> {
	const merged: Partial<Limits> = { ...said };
	for (const key of limitKeys) {
		const limit = change[key];
		if (limit !== undefined) merged[key] = limit && withBurst(key, limit);
	}
	return merged;
}

/** For the frame threads, which count bytes, and everything by the second. */
export function edgeLimits(limits: Limits): EdgeLimits {
	const perSecond: Record<LimitKey, number> = { tx: 1 / 8, rx: 1 / 8, slow: 1, learn: 1 / 60 };
	const edge: EdgeLimits = {};
	for (const key of limitKeys) {
		const limit = limits[key];
		if (limit) edge[key] = { rate: limit.rate * perSecond[key], burst: limit.burst };
	}
	return edge;
}

/**
 * On a LAN's short round trips TCP always runs into the limit, loses what follows, and waits for its retransmission
 * timer, 200 ms at the least (TCP_RTO_MIN in Linux's include/net/tcp.h). What it may send meanwhile must find room in
 * the bucket: with a quarter of a second of the rate TCP gets all of it, with a tenth it was measured to get half.
 * A guest that boots takes the same addresses at once, however few it may take later.
 */
function withBurst(key: LimitKey, { rate, burst }: { rate: number; burst?: number }): Limit {
	const [min, max] = limitRanges[key].burst;
	const usual = { tx: rate / 32, rx: rate / 32, slow: rate * 2, learn: 24 }[key];
	return { rate, burst: burst ?? Math.min(max, Math.max(min, Math.round(usual))) };
}

function bandwidthWords(example: string): string {
	return `a rate such as '${example}' or '${example}/256k' (/burst), 8kbit to 1tbit with a burst of 64k to 1g; 'none' or 'default'`;
}

/** tc(8), "RATES": a bare number is bits a second; `bps` is bytes a second; `i` counts by 1024. */
const rateUnits = units(['', 'k', 'm', 'g', 't'], { bit: 1, bps: 8 }, 1000);
rateUnits.set('', 1);
/** tc(8), "SIZES": a bare number is bytes, and `k` is 1024 of them. */
const sizeUnits = new Map([
	['', 1],
	['b', 1],
	['k', 2 ** 10],
	['kb', 2 ** 10],
	['m', 2 ** 20],
	['mb', 2 ** 20],
	['g', 2 ** 30],
	['gb', 2 ** 30],
]);
const plain = new Map([['', 1]]);
const shownRates = ['gbit', 'mbit', 'kbit', 'bit'].map(
	unit => [unit, rateUnits.get(unit) as number] as const,
);
const shownSizes = ['g', 'm', 'k', 'b'].map(unit => [unit, sizeUnits.get(unit) as number] as const);

function units(prefixes: string[], bases: Record<string, number>, step: number): Map<string, number> {
	const known = new Map<string, number>();
	for (const [power, prefix] of prefixes.entries()) {
		for (const [base, size] of Object.entries(bases)) {
			known.set(prefix + base, size * step ** power);
			if (prefix !== '') known.set(`${prefix}i${base}`, size * 1024 ** power);
		}
	}
	return known;
}

/** A whole number of the smallest unit, or undefined. */
function number(text: string, known: ReadonlyMap<string, number>): number | undefined {
	const [, digits, unit = ''] = /^(\d{1,15}(?:\.\d{1,9})?)([a-z]*)$/i.exec(text) ?? [];
	const size = known.get(unit.toLowerCase());
	if (digits === undefined || size === undefined) return undefined;
	const value = Number(digits) * size;
	return known === plain && !Number.isInteger(value) ? undefined : Math.round(value);
}

/** In the largest unit that says it exactly. */
function unitText(value: number, shown: readonly (readonly [string, number])[]): string {
	const [unit, size] = shown.find(([, one]) => value >= one && value % one === 0) ?? ['', 1];
	return `${value / size}${unit}`;
}

function within(value: number, [min, max]: [number, number]): boolean {
	return value >= min && value <= max;
}

function splitOnce(text: string, by: string): [string, string?] {
	const at = text.indexOf(by);
	return at < 0 ? [text] : [text.slice(0, at), text.slice(at + 1)];
}
