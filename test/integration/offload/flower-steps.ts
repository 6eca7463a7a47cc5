/**
 * tc-flower on a kernel that has `flower` and on one that hasn't. No NIC that takes a rule is to be had, so what the rules
 * say is tried in the kernel's own classifier, with the same code: that they are the ones meant, that they do what
 * `forward` would, and that they come and go with what they stand for.
 */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { EDGE_WIRE } from '../../../src/datapath/verdict.js';
import { nameOf } from '../../../src/offload/state-name.js';
import { Rules, sweepRules } from '../../../src/offload/tc-flower/rules.js';
import { TcFlower } from '../../../src/offload/tc-flower/tc-flower.js';
import { type FlowerPlace, listFlower } from '../../../src/sys/netlink/flower.js';
import { createVeth, deleteLink, listLinks, requireLink, setLink } from '../../../src/sys/netlink/link.js';
import { deleteClsact, ensureClsact } from '../../../src/sys/netlink/tc.js';
import { createTap } from '../../../src/sys/tap.js';
import { roomsOf } from '../../cases/index.js';
import { packet4 } from '../../cases/traffic.js';
import { complaintOf } from '../../compliance/offload.js';
import { OffloadBench } from '../../compliance/offload-bench.js';
import { mac, patched, tcp } from '../../helpers/frames.js';
import { enterFreshNamespace, run } from '../../helpers/in-namespace.js';
import { gateway, MASTER, slaves, vm1 } from '../../helpers/world.js';
import type { Step } from './other-kernel-steps.js';

/** Of Debian's kernel, beside those that tc-bpf takes. */
export const flowerModules = ['cls_flower', 'act_gact', 'act_mirred', 'act_pedit'];

/** With a NIC that says yes to every rule and carries out none (test/netdevsim.sh): what is told to it, and asked of it. */
const nicSteps: Readonly<Record<string, Step>> = {
	'where a driver takes the rules, they are in_hw, and go with what they stand for': async () => {
		const before = new Set(listLinks().map(({ ifindex }) => ifindex));
		writeFileSync('/sys/bus/netdevsim/new_device', '7 1');
		const nic = listLinks().find(({ ifindex }) => !before.has(ifindex))!;
		for (const name of ['punt0', 't0']) createTap(name, { owner: undefined, queues: 1, vnetHeader: true });
		const warnings: string[] = [];
		const stateDir = '/run/nic';
		const open = async () => {
			const hook = new TcFlower();
			assert.equal(hook.probe('l2'), undefined);
			const warn = (text: string) => warnings.push(text);
			const port = await hook.open({ mode: 'l2', master: nic.ifindex, stateDir, ensureClsact, warn });
			const punt = requireLink('punt0').ifindex;
			await port.setPort({ master: nic, host: 0, flag: 'bridge', nominated: false, punt });
			await port.addSlave(slave);
			for (const address of [vm1.ipv4, vm1.ipv6]) await port.addAddress(address, slave.edge);
			await port.settle();
			return port;
		};
		const slave = { edge: 2, ifindex: requireLink('t0').ifindex, mac: vm1.mac, learn: false };
		const inHardware = () => listFlower(nic.ifindex, 'ingress').map(rule => rule.inHardware);
		const port = await open();
		assert.deepEqual(
			[port.name, port.detail],
			['tc-flower', 'tc-bpf by clsact; addresses in the NIC: 2 of 2'],
		);
		assert.deepEqual(inHardware(), [true, true, true, true]);
		const shown = run('tc', 'filter', 'show', 'dev', nic.name, 'ingress');
		assert.equal(shown.match(/skip_sw\n\s+in_hw in_hw_count 1/g)?.length, 4, shown);
		await port.removeAddress(vm1.ipv6);
		assert.deepEqual(inHardware(), [true, true]);
		await port.addSlave({ ...slave, limits: { rx: { rate: 1, burst: 1 } } });
		assert.deepEqual(inHardware(), []);
		await port.addSlave(slave);
		assert.deepEqual(inHardware(), [true, true]);
		// As one that was killed: nobody takes them away but the next.
		sweepRules(stateDir, nic.ifindex);
		assert.deepEqual(inHardware(), []);
		const next = await open();
		assert.deepEqual(inHardware(), [true, true, true, true]);
		await next.detach();
		assert.deepEqual([inHardware(), warnings], [[], []]);
		writeFileSync('/sys/bus/netdevsim/del_device', '7');
		return shown;
	},
};

export const flowerSteps: Readonly<Record<string, Step>> = {
	'tc-flower: a device without such hardware refuses the rule, and tc-bpf does the work': async () => {
		enterFreshNamespace();
		const bench = await openBench('l2', 'hardware');
		const { detail, name } = bench.port;
		assert.deepEqual([name, detail], ['tc-bpf', 'clsact; tc-flower: the NIC takes no rule']);
		assert.equal(bench.warnings.length, 1);
		assert.match(
			bench.warnings[0]!,
			/Operation not supported .*: the driver of wire0 has no hw-tc-offload; /,
		);
		const { out } = bench.send(EDGE_WIRE, packet4(gateway, vm1, { destination: MASTER }, tcp()));
		assert.deepEqual(
			out.map(({ at }) => at),
			[vm1.edge],
		);
		assert.deepEqual(listFlower(bench.device(EDGE_WIRE), 'ingress'), []);
		await bench.close();
		return bench.warnings[0]!;
	},

	'its rules are those that tc makes': () => {
		createVeth({ name: 'v0', peer: 'v1' });
		createTap('t0', { owner: undefined, queues: 1, vnetHeader: true });
		const [master, tap] = [requireLink('v0').ifindex, requireLink('t0').ifindex];
		for (const ifindex of [master, tap]) ensureClsact(ifindex);
		const shown = () =>
			run('tc', '-d', 'filter', 'show', 'dev', 'v0', 'ingress').replace(/index \d+/g, 'index N');
		const delivery = { masterMac: MASTER, mac: vm1.mac, ifindex: tap };
		const rules = (place: 'software' | 'hardware', ifindex = master) =>
			new Rules({ master: ifindex, stateDir: '/state', place });
		const cookie = Buffer.from(nameOf('/state')).toString('hex');
		for (const [address, family, [guard, prio], vepa] of [
			[vm1.ipv4, 'ip', [18801, 18803], false],
			[vm1.ipv6, 'ipv6', [18802, 18804], true],
		] as const) {
			const ours = rules('software');
			ours.add(address, { ...delivery, vepa });
			const made = shown();
			assert.equal(made.match(/not_in_hw/g)?.length, 2);
			ours.clear();
			assert.equal(shown(), '');
			const tc = (priority: number, keys: string, actions: string) =>
				run(
					'tc',
					...`filter add dev v0 ingress prio ${priority} handle 1 protocol ${family} flower skip_hw dst_mac ${MASTER} ip_proto tcp dst_ip ${address} ${keys} ${actions}`.split(
						/ +/,
					),
				);
			tc(
				guard,
				`src_mac ${MASTER} ${vepa ? `src_ip ${address}` : ''}`.trim(),
				`action drop cookie ${cookie}`,
			);
			tc(
				prio,
				'',
				`action pedit ex munge eth dst set ${vm1.mac} pipe cookie ${cookie} action mirred egress redirect dev t0 cookie ${cookie}`,
			);
			assert.equal(made, shown());
			sweepRules('/state', master);
		}
		for (const ifindex of [master, tap]) {
			const none = rules('hardware', ifindex);
			assert.throws(() => none.add(vm1.ipv4, { ...delivery, vepa: false }), { errno: EOPNOTSUPP });
			assert.deepEqual([none.size, listFlower(ifindex, 'ingress')], [0, []]);
		}
		for (const name of ['v0', 't0']) deleteLink(name);
		return 'four rules; skip_sw refused by veth and TAP';
	},

	'with its rules in the kernel, each TCP frame from the wire goes the way of the table': async () => {
		const said: string[] = [];
		for (const mode of ['l2', 'l3'] as const) {
			const bench = await openBench(mode);
			const cases = Object.entries(roomsOf(mode)).flatMap(([room, all]) =>
				// A NIC believes a header's lengths (docs/offload.md).
				room === 'malformed' ? [] : all.filter(({ from, frame }) => from === 'wire' && isToMaster(frame)),
			);
			const wrong: string[] = [];
			let taken = 0;
			for (const one of cases) {
				await bench.setPolicy(one);
				const before = matched(bench);
				const complaint = complaintOf(bench, { ...one, frame: asTcp(one.frame) });
				if (complaint !== undefined) wrong.push(`${one.name}: ${complaint}`);
				taken += matched(bench) - before;
			}
			await bench.close();
			assert.deepEqual(wrong, []);
			assert.ok(taken > 2, `${taken} of ${cases.length}`);
			said.push(`${mode}: ${taken} of ${cases.length} by rules`);
		}
		return said.join(', ');
	},

	'its rules come and go with what they stand for, and others’ stay': async () => {
		const bench = await openBench('l2');
		const master = bench.device(EDGE_WIRE);
		const addresses = bench.addresses.filter(({ edge }) => edge === vm1.edge).length;
		const all = bench.addresses.filter(({ edge }) => slaves.some(slave => slave.edge === edge)).length;
		const rules = () => listFlower(master, 'ingress').length;
		const counted = () => bench.port.counters(EDGE_WIRE);
		const delivered = (masterMac = MASTER) => {
			const frame = packet4(gateway, vm1, { destination: masterMac }, tcp());
			const before = matched(bench);
			const { out } = bench.send(EDGE_WIRE, frame);
			assert.deepEqual(
				out.map(({ at, frame: seen }) => [at, seen.subarray(0, 6).toString('hex')]),
				[[vm1.edge, vm1.mac.replaceAll(':', '')]],
			);
			return matched(bench) - before;
		};
		assert.equal(rules(), 2 * all);
		assert.match(bench.port.detail, new RegExp(`^tc-bpf by clsact; addresses in the NIC: ${all} of `));
		const before = counted().in.packets;
		assert.equal(delivered(), 1);
		assert.equal(counted().in.packets - before, 1);

		await bench.port.addSlave({ ...bench.slave(vm1.edge), limits: { rx: { rate: 1e9, burst: 1e9 } } });
		assert.equal(rules(), 2 * (all - addresses));
		assert.equal(delivered(), 0);
		assert.equal(counted().in.packets - before, 2, 'what rules that are gone have counted stays');
		await bench.port.addSlave(bench.slave(vm1.edge));
		assert.equal(delivered(), 1);

		await bench.port.setPort({ ...bench.policy, flag: 'vepa' });
		assert.equal(delivered(), 1);
		const moved = '02:1a:00:00:77:01';
		setLink(master, { mac: moved });
		await bench.port.setPort({ ...bench.policy, master: { ...bench.policy.master, mac: moved } });
		assert.equal(delivered(moved), 1);
		assert.equal(rules(), 2 * all);

		assert.ok(deleteClsact(master));
		assert.equal(await bench.port.mend?.(master), true);
		assert.equal(await bench.port.mend?.(master), false);
		assert.equal(delivered(moved), 1);

		run(
			'tc',
			...'filter add dev wire0 ingress prio 18803 handle 99 protocol ip flower dst_ip 10.9.9.9 action drop'.split(
				' ',
			),
		);
		await bench.port.removeAddress(vm1.ipv4);
		assert.equal(rules(), 2 * (all - 1) + 1);
		await bench.port.addAddress(vm1.ipv4, vm1.edge);
		await bench.port.removeSlave(bench.slave(vm1.edge), true);
		assert.equal(rules(), 2 * (all - addresses) + 1);
		sweepRules(bench.stateDir, master);
		assert.equal(rules(), 1);
		await bench.port.detach();
		assert.equal(rules(), 1);
		assert.deepEqual(bench.warnings, []);
		await bench.close(false);
		return `${all} addresses`;
	},

	...(process.env.TEST_NETDEVSIM === undefined ? {} : nicSteps),
};

async function openBench(mode: 'l2' | 'l3', place: FlowerPlace = 'software'): Promise<OffloadBench> {
	const bench = new OffloadBench(new TcFlower({ attach: 'clsact', place }), mode);
	await bench.open();
	return bench;
}

/** Frames that rules have taken. */
function matched(bench: OffloadBench): number {
	return listFlower(bench.device(EDGE_WIRE), 'ingress').reduce((sum, { packets }) => sum + packets, 0);
}

/** Only such frames can a rule match. */
function isToMaster(frame: Uint8Array): boolean {
	return Buffer.from(frame.subarray(0, 6)).equals(mac(MASTER));
}

/** The same frame with its UDP called TCP. */
function asTcp(frame: Uint8Array): Uint8Array {
	const at = { '0800': 23, '86dd': 20 }[Buffer.from(frame.subarray(12, 14)).toString('hex')];
	return at !== undefined && frame[at] === 17 ? patched(frame, at, [6]) : frame;
}

// asm-generic/errno.h; it has a second name.
const EOPNOTSUPP = 95;
