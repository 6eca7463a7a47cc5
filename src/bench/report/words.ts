/** How figures are written. Pure. */
import type { Instructions, KernelMicro, MicroResult } from '../micro/result.js';
import { BASELINE } from '../peers/index.js';
import type { Metric } from '../rows/row.js';
import type { Estimate } from '../statistics.js';

export const NOTHING = '–';

/** `0.93 [0.90, 0.96]`; `~` before what comes from disturbed runs alone. */
export function ratioText(ratio: Estimate | undefined): string {
	if (ratio === undefined) return NOTHING;
	const { median, low, high, disturbed } = ratio;
	return `${disturbed ? '~' : ''}${figure(median)} [${figure(low)}, ${figure(high)}]`;
}

export function valueText(value: Estimate | undefined, { unit }: Pick<Metric, 'unit'>): string {
	if (value === undefined) return NOTHING;
	return (value.disturbed ? '~' : '') + quantity(value.median, unit);
}

export function quantity(value: number, unit: string): string {
	switch (unit) {
		case 'ns':
			return `${(value / 1000).toFixed(value < 100_000 ? 1 : 0)} µs`;
		case 's':
			return `${value.toFixed(2)} s`;
		case 'ms':
			return `${value.toFixed(value < 10 ? 1 : 0)} ms`;
		case '%':
			return `${value.toFixed(1)} %`;
		default:
			return `${scaled(value)}${unit}`;
	}
}

/** A ratio: three digits, where there are any. */
export function figure(ratio: number): string {
	return ratio.toFixed(ratio < 9.995 ? 2 : ratio < 99.95 ? 1 : 0);
}

export function scaled(value: number): string {
	if (value >= 1e9) return `${(value / 1e9).toFixed(2)} G`;
	if (value >= 1e6) return `${(value / 1e6).toFixed(2)} M`;
	if (value >= 1e3) return `${(value / 1e3).toFixed(1)} k`;
	return Number.isInteger(value) ? String(value) : value.toFixed(value < 10 ? 2 : 0);
}

/** A line of the table of the decision alone: name, ns a frame, collections, deoptimisations, frames. */
export function microWords({
	name,
	nsPerFrame,
	collections,
	deoptimisations,
	frames,
}: MicroResult): string[] {
	return [name, nsPerFrame.toFixed(1), String(collections), String(deoptimisations), scaled(frames)];
}

/** A table of figures; names are in its first column. */
export interface Figures {
	titles: readonly string[];
	lines: string[][];
}

/** The eBPF programs alone: what a frame takes of them, and how large they are. */
export function kernelTables({ cases, programs }: KernelMicro): Figures[] {
	return [
		{
			titles: ['eBPF programs, mode l2', 'ns/frame'],
			lines: cases.map(({ name, ns }) => [name, String(Math.round(ns))]),
		},
		{
			titles: ['program', 'mode', 'instructions', 'machine code', 'looked at by the verifier'],
			lines: programs.map(({ name, mode, instructions, jitedBytes, verified }) => [
				`\`${name}\``,
				mode,
				String(instructions),
				jitedBytes === 0 ? NOTHING : `${scaled(jitedBytes)}B`,
				verified === 0 ? NOTHING : scaled(verified),
			]),
		},
	];
}

/** Instructions of a frame: the baseline's number, and the others' ratios to it. */
export function instructionTable({ kernel, counts }: Instructions): Figures {
	const of = (path: string, name: string): number | undefined =>
		counts.find(one => one.path === path && one.peer === name)?.instructions;
	const others = [...new Set(counts.map(({ peer }) => peer))].filter(name => name !== BASELINE);
	const paths = [...new Set(counts.map(({ path }) => path))];
	return {
		titles: [`instructions per frame, Linux ${kernel}`, BASELINE, ...others],
		lines: paths.map(path => {
			const base = of(path, BASELINE);
			const ratios = others.map(name => {
				const own = of(path, name);
				return base === undefined || own === undefined ? NOTHING : (own / base).toFixed(3);
			});
			return [path, base === undefined ? NOTHING : base.toFixed(0), ...ratios];
		}),
	};
}
