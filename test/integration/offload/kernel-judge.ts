/**
 * One port twice: the programs in the kernel beside the forwarder. What the programs decide themselves must be what the
 * forwarder decides, to the byte and the reason; the rest they must leave to it as it came.
 */
import { forward } from '../../../src/datapath/forward/forward.js';
import type { Report } from '../../../src/datapath/messages.js';
import type { DryCommand } from '../../../src/datapath/trace/dry-port.js';
import {
	EDGE_SLAVES,
	EDGE_WIRE,
	EDGES_MAX,
	IGNORE,
	SLOW_ANSWER,
	SLOW_FANOUT,
	verdictName,
} from '../../../src/datapath/verdict.js';
import type { Question } from '../../cases/case.js';
import { byTopology, edgeOf } from '../../cases/index.js';
import { hex, readable } from '../../helpers/describe.js';
import {
	ANSWERED,
	FANOUT,
	isForwarded,
	type KernelOutcome,
	type KernelPort,
	kernelVerdictName,
	PUNT,
	PUNT_COPY,
} from '../../helpers/kernel-port.js';
import { PurePort, type Topology } from '../../helpers/pure-port.js';

export class Judge {
	/** The programs left a frame to the forwarder that has one receiver: right, but not fast. */
	needless = false;
	/** What the programs said last. */
	said = '';
	readonly #pure: PurePort;
	readonly #kernel: KernelPort;

	constructor(topology: Topology, kernel: KernelPort) {
		this.#pure = new PurePort(topology);
		this.#kernel = kernel;
		// As the programs are told: what fits is for real devices to show.
		this.#pure.command({ kind: 'change', change: { kind: 'mtu', mtu: 65535 } });
		kernel.configure(topology, this.#pure.state);
		this.#follow(0);
	}

	/** @returns what is wrong about the programs' decision, or undefined. */
	complaint(ingress: number, bytes: Uint8Array): string | undefined {
		const memory = new Uint8Array(16 + bytes.length);
		memory.set(bytes, 16);
		const verdict = forward(this.#pure.state, new DataView(memory.buffer), 16, bytes.length, ingress);
		const seen = this.#kernel.receive(ingress, bytes);
		this.said =
			seen.verdict < 0 || seen.verdict < EDGES_MAX
				? verdictName(seen.verdict).replace(/^edge.*/, 'slave')
				: kernelVerdictName(seen.verdict);
		this.needless = isForwarded(verdict) && (seen.verdict === PUNT || seen.verdict === PUNT_COPY);
		const wrong = this.#compare(verdict, memory.subarray(16), ingress, bytes, seen);
		// What guests say of their groups, both must know before the next frame.
		if (verdict === SLOW_FANOUT && ingress >= EDGE_SLAVES && seen.verdict === PUNT) this.tell(ingress, bytes);
		return wrong === undefined
			? undefined
			: `${wrong}\n${readable(bytes)}from edge ${ingress}; forwarder: ${verdictName(verdict)}, kernel: ${this.said}`;
	}

	/** The slow path takes a frame, and what it hears of groups the programs are told. @returns what else it said. */
	tell(ingress: number, bytes: Uint8Array): Report[] {
		const before = this.#pure.reports.length;
		this.#pure.receive(ingress, bytes);
		return this.#follow(before);
	}

	/** Asks the slow path as control does; the programs follow. */
	command(command: DryCommand): void {
		const before = this.#pure.reports.length;
		this.#pure.command(command);
		this.#follow(before);
	}

	close(): void {
		this.#pure.close();
	}

	#follow(before: number): Report[] {
		this.#pure.now += 50;
		this.#pure.tick();
		const news = this.#pure.reports.slice(before);
		for (const report of news) if (report.kind === 'groups') this.#kernel.setGroups(report.edge, report);
		return news;
	}

	#compare(
		verdict: number,
		became: Uint8Array,
		ingress: number,
		bytes: Uint8Array,
		seen: ReturnType<KernelPort['receive']>,
	): string | undefined {
		const unchanged = hex(seen.frame) === hex(bytes);
		if (seen.verdict === PUNT || seen.verdict === PUNT_COPY) {
			if (!unchanged) return 'changed, and then punted';
			if (ingress !== EDGE_WIRE)
				return seen.verdict === PUNT_COPY ? 'a copy, though not from the wire' : undefined;
			if (seen.verdict === PUNT_COPY)
				return seen.result === NEXT ? undefined : 'a copy in place of the frame';
			return verdict === IGNORE || verdict === SLOW_FANOUT ? 'taken from the host' : undefined;
		}
		if (seen.verdict === ANSWERED) {
			if (verdict !== SLOW_ANSWER) return 'answered';
			const [answer] = this.#pure.receive(ingress, bytes).out;
			if (seen.target !== ingress) return `answered to ${seen.target}`;
			return hex(seen.frame) === hex(answer!.frame)
				? undefined
				: `another answer:\n${readable(seen.frame)}not\n${readable(answer!.frame)}`;
		}
		if (seen.verdict === FANOUT) {
			if (verdict !== SLOW_FANOUT) return 'copied';
			return this.#compareCopies(ingress, bytes, seen);
		}
		if (seen.verdict !== verdict) return 'another verdict';
		if (verdict === IGNORE) return unchanged && seen.result === NEXT ? undefined : 'not left alone';
		if (verdict < 0) return seen.result === SHOT ? undefined : 'not dropped';
		if (seen.target !== verdict || seen.result !== REDIRECT) return `to edge ${seen.target}`;
		return hex(seen.frame) === hex(became)
			? undefined
			: `other bytes:\n${readable(seen.frame)}not\n${readable(became)}`;
	}

	/** The programs have made copies: as many, for the same, of the same bytes, and nobody has missed anything. */
	#compareCopies(ingress: number, bytes: Uint8Array, seen: KernelOutcome): string | undefined {
		const before = this.#pure.reports.length;
		const { out } = this.#pure.receive(ingress, bytes);
		if (this.#follow(before).length > 0) return 'the slow path would have learned from it';
		const here = out.filter(({ edge }) => edge !== EDGE_WIRE);
		if (here.some(({ frame }) => hex(frame) !== hex(bytes))) return 'copies that had to be changed';
		const wanted = here.map(({ edge }) => edge).join();
		if (seen.copies.sort((a, b) => a - b).join() !== wanted)
			return `copies for ${seen.copies}, not ${wanted}`;
		const wire = out.find(({ edge }) => edge === EDGE_WIRE);
		const result = ingress >= EDGE_SLAVES ? REDIRECT : ingress === EDGE_WIRE ? NEXT : SHOT;
		if (seen.result !== result) return `then ${seen.result}`;
		return hex(seen.frame) === hex(wire?.frame ?? bytes)
			? undefined
			: `other bytes:\n${readable(seen.frame)}`;
	}
}

/** What is wrong with the programs' decisions of the table's cases, and which they leave to the forwarder needlessly. */
export function judgeTable(
	cases: readonly Question[],
	kernel: KernelPort,
): { wrong: string[]; needless: string[] } {
	const wrong: string[] = [];
	const needless: string[] = [];
	for (const [topology, own] of byTopology(cases.filter(({ frame }) => runnable(frame)))) {
		const judge = new Judge(topology, kernel);
		for (const { name, from, frame } of own) {
			const complaint = judge.complaint(edgeOf(from), frame);
			if (complaint !== undefined) wrong.push(`${name} (from ${from}): ${complaint}`);
			if (judge.needless && !unsure.includes(name)) needless.push(name);
		}
		judge.close();
	}
	return { wrong, needless };
}

/** What takes a longer look than the programs give a frame, or is no established traffic. */
const unsure: readonly string[] = [
	"duplicate address detection for another guest's address",
	"duplicate address detection for one's own address",
	'unicast router solicitation',
	'guest to gateway: hop-by-hop options',
	'guest to gateway: destination options',
	'guest to gateway: a routing header',
	'guest to gateway: an echo behind three headers',
	'guest to gateway: an extension header that runs past the end',
	'guest to gateway: an extension header of four bytes',
	'guest to gateway: a first fragment of an echo',
];

/**
 * BPF_PROG_TEST_RUN takes no frame that ends with its Ethernet header or inside its IP header, and none longer than a
 * page with its margins; those are for real TAPs (tap-judge.test.ts).
 */
export function runnable(frame: Uint8Array): boolean {
	const type = ((frame[12] ?? 0) << 8) | (frame[13] ?? 0);
	const least = type === 0x0800 ? 34 : type === 0x86dd ? 54 : 15;
	return frame.length >= least && frame.length < 3400;
}

/** linux/pkt_cls.h */
const NEXT = -1;
const SHOT = 2;
const REDIRECT = 7;
