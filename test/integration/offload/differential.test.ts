/**
 * The programs in the kernel against the forwarder: every case of the decision table, and random frames on random
 * ports. What the programs decide themselves must be what the forwarder decides, to the byte and the reason; what
 * they leave to it is never a frame of the fast path.
 */
import { release } from 'node:os';
import test from 'ava';
import fc from 'fast-check';
import { forward } from '../../../src/datapath/forward/forward.js';
import type { EdgeLimits } from '../../../src/datapath/limits.js';
import type { Report } from '../../../src/datapath/messages.js';
import type { DryCommand } from '../../../src/datapath/trace/dry-port.js';
import {
	EDGE_HOST,
	EDGE_SLAVES,
	EDGE_WIRE,
	EDGES_MAX,
	IGNORE,
	SLOW_ANSWER,
	SLOW_FANOUT,
	verdictName,
} from '../../../src/datapath/verdict.js';
import { edgeOf, rooms, topologyOf } from '../../cases/index.js';
import { arpRequest, dhcpDiscover, multicast4, multicast6, packet4, packet6 } from '../../cases/traffic.js';
import { coverPrograms } from '../../helpers/covered-programs.js';
import { hex, readable } from '../../helpers/describe.js';
import { patched } from '../../helpers/frames.js';
import { enterFreshNamespace } from '../../helpers/in-namespace.js';
import {
	ANSWERED,
	FANOUT,
	isForwarded,
	type KernelOutcome,
	KernelPort,
	kernelVerdictName,
	PUNT,
	PUNT_COPY,
} from '../../helpers/kernel-port.js';
import { PurePort, type Topology } from '../../helpers/pure-port.js';
import { check } from '../../helpers/seed.js';
import { BROADCAST, gateway, host, MASTER, slaves, standardTopology, vm1, vm2 } from '../../helpers/world.js';
import { routedScenes, type Scene, scenes } from '../../properties/random-port.js';
import { complaintsAttached } from './attached.js';
import { corners } from './corners.js';
import { routedCorners } from './corners-routed.js';
import { goneReasons, whyNever } from './never.js';

/** Random ports; each gets some five frames that can be run. */
const RUNS = Number(process.env.TEST_PORTS ?? 10_000);

enterFreshNamespace();
const devices = new Map<number, number>();
/** Both forms of the programs: the second is for kernels before 6.2. */
const kernels = {
	...(isOlderThan(6, 2) ? {} : { casting: new KernelPort(false, devices) }),
	probing: new KernelPort(true, devices),
};
/** The same programs, which also count what they meet. */
const covered = coverPrograms();
const counting = {
	...(isOlderThan(6, 2) ? {} : { 'casting, counting': new KernelPort(false, devices, covered.object) }),
	'probing, counting': new KernelPort(true, devices, covered.object),
};
covered.remove();
const forms = { ...kernels, ...counting };
test.after.always(() => Object.values(forms).map(kernel => kernel.close()));

for (const [form, kernel] of Object.entries(forms)) {
	for (const [room, cases] of Object.entries(rooms)) {
		test.serial(`the decision table in the kernel, ${form}: ${room}`, t => {
			const wrong: string[] = [];
			const punted: string[] = [];
			for (const one of cases.filter(({ frame }) => runnable(frame))) {
				const judge = new Judge(topologyOf(one), kernel);
				const complaint = judge.complaint(edgeOf(one.from), one.frame);
				if (complaint !== undefined) wrong.push(`${one.name} (from ${one.from}): ${complaint}`);
				if (judge.needless) punted.push(one.name);
				judge.close();
			}
			t.deepEqual(wrong, []);
			t.deepEqual(
				punted.filter(name => !unsure.includes(name)),
				[],
				'left to the forwarder, though it forwards them',
			);
		});
	}

	for (const [what, made, runs] of [
		['random frames on random ports', scenes(), RUNS],
		['unicast from a slave to where routes lead', routedScenes(), RUNS / 10],
	] as const)
		test.serial(`${what}, ${form}`, t => {
			let frames = 0;
			let needless = 0;
			const decided = new Map<string, number>();
			check(
				t,
				fc.property(made, (scene: Scene) => {
					const judge = new Judge(scene.topology, kernel);
					try {
						for (const { ingress, frame } of scene.events.filter(event => runnable(event.frame))) {
							frames++;
							const complaint = judge.complaint(ingress, frame);
							if (complaint !== undefined) throw new Error(complaint);
							if (judge.needless) needless++;
							decided.set(judge.said, (decided.get(judge.said) ?? 0) + 1);
						}
					} finally {
						judge.close();
					}
				}),
				form in counting ? Math.ceil(runs / 10) : runs,
			);
			t.log(`${frames} frames, ${needless} left to the forwarder though it forwards them`);
			t.log([...decided].map(([name, count]) => `${name} ${count}`).join(', '));
			t.true(needless < frames / 30);
			if (runs === RUNS) t.is(decided.has('copies'), copies(form));
		});
}

for (const [form, kernel] of Object.entries(counting)) {
	test.serial(`where the table doesn't lead, ${form}`, t => {
		const wrong: string[] = [];
		for (const { name, from, flag, mode, routes, empty, frame } of [...corners, ...routedCorners]) {
			const topology = { ...standardTopology(flag, true, mode), ...(routes ? { routes } : {}) };
			const judge = new Judge(empty ? { ...topology, slaves: [], addresses: [] } : topology, kernel);
			const complaint = judge.complaint(edgeOf(from), frame);
			if (complaint !== undefined) wrong.push(`${name} (from ${from}): ${complaint}`);
			judge.close();
		}
		t.deepEqual(wrong, []);
	});

	test.serial(`a device that is nobody's, and frames that are too big, ${form}`, t => {
		const topology = standardTopology();
		const { state } = new PurePort(topology);
		const [four, six] = [packet4(vm1, gateway), packet6(vm1, gateway)];
		kernel.configure(topology, state);
		for (const frame of [four, six, arpRequest(vm1, gateway.ipv4), patched(four, 12, [0x88, 0xb5])]) {
			t.is(kernel.receive(99, frame).result, SHOT);
		}
		kernel.mtu = four.length - 15;
		kernel.configure(topology, state);
		for (const [ingress, frame] of [
			[vm1.edge, four],
			[vm1.edge, six],
			[EDGE_HOST, packet4(host, vm1)],
			[EDGE_WIRE, packet4(gateway, vm1, { destination: MASTER })],
		] as const) {
			t.deepEqual(verdictName(kernel.receive(ingress, frame).verdict), 'drop: too-big');
		}
		// Each receiver's device decides for itself, so it takes the forwarder to count.
		t.is(kernel.receive(vm1.edge, packet4(vm1, gateway, { destination: BROADCAST })).verdict, PUNT);
		const fromWire = packet4(gateway, vm1, { destination: BROADCAST });
		t.is(kernel.receive(EDGE_WIRE, fromWire).verdict, PUNT_COPY);
		// Where routes have MTUs of their own, the least counts.
		kernel.configure(standardTopology('bridge', true, 'l3'), state);
		const narrow = { ...gateway, ipv4: '100.64.1.9', ipv6: '2001:db8:2:1::9' };
		for (const frame of [packet4(vm1, narrow), packet6(vm1, narrow)]) {
			t.is(kernel.receive(vm1.edge, frame).verdict, PUNT);
		}
		kernel.mtu = 65535;
	});

	test.serial(`copies for who has asked, and for nobody else, ${form}`, t => {
		const judge = new Judge(standardTopology(), kernel);
		const inet6 = { names: ['ff05::fb'], lows: [0xfb] };
		judge.command({ kind: 'groups', edge: vm1.edge, inet: 'all', inet6 });
		const exact = { all: false, macs: ['01:00:5e:01:02:03', '33:33:00:00:00:fb'] };
		judge.command({ kind: 'rx-filter', edge: vm2.edge, filter: exact });
		const wrong: string[] = [];
		for (const [ingress, station] of [
			[EDGE_WIRE, gateway],
			[EDGE_HOST, { ...host, mac: MASTER }],
			[vm1.edge, vm1],
			[vm2.edge, vm2],
		] as const) {
			const frames = [
				...['239.1.2.3', '239.9.9.9', '224.0.0.251'].map(group => multicast4(station, group)),
				...['ff05::fb', 'ff05::99', 'ff02::1', 'ff02::1:ff00:11'].map(group => multicast6(station, group)),
				packet4(station, vm1, { destination: BROADCAST }),
			];
			for (const frame of frames) {
				const complaint = judge.complaint(ingress, frame);
				if (complaint !== undefined) wrong.push(complaint);
				if (copies(form)) t.is(judge.said, 'copies', readable(frame));
			}
		}
		const nothing = { all: false, macs: [] };
		for (const { edge } of slaves) judge.command({ kind: 'rx-filter', edge, filter: nothing });
		t.is(judge.complaint(EDGE_WIRE, multicast6(gateway, 'ff02::1')), undefined);
		judge.close();
		t.deepEqual(wrong, []);
	});

	test.serial(`limits, ${form}`, t => {
		const { state } = new PurePort(standardTopology());
		// A byte or a frame a second: what follows the burst has to wait.
		const [bytes, frames] = [
			{ rate: 1, burst: 100 },
			{ rate: 1, burst: 1 },
		];
		const last = (edge: number, limits: EdgeLimits, ingress: number, frame: Uint8Array): string => {
			kernel.configure(standardTopology(), state, new Map([[edge, limits]]));
			for (let count = 0; count < 9; count++) kernel.receive(ingress, frame);
			return verdictName(kernel.verdict);
		};
		const [toNeighbour, fromWire] = [packet4(vm1, vm2), packet4(gateway, vm2, { destination: MASTER })];
		t.is(last(vm1.edge, { tx: bytes }, vm1.edge, toNeighbour), 'drop: limit-tx');
		t.is(last(vm1.edge, { slow: frames }, vm1.edge, arpRequest(vm1, gateway.ipv4)), 'drop: slow-budget');
		t.is(last(vm1.edge, { slow: frames }, vm1.edge, dhcpDiscover(vm1)), 'drop: slow-budget');
		t.is(last(vm1.edge, { slow: frames }, vm1.edge, packet4(vm1, vm2)), `edge ${vm2.edge}`);
		t.is(last(vm1.edge, { rx: bytes }, vm1.edge, arpRequest(vm1, host.ipv4)), 'drop: limit-rx');
		t.is(last(vm2.edge, { rx: bytes }, vm1.edge, toNeighbour), 'drop: limit-rx');
		t.is(last(vm2.edge, { rx: bytes }, EDGE_WIRE, fromWire), 'drop: limit-rx');
		const toAll = packet4(vm1, gateway, { destination: BROADCAST });
		if (!copies(form)) return;
		last(vm2.edge, { rx: bytes }, vm1.edge, toAll);
		t.is(kernel.verdict, FANOUT);
		const seen = kernel.receive(vm1.edge, toAll);
		t.true(seen.copies.includes(EDGE_HOST) && !seen.copies.includes(vm2.edge));
	});

	test.serial(`virtio headers on a real TAP, ${form}`, t => {
		for (const mode of ['l2', 'l3'] as const) t.deepEqual(complaintsAttached(kernel, mode), []);
	});
}

test.serial('every condition of the programs is met, and not met', t => {
	const counts = Object.values(counting).map(kernel => kernel.variables(2 * covered.conditions.length));
	const never = covered.conditions.flatMap(({ file, line, text }, index) =>
		([false, true] as const)
			.filter(met => counts.every(count => count[2 * index + Number(met)] === 0n))
			.map(met => ({ file, line, text, met })),
	);
	const outcomes = 2 * covered.conditions.length;
	t.log(`${outcomes - never.length} of ${outcomes} outcomes of ${covered.conditions.length} conditions`);
	const unexpected: string[] = [];
	const expected = new Map<string, string[]>();
	for (const { file, line, text, met } of never) {
		const place = `${file}:${line} never ${met ? 'true' : 'false'}`;
		const why = whyNever(text, met);
		if (why === undefined) unexpected.push(`${place}: ${text}`);
		else expected.set(why, [...(expected.get(why) ?? []), place]);
	}
	for (const [why, places] of expected) t.log(`${why}: ${places.join(', ')}`);
	t.deepEqual(unexpected, []);
	t.deepEqual(goneReasons(covered.conditions), [], 'reasons for conditions that are gone');
});

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

class Judge {
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
			return seen.verdict === PUNT_COPY && ingress !== 0 ? 'a copy, though not from the wire' : undefined;
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

/**
 * BPF_PROG_TEST_RUN takes no frame that ends with its Ethernet header or inside its IP header, and none longer than a
 * page with its margins; those are for real TAPs (tap-judge.test.ts).
 */
function runnable(frame: Uint8Array): boolean {
	const type = ((frame[12] ?? 0) << 8) | (frame[13] ?? 0);
	const least = type === 0x0800 ? 34 : type === 0x86dd ? 54 : 15;
	return frame.length >= least && frame.length < 3400;
}

/** The form for older kernels makes none. */
function copies(form: string): boolean {
	return form.startsWith('casting');
}

function isOlderThan(major: number, minor: number): boolean {
	const [a = 0, b = 0] = release().split('.').map(Number);
	return a < major || (a === major && b < minor);
}

/** linux/pkt_cls.h */
const NEXT = -1;
const SHOT = 2;
const REDIRECT = 7;
