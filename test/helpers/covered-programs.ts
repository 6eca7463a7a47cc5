/**
 * The eBPF programs with a pair of counters at each condition: how often it was false, how often true. Conditions are
 * what an `if` asks, the operands of `&&` and `||`, and what stands before a `?`. They are found in the source, because
 * clang's own instrumentation knows no eBPF: each `A` becomes `((A) ? (COVERED(n)[1]++, 1) : (COVERED(n)[0]++, 0))`. Each
 * program counts for itself, as nearly all functions are part of several. What the preprocessor leaves out or repeats,
 * and loops that are unrolled, isn't looked at.
 */
import { execFileSync } from 'node:child_process';
import { copyFileSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { makeFolder } from '../../src/lab/cleanup.js';

export interface Condition {
	file: string;
	line: number;
	/** As it stands in the source, with single spaces. */
	text: string;
}

export interface Outcome extends Condition {
	met: boolean;
	/** `from_slave`, `from_slave_probing`, … */
	program: string;
	count: bigint;
}

export interface CoveredPrograms {
	/** Path of the object. */
	object: string;
	conditions: readonly Condition[];
	/** 64-bit words of its section .bss. */
	words: number;
	/** What these words say. A condition that a program has never come to is none of that program's. */
	outcomes: (words: BigUint64Array) => Outcome[];
	remove: () => void;
}

/** Compiles them as they are compiled otherwise, in a folder of their own. @throws with clang's words. */
export function coverPrograms(): CoveredPrograms {
	const [folder, remove] = makeFolder('covered');
	const conditions: Condition[] = [];
	const programs: string[] = [];
	for (const file of readdirSync(sources)) {
		if (/\.[ch]$/.test(file)) {
			const text = cover(file, readFileSync(join(sources, file), 'utf8'), conditions);
			writeFileSync(join(folder, file), tellPrograms(text, programs));
		} else copyFileSync(join(sources, file), join(folder, file));
	}
	const header = join(folder, 'maps.h');
	const counters = `
volatile struct { __u64 program; __u64 counts[PROGRAMS_MAX][${conditions.length}][2]; } covered;
#define COVERED(condition) covered.counts[covered.program & (PROGRAMS_MAX - 1)][condition]
`.replaceAll('PROGRAMS_MAX', String(PROGRAMS_MAX));
	writeFileSync(
		header,
		readFileSync(header, 'utf8').replace(/^#define INLINE.*$/m, line => line + counters),
	);
	const object = join(folder, 'covered.o');
	execFileSync(join(folder, 'build.sh'), [object], { stdio: ['ignore', 'ignore', 'pipe'] });
	const words = 1 + PROGRAMS_MAX * conditions.length * 2;
	return { object, conditions, words, outcomes: words => outcomesOf(words, conditions, programs), remove };
}

/** A power of two. */
const PROGRAMS_MAX = 8;

/** Adds the file's programs to `programs`. @returns the source, in which each says which it is. */
function tellPrograms(text: string, programs: string[]): string {
	return text.replace(
		/^SEC\("tc"\) int (\w+)\(.*?\) \{/gm,
		(head, name: string) => `${head} covered.program = ${programs.push(name) - 1};`,
	);
}

function outcomesOf(
	words: BigUint64Array,
	conditions: readonly Condition[],
	programs: readonly string[],
): Outcome[] {
	return programs.flatMap((program, which) =>
		conditions.flatMap((condition, index) => {
			const at = 1 + 2 * (which * conditions.length + index);
			const [falses = 0n, trues = 0n] = words.subarray(at, at + 2);
			if (falses + trues === 0n) return [];
			return [
				{ ...condition, program, met: false, count: falses },
				{ ...condition, program, met: true, count: trues },
			];
		}),
	);
}

/** Adds the file's conditions to `conditions`. @returns the source that counts them. */
export function cover(file: string, text: string, conditions: Condition[]): string {
	const tokens = tokensOf(text);
	const spans = [...conditionsOf(tokens)].sort((a, b) => a.from - b.from || b.to - a.to);
	const before = new Map<number, string>();
	const after = new Map<number, string>();
	for (const { from, to } of spans) {
		const [start, end] = [tokens[from]!.at, tokens[to - 1]!.at + tokens[to - 1]!.text.length];
		const index = conditions.length;
		conditions.push({
			file,
			line: text.slice(0, start).split('\n').length,
			text: text.slice(start, end).replace(/\s+/g, ' '),
		});
		before.set(start, `${before.get(start) ?? ''}((`);
		after.set(end, `) ? (COVERED(${index})[1]++, 1) : (COVERED(${index})[0]++, 0))${after.get(end) ?? ''}`);
	}
	const cuts = [...new Set([0, ...before.keys(), ...after.keys(), text.length])].sort((a, b) => a - b);
	return cuts
		.map((cut, index) => (after.get(cut) ?? '') + (before.get(cut) ?? '') + text.slice(cut, cuts[index + 1]))
		.join('');
}

interface Token {
	text: string;
	/** Offset in the source. */
	at: number;
}

/** Without comments and lines of the preprocessor. */
function tokensOf(text: string): Token[] {
	const pattern =
		/\/\*[\s\S]*?\*\/|\/\/[^\n]*|^[ \t]*#(?:[^\n]*\\\n)*[^\n]*|"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|\w+|&&|\|\||[<>=!]=|->|<<|>>|[-+*/%&|^]=|\+\+|--|\S/gm;
	return [...text.matchAll(pattern)]
		.map(({ 0: text, index }) => ({ text, at: index }))
		.filter(({ text }) => !/^(\/[*/]|[ \t]*#)/.test(text));
}

interface Span {
	from: number;
	to: number;
}

/**
 * Operands reach from one delimiter to the next at their depth: everything but `?:`, assignment and comma binds
 * tighter than `&&` and `||` do.
 */
function* conditionsOf(tokens: readonly Token[]): Generator<Span> {
	const close = pairsOf(tokens);
	const walk = function* (from: number, to: number, whole: boolean): Generator<Span> {
		const operands: Span[] = [];
		let start = from;
		let logical = false;
		const end = (at: number, counts: boolean): Span[] => {
			const operand = { from: start, to: at };
			start = at + 1;
			// A group is its own operands.
			const isGroup = tokens[operand.from]?.text === '(' && close.get(operand.from) === at - 1;
			return counts && !isGroup && operand.to > operand.from ? [operand] : [];
		};
		for (let at = from; at < to; at++) {
			const { text } = tokens[at]!;
			if (text === '&&' || text === '||') {
				operands.push(...end(at, true));
				logical = true;
			} else if (text === '?') {
				operands.push(...end(at, true));
				logical = false;
			} else if (delimiters.has(text)) {
				operands.push(...end(at, logical));
				logical = false;
			}
			const pair = close.get(at);
			if (pair === undefined) continue;
			const isIf = text === '(' && tokens[at - 1]?.text === 'if';
			// What is in braces begins anew, and so does what follows them or an `if`.
			yield* walk(at + 1, pair, isIf);
			at = pair;
			if (isIf || text === '{' || (text === '(' && tokens[at - 1]?.text === 'for')) start = at + 1;
		}
		operands.push(...end(to, logical || (whole && start === from)));
		yield* operands;
	};
	yield* walk(0, tokens.length, false);
}

function pairsOf(tokens: readonly Token[]): Map<number, number> {
	const pairs = new Map<number, number>();
	const open: number[] = [];
	tokens.forEach(({ text }, at) => {
		if ('([{'.includes(text)) open.push(at);
		else if (')]}'.includes(text)) pairs.set(open.pop()!, at);
	});
	return pairs;
}

const delimiters = new Set([
	...[';', ',', ':', '=', '+=', '-=', '|=', '&=', 'return', 'else', 'do', 'case', 'volatile'],
]);

/** Seen from dist/test/helpers. */
const sources = fileURLToPath(new URL('../../../bpf', import.meta.url));
