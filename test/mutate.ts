/**
 * Whether the tests of the offload notice that its C has changed: in a file of bpf/, one comparison, operator, constant,
 * name or statement at a time becomes another, and the programs that come of it are judged. Run by hand, as root:
 *
 *     node dist/test/mutate.js owner.h [FIRST LAST]       the lines; `+AVA` in front of the file: survivors by AVA, too
 *
 * The judges are those of the differential test without what takes long, in this process. What they all pass is printed:
 * it is equivalent, or a case is missing.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { cpSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setImmediate as breathe } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { makeFolder } from '../src/lab/cleanup.js';
import { edgeOf, rooms } from './cases/index.js';
import { oddities } from './cases/oddities.js';
import { enterFreshNamespace } from './helpers/in-namespace.js';
import { KernelPort } from './helpers/kernel-port.js';
import { standardTopology } from './helpers/world.js';
import { complaintsAttached, complaintsSegmented } from './integration/offload/attached.js';
import { corners } from './integration/offload/corners.js';
import { routedCorners } from './integration/offload/corners-routed.js';
import { Judge, judgeTable, runnable } from './integration/offload/kernel-judge.js';
import { routedScenes, type Scene, scenes } from './properties/random-port.js';

interface Mutant {
	line: number;
	/** The line's new text. */
	text: string;
}

async function main(words: string[]): Promise<void> {
	const ava = words[0] === '+AVA' && words.shift() !== undefined;
	const [file = '', first = 1, last = Infinity] = [words[0], ...words.slice(1).map(Number)] as [
		string,
		number,
	];
	const source = readFileSync(join(project, 'bpf', file), 'utf8');
	const [folder] = makeFolder('mutants');
	for (const part of ['bpf', 'dist', 'package.json', 'ava.integration.config.js']) {
		cpSync(join(project, part), join(folder, part), { recursive: true });
	}
	symlinkSync(join(project, 'node_modules'), join(folder, 'node_modules'));
	enterFreshNamespace();
	const original = build(folder);
	const complaint = complaintOf(folder, file);
	if (complaint !== undefined) throw new Error(`without any change: ${complaint}`);
	const sums = { noticed: 0, equivalent: 0, broken: 0, survived: 0 };
	for (const { line, text } of mutantsOf(source)) {
		if (line < first || line > last) continue;
		// Signals are heard in between.
		await breathe();
		const lines = source.split('\n');
		const before = lines.splice(line - 1, 1, text)[0]!.trim();
		writeFileSync(join(folder, 'bpf', file), lines.join('\n'));
		const code = build(folder);
		const fate =
			code === undefined
				? 'broken'
				: code.equals(original!)
					? 'equivalent'
					: complaintOf(folder, file) !== undefined || (ava && isNoticedByAva(folder))
						? 'noticed'
						: 'survived';
		sums[fate]++;
		if (fate === 'survived') say(`${file}:${line}\n\t- ${before}\n\t+ ${text.trim()}`);
	}
	say(
		`${file}: ${Object.entries(sums)
			.map(([fate, count]) => `${count} ${fate}`)
			.join(', ')}`,
	);
}

/** Every change of every line that is no comment. */
function* mutantsOf(source: string): Generator<Mutant> {
	// A comment's place is kept, so that lines have their numbers.
	const code = source.replace(/\/\*[\s\S]*?\*\//g, comment => comment.replace(/[^\n]/g, ' '));
	for (const [index, whole] of code.split('\n').entries()) {
		// What asks whether bytes are there that are known to be is asked for the verifier.
		if (/^\s*#(include|ifn?def|endif|pragma|define \w+_H)|> end\(/.test(whole)) continue;
		for (const text of changesOf(whole)) yield { line: index + 1, text };
	}
}

function* changesOf(line: string): Generator<string> {
	for (const [pattern, change] of changes) {
		for (const { 0: found, index } of line.matchAll(pattern)) {
			yield line.slice(0, index) + change(found) + line.slice(index + found.length);
		}
	}
	// A statement that does something, and nothing else.
	if (/^\t+(else )?[\w>.*()[\]&-]+( [|+-]?=[^=].*|\(.*\)|\+\+|--);$/.test(line) && !/^\t+return/.test(line)) {
		yield line.replace(/\S.*/, ';');
	}
}

const opposites: Readonly<Record<string, string>> = Object.fromEntries(
	[
		'== !=, < <=, > >=, && ||, + -, += -=, ++ --, << >>, true false, EDGE_WIRE EDGE_HOST, PUNT IGNORE, PUNT_COPY FANOUT',
		'MODE_L2 MODE_L3, FLAG_PRIVATE FLAG_VEPA, TCP UDP, LIMITED_TX LIMITED_RX, ALL_IPV4 ALL_IPV6, HAS_IPV4 PRESENT',
		'AF_INET AF_INET6, GSO_TCPV4 GSO_TCPV6, MALFORMED MAC_SPOOF, LIMIT_TX LIMIT_RX, PRIVATE REFLECTED',
	]
		.flatMap(list => list.split(', '))
		.map(pair => pair.split(' ') as [string, string])
		.flatMap(([one, other]) => [
			[one, other],
			[other, one],
		]),
);

const changes: readonly [RegExp, (found: string) => string][] = [
	[/(?<= )(==|!=|<=?|>=?|&&|\|\||[+-]|[+-]=|<<|>>)(?= )|(?<=\w)(\+\+|--)/g, found => opposites[found]!],
	[/\b[A-Z]\w+\b|\b(true|false)\b/g, found => opposites[found] ?? found],
	[/(?<= )[&|](?= )/g, found => (found === '&' ? '|' : '&')],
	[/!(?!=)/g, () => ''],
	[/(?<![\w.])(0x[0-9a-f]+|\d+)(?=U?L*\b)/g, found => String(Number(found) + 1)],
	[/(?<=return )-(?=[A-Z])/g, () => ''],
];

/** @returns what is executable of the object, or undefined if the compiler refuses. */
function build(folder: string): Buffer | undefined {
	const object = join(folder, 'bpf', 'ipvtap.bpf.o');
	if (spawnSync(join(folder, 'bpf', 'build.sh'), { stdio: 'ignore' }).status !== 0) return undefined;
	// Type information tells lines of the source.
	execFileSync('llvm-objcopy-14', ['-R', '.BTF', '-R', '.BTF.ext', object, join(folder, 'code')]);
	return readFileSync(join(folder, 'code'));
}

/** @returns the first thing that is wrong about the programs, or undefined. */
function complaintOf(folder: string, file: string): string | undefined {
	// Only there do the two forms differ in what they decide.
	for (const probing of file === 'virtio.h' ? [false, true] : [false]) {
		let kernel: KernelPort;
		try {
			kernel = new KernelPort(probing, devices, join(folder, 'bpf', 'ipvtap.bpf.o'));
		} catch (error) {
			return (error as Error).message;
		}
		try {
			for (const complaint of complaints(kernel)) return complaint;
		} finally {
			kernel.close();
		}
	}
	return undefined;
}

const devices = new Map<number, number>();

function* complaints(kernel: KernelPort): Generator<string> {
	for (const cases of Object.values(rooms)) {
		const { wrong, needless } = judgeTable(cases, kernel);
		yield* [...wrong, ...needless];
	}
	yield* judgeTable(oddities(), kernel).wrong;
	for (const { from, flag, mode, routes, empty, frame } of [...corners, ...routedCorners]) {
		const topology = { ...standardTopology(flag, true, mode), ...(routes ? { routes } : {}) };
		const events = [{ ingress: edgeOf(from), frame, partial: false }];
		yield* judged(empty ? { ...topology, slaves: [], addresses: [] } : topology, events, kernel);
	}
	for (const { topology, events } of random) yield* judged(topology, events, kernel);
	yield* complaintsAttached(kernel, 'l2');
	yield* complaintsSegmented(kernel);
}

const random: readonly Scene[] = [
	...fc.sample(scenes(), { seed: 1, numRuns: 80 }),
	...fc.sample(routedScenes(), { seed: 1, numRuns: 40 }),
];

function* judged(
	topology: Scene['topology'],
	events: Scene['events'],
	kernel: KernelPort,
): Generator<string> {
	const judge = new Judge(topology, kernel);
	for (const { ingress, frame } of events.filter(event => runnable(event.frame))) {
		const complaint = judge.complaint(ingress, frame);
		if (complaint !== undefined) yield complaint;
	}
	judge.close();
}

/** Those that look at limits, at what is done and not only said, and at real devices. */
function isNoticedByAva(folder: string): boolean {
	const files = ['limits', 'differential', 'routed', 'judge'].map(
		name => `dist/test/integration/offload/${name}.test.js`,
	);
	return [...files, 'dist/test/integration/datapath/full-receiver.test.js'].some(file => {
		const match = file.includes('differential') ? ['--match=*, casting, counting'] : [];
		const words = ['ava', '--config', 'ava.integration.config.js', '--fail-fast', file, ...match];
		return (
			spawnSync('npx', words, { cwd: folder, stdio: 'ignore', env: { ...process.env, CI: '1' } }).status !== 0
		);
	});
}

function say(text: string): void {
	process.stdout.write(`${text}\n`);
}

/** Seen from dist/test. */
const project = fileURLToPath(new URL('../..', import.meta.url));

await main(process.argv.slice(2));
