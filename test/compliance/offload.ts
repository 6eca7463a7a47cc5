/**
 * What every offload hook has to keep, whatever it is made of (docs/offload.md, "The law"). Each law is a test over real
 * devices; `comply` adds them to an AVA file that has left for a network namespace of its own.
 */
import type { ExecutionContext, TestFn } from 'ava';
import { forward } from '../../src/datapath/forward/forward.js';
import { DHCP_PRICE, type EdgeLimits } from '../../src/datapath/limits.js';
import type { ModeName } from '../../src/datapath/port-state.js';
import {
	type DropReason,
	EDGE_WIRE,
	EDGES_MAX,
	IGNORE,
	SLOW_ANSWER,
	SLOW_FANOUT,
	verdictName,
} from '../../src/datapath/verdict.js';
import type { XmitOffload } from '../../src/offload/offload.js';
import { listFilters } from '../../src/sys/netlink/tc.js';
import type { Case } from '../cases/case.js';
import { edgeOf, roomsOf, topologyOf } from '../cases/index.js';
import { dhcpDiscover, multicast4, packet4 } from '../cases/traffic.js';
import { hex, readable } from '../helpers/describe.js';
import { arp, ethernet, ipv4, ipv6, udp } from '../helpers/frames.js';
import { PurePort } from '../helpers/pure-port.js';
import {
	BROADCAST,
	gateway,
	MASTER,
	server,
	slaves,
	standardRoutes,
	vm1,
	vm2,
	vm3,
} from '../helpers/world.js';
import { OffloadBench } from './offload-bench.js';

export function comply(test: TestFn, name: string, makeHook: () => XmitOffload | Promise<XmitOffload>): void {
	const withBench = (
		title: string,
		body: (bench: OffloadBench, t: ExecutionContext) => Promise<void>,
		mode: ModeName = 'l2',
	): void =>
		test.serial(`${name}, ${mode}: ${title}`, async t => {
			const hook = await makeHook();
			const missing = mode === 'l2' ? undefined : await hook.probe(mode);
			if (missing !== undefined) {
				t.pass('it says so, and is left alone');
				t.log(`not in ${mode}: ${missing}`);
				return;
			}
			const bench = new OffloadBench(hook, mode);
			await bench.open();
			try {
				await body(bench, t);
			} finally {
				await bench.close();
			}
		});

	test.serial(`${name}: it says what it is, and whether it can be had`, async t => {
		const hook = await makeHook();
		t.regex(hook.name, /^[a-z0-9][a-z0-9-]{0,30}$/);
		t.is(await hook.probe('l2'), undefined, 'the suite needs a machine where it can be had');
	});

	for (const mode of ['l2', 'l3', 'l3s'] as const) {
		for (const [room, cases] of Object.entries(roomsOf(mode)))
			withBench(
				`each frame of the table goes its way once, or to the forwarder as it is: ${room}`,
				async (bench, t) => {
					const wrong: string[] = [];
					for (const one of cases.filter(({ noHost, frame }) => !noHost && frame.length <= 1514)) {
						await bench.setPolicy(one);
						const complaint = complaintOf(bench, one);
						if (complaint !== undefined) wrong.push(`${one.name} (from ${one.from}): ${complaint}`);
					}
					t.deepEqual(wrong, []);
				},
				mode,
			);
	}

	withBench('an address that was taken away is nobody’s', async (bench, t) => {
		t.true(reaches(bench, vm1.edge, vm2.edge, datagram(vm1, vm2)));
		await bench.port.removeAddress(vm2.ipv4);
		t.false(reaches(bench, vm1.edge, vm2.edge, datagram(vm1, vm2)));
		await bench.port.addAddress(vm2.ipv4, vm1.edge);
		t.false(reaches(bench, vm2.edge, EDGE_WIRE, datagram(vm2, gateway)), 'nor a source of who had it');
	});

	withBench('a slave that was taken away sends nothing and gets nothing', async (bench, t) => {
		for (const address of [vm1.ipv4, vm1.ipv6, vm1.linkLocal]) await bench.port.removeAddress(address);
		await bench.port.removeSlave(bench.slave(vm1.edge), true);
		t.false(reaches(bench, vm2.edge, vm1.edge, datagram(vm2, vm1)));
		// Any slave may claim a link-local address, so the forwarder would be asked about it.
		const claim = ethernet(
			{ source: vm1.mac, destination: gateway.mac },
			ipv6({ source: 'fe80::99', destination: gateway.ipv6 }, udp()),
		);
		const { out } = bench.send(vm2.edge, datagram(vm2, gateway), { edge: vm1.edge, frame: claim });
		t.false(out.some(({ frame }) => hex(frame) === hex(claim)));
	});

	for (const [what, forget] of Object.entries({
		'by a route that is gone': bench => bench.port.setRoutes?.([], [prefixOf(server)]),
		'to a neighbour who is not known any more': bench => bench.port.setNeighbour?.(gateway.ipv4, undefined),
	} satisfies Record<string, (bench: OffloadBench) => unknown>))
		withBench(
			`nothing leaves ${what}`,
			async (bench, t) => {
				const routed = packet4(vm1, server, { destination: MASTER });
				const before = bench.send(vm1.edge, routed).out.map(({ at }) => at);
				t.true(before.length === 1 || !bench.port.punts, `${before}`);
				await forget(bench);
				t.false(reaches(bench, vm1.edge, EDGE_WIRE, routed));
			},
			'l3',
		);

	withBench('a group is for who has asked for it', async (bench, t) => {
		const { port } = bench;
		const frame = multicast4(vm1, '239.1.2.3');
		const none = { names: [], lows: [] };
		await port.setGroups?.(vm2.edge, { inet: none, inet6: none, exact: false });
		t.false(reaches(bench, vm1.edge, vm2.edge, frame));
		const inet = { names: ['239.1.2.3'], lows: [0x5e010203] };
		await port.setGroups?.(vm2.edge, { inet, inet6: none, exact: false });
		const left = !reaches(bench, vm1.edge, vm2.edge, frame);
		// Of a newcomer nobody knows what it wants.
		await port.removeSlave(bench.slave(vm3.edge), true);
		t.is(reaches(bench, vm1.edge, vm2.edge, frame), !left);
		await port.addSlave(bench.slave(vm3.edge));
		t.false(reaches(bench, vm1.edge, vm2.edge, frame));
	});

	withBench('what it dealt with is counted, and what it left is not', async (bench, t) => {
		const before = bench.port.counters(vm1.edge);
		const forged = datagram({ ...vm2, mac: vm1.mac }, gateway);
		const punted = [datagram(vm1, vm2), datagram(vm1, gateway), forged].filter(frame =>
			bench.send(vm1.edge, frame).out.some(({ at }) => at === 'punt'),
		).length;
		const after = bench.port.counters(vm1.edge);
		const dropped = Object.values(after.drops).reduce((sum, count) => sum + count, 0);
		const left = bench.port.punts ? punted : after.in.packets - before.in.packets === 0 ? 3 : 0;
		t.is(after.in.packets - before.in.packets, 3 - left);
		t.true(dropped <= 1);
	});

	withBench('a slave keeps to its limits until they are lifted', async (bench, t) => {
		const { port } = bench;
		const limit = (edge: number, limits: EdgeLimits) => port.addSlave({ ...bench.slave(edge), limits });
		const dropped = (reason: DropReason) => port.counters(vm1.edge).drops[reason] ?? 0;
		const gotThrough = (): number =>
			bench.sendAlone(vm1.edge, datagram(vm1, vm2)).out.filter(({ at }) => at === vm2.edge).length;
		/** How many of ten get through. */
		const ofTen = () => Array.from({ length: 10 }, gotThrough).reduce((sum, count) => sum + count, 0);
		// 48 bytes each; a token comes a second, so that a slow machine may see one more.
		const little = { rate: 1, burst: 100 };
		await limit(vm1.edge, { tx: little });
		const sent = ofTen();
		if (!port.punts) {
			t.is(sent, 0, 'what it does not limit it leaves');
			return;
		}
		t.true(sent >= 3 && sent <= 5, `${sent} by tx`);
		t.is(dropped('limit-tx'), 10 - sent);

		await limit(vm1.edge, { slow: { rate: 1, burst: 2 } });
		const question = ethernet(
			{ source: vm1.mac, destination: BROADCAST },
			arp({ operation: 1, senderMac: vm1.mac, sender: vm1.ipv4, target: gateway.ipv4 }),
		);
		for (let count = 0; count < 10; count++) bench.sendAlone(vm1.edge, question);
		t.true(dropped('slow-budget') >= 5 && dropped('slow-budget') <= 8);
		t.is(ofTen(), 10, 'unicast is not slow');
		// A DHCP message is paid for as so many frames.
		await limit(vm1.edge, {});
		await limit(vm1.edge, { slow: { rate: 1, burst: 2 * DHCP_PRICE } });
		const before = dropped('slow-budget');
		for (let count = 0; count < 10; count++) bench.sendAlone(vm1.edge, dhcpDiscover(vm1));
		t.true(dropped('slow-budget') - before >= 7, `${dropped('slow-budget') - before}`);

		await limit(vm1.edge, {});
		await limit(vm2.edge, { rx: little });
		const received = ofTen();
		t.true(received >= 3 && received <= 5, `${received} by rx`);
		t.is(dropped('limit-rx'), 10 - received);
		t.is(port.counters(vm2.edge).rxLimited, 10 - received);
		await port.addSlave(bench.slave(vm2.edge));
		t.is(ofTen(), 10);
	});

	test.serial(`${name}: after detach there is nothing left of it`, async t => {
		const bench = new OffloadBench(await makeHook());
		await bench.open();
		const devices = [EDGE_WIRE, ...slaves.map(({ edge }) => edge)].map(edge => bench.device(edge));
		await bench.port.detach();
		t.deepEqual(
			devices.flatMap(ifindex => listFilters(ifindex, 'ingress')),
			[],
		);
		const { out } = bench.sendAlone(vm1.edge, datagram(vm1, vm2));
		t.deepEqual(out, []);
		await bench.close(false);
	});
}

/** @returns what is wrong about what a hook did with a frame, or undefined. */
export function complaintOf(bench: OffloadBench, one: Case): string | undefined {
	const pure = new PurePort(topologyOf(one));
	const edge = edgeOf(one.from);
	const memory = new Uint8Array(16 + one.frame.length);
	memory.set(one.frame, 16);
	const verdict = forward(pure.state, new DataView(memory.buffer), 16, one.frame.length, edge);
	const before = bench.port.counters(edge);
	const { taken, out } = bench.send(edge, one.frame);
	const after = bench.port.counters(edge);
	const counted = Object.entries(after.drops).filter(
		([reason, count]) => count !== (before.drops[reason as 'vlan'] ?? 0),
	);
	pure.close();
	if (!taken) return undefined;
	const seen = out.map(({ at, frame }) => `${at}: ${hex(frame)}`).sort();
	const asIs = [`punt: ${hex(one.frame)}`];
	// To the forwarder, unchanged and alone.
	if (seen.join() === asIs.join() && counted.length === 0) return undefined;
	const left = seen.length === 0 && counted.length === 0;
	if (left && (verdict === IGNORE || !bench.port.punts)) return undefined;
	if (verdict === SLOW_ANSWER || verdict === SLOW_FANOUT) {
		const wanted = (one.out ?? []).map(({ to, frame }) => `${edgeOf(to)}: ${hex(frame)}`).sort();
		if (seen.join() === wanted.join()) return undefined;
	}
	if (verdict >= 0 && verdict < EDGES_MAX && seen.join() === `${verdict}: ${hex(memory.subarray(16))}`)
		return undefined;
	if (verdict < 0 && seen.length === 0) {
		const reasons = counted.map(([reason]) => reason).join();
		if (`drop: ${reasons}` === verdictName(verdict)) return undefined;
		// The kernel takes tags out of frames, and drops what is too short for one by itself.
		const tagged = one.frame[12] === 0x81 || one.frame[12] === 0x88;
		if (tagged && (reasons === 'vlan' || reasons === '')) return undefined;
	}
	return `${verdictName(verdict)}, but it was counted as ${counted.map(([reason]) => reason).join() || 'nothing'} and came out as\n${out.map(({ at, frame }) => `${at}: ${readable(frame)}`).join('') || 'nothing'}${readable(one.frame)}`;
}

/** Of the route that leads there. */
function prefixOf({ ipv4 }: { ipv4: string }): string {
	return standardRoutes.find(({ prefix }) => prefix.startsWith(ipv4.slice(0, ipv4.lastIndexOf('.'))))!.prefix;
}

function reaches(bench: OffloadBench, from: number, to: number, frame: Uint8Array): boolean {
	return bench.send(from, frame).out.some(({ at }) => at === to);
}

function datagram(from: { mac: string; ipv4: string }, to: { mac: string; ipv4: string }): Uint8Array {
	return ethernet(
		{ source: from.mac, destination: to.mac },
		ipv4({ source: from.ipv4, destination: to.ipv4 }, udp()),
	);
}
