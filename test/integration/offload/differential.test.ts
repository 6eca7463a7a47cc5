/**
 * The programs in the kernel against the forwarder: every case of the decision table, and random frames on random
 * ports. What the programs decide themselves must be what the forwarder decides, to the byte and the reason; what
 * they leave to it is never a frame of the fast path.
 */
import test from 'ava';
import fc from 'fast-check';
import type { EdgeLimits } from '../../../src/datapath/limits.js';
import { EDGE_HOST, EDGE_WIRE, verdictName } from '../../../src/datapath/verdict.js';
import { edgeOf, rooms } from '../../cases/index.js';
import { oddities } from '../../cases/oddities.js';
import { arpRequest, dhcpDiscover, multicast4, multicast6, packet4, packet6 } from '../../cases/traffic.js';
import { coverPrograms, type Outcome } from '../../helpers/covered-programs.js';
import { readable } from '../../helpers/describe.js';
import { patched } from '../../helpers/frames.js';
import { enterFreshNamespace } from '../../helpers/in-namespace.js';
import { isOlderThan } from '../../helpers/kernel-age.js';
import { FANOUT, KernelPort, PUNT, PUNT_COPY } from '../../helpers/kernel-port.js';
import { PurePort } from '../../helpers/pure-port.js';
import { check } from '../../helpers/seed.js';
import { BROADCAST, gateway, host, MASTER, slaves, standardTopology, vm1, vm2 } from '../../helpers/world.js';
import { routedScenes, type Scene, scenes } from '../../properties/random-port.js';
import { complaintsAttached, complaintsSegmented } from './attached.js';
import { corners } from './corners.js';
import { routedCorners } from './corners-routed.js';
import { Judge, judgeTable, runnable } from './kernel-judge.js';
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
			const { wrong, needless } = judgeTable(cases, kernel);
			t.deepEqual(wrong, []);
			t.deepEqual(needless, [], 'left to the forwarder, though it forwards them');
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

	test.serial(`what takes a second look, on every way, ${form}`, t => {
		const { wrong, needless } = judgeTable(oddities(), kernel);
		t.deepEqual(wrong, []);
		// In l3s what the host says of neighbours is looked at for redirects.
		const longer =
			/solicitation|half|shorter|fragment of options|echo behind first|behind [^f]|DHCP.*(wire|host|MAC,)|from the host.* l3s/;
		t.deepEqual(
			needless.filter(name => !longer.test(name)),
			[],
		);
	});

	test.serial(`a device that is nobody's, frames that are too big, and no seats, ${form}`, t => {
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
		const [toAll, fromWire] = [host, gateway].map(from => packet4(from, vm1, { destination: BROADCAST }));
		t.is(kernel.receive(EDGE_HOST, toAll!).verdict, PUNT);
		t.is(kernel.receive(EDGE_WIRE, fromWire!).verdict, PUNT_COPY);
		// Where routes have MTUs of their own, the least counts.
		kernel.configure(standardTopology('bridge', true, 'l3'), state);
		const narrow = { ...gateway, ipv4: '100.64.1.9', ipv6: '2001:db8:2:1::9' };
		for (const frame of [packet4(vm1, narrow), packet6(vm1, narrow)]) {
			t.is(kernel.receive(vm1.edge, frame).verdict, PUNT);
		}
		kernel.mtu = 65535;
		kernel.seats = false;
		kernel.configure(topology, state);
		t.is(kernel.receive(vm1.edge, multicast4(vm1, '239.1.2.3')).verdict, PUNT);
		t.is(kernel.receive(EDGE_HOST, toAll!).verdict, PUNT);
		t.is(kernel.receive(EDGE_WIRE, fromWire!).verdict, PUNT_COPY);
		kernel.seats = true;
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
		t.is(last(vm2.edge, { rx: bytes }, EDGE_HOST, packet4(host, vm2)), 'drop: limit-rx');
		if (!copies(form)) return;
		for (const [ingress, from, other] of [
			[vm1.edge, vm1, EDGE_HOST],
			[EDGE_HOST, host, vm1.edge],
			[EDGE_WIRE, gateway, vm1.edge],
		] as const) {
			const toAll = packet4(from, gateway, { destination: BROADCAST });
			last(vm2.edge, { rx: bytes }, ingress, toAll);
			t.is(kernel.verdict, FANOUT);
			const seen = kernel.receive(ingress, toAll);
			t.true(seen.copies.includes(other) && !seen.copies.includes(vm2.edge));
		}
	});

	test.serial(`virtio headers on a real TAP, ${form}`, t => {
		for (const mode of ['l2', 'l3'] as const) t.deepEqual(complaintsAttached(kernel, mode), []);
		t.deepEqual(complaintsSegmented(kernel, !isOlderThan(6, 2)), []);
	});
}

test.serial('every condition is met, and not met, in each program that comes to it', t => {
	const sums = new BigUint64Array(covered.words);
	for (const kernel of Object.values(counting)) {
		for (const [at, word] of kernel.variables(covered.words).entries()) sums[at] = sums[at]! + word;
	}
	const outcomes = covered.outcomes(sums);
	const unexpected: string[] = [];
	const expected = new Map<string, string[]>();
	for (const { file, line, text, met, program, count } of outcomes) {
		if (count > 0n) continue;
		const place = `${file}:${line} never ${met}`;
		const why = whyNever(text, met, program);
		if (why === undefined) unexpected.push(`${place} in ${program}: ${text}`);
		else expected.set(why, [...(expected.get(why) ?? []), place]);
	}
	t.log(shares(outcomes, () => 'all'));
	t.log(shares(outcomes, ({ program }) => program));
	t.log(shares(outcomes, ({ file }) => file));
	for (const [why, places] of expected) t.log(`${why}: ${[...new Set(places)].join(', ')}`);
	t.deepEqual(unexpected, []);
	t.deepEqual(goneReasons(covered.conditions), [], 'reasons for conditions that are gone');
});

function shares(outcomes: readonly Outcome[], by: (outcome: Outcome) => string): string {
	const groups = new Map<string, [met: number, all: number]>();
	for (const outcome of outcomes) {
		const [met, all] = groups.get(by(outcome)) ?? [0, 0];
		groups.set(by(outcome), [met + Number(outcome.count > 0n), all + 1]);
	}
	return [...groups].map(([what, [met, all]]) => `${what} ${met}/${all}`).join(', ');
}

/** The form for older kernels makes none. */
function copies(form: string): boolean {
	return form.startsWith('casting');
}

/** linux/pkt_cls.h */
const SHOT = 2;
