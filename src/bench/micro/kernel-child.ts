/**
 * Measures the eBPF programs alone, by BPF_PROG_TEST_RUN, in a network namespace of its own (kernel.ts): its devices are
 * there so that frames can come from them; nothing is attached, and no frame leaves a program. Prints one JSON object.
 */
import { writeSync } from 'node:fs';
import { EDGE_HOST, EDGE_SLAVES } from '../../datapath/verdict.js';
import { IpvtapError } from '../../errors.js';
import { KernelObject, type ProgramName, programNames } from '../../offload/tc-bpf/kernel-object.js';
import { addressBytes, indexBytes, ownerBytes, portBytes, senderBytes } from '../../offload/tc-bpf/layout.js';
import { programInfo } from '../../sys/bpf/program.js';
import { testRun } from '../../sys/bpf/test-run.js';
import { requireLink } from '../../sys/netlink/link.js';
import { createTap } from '../../sys/tap.js';
import { median } from '../statistics.js';
import { addresses, type KernelCase, kernelCases, MAC } from './kernel-cases.js';
import type { KernelMicro } from './result.js';

/** Frames in one call, and calls: the median call counts, as any may be interrupted. */
const REPEAT = 20_000;
const CALLS = 25;
const SINGLE_CALLS = 4000;
const modes = ['l2', 'l3', 'l3s'] as const;

const devices = {
	guest0: device('guest0'),
	guest1: device('guest1'),
	host: device('host0'),
	wire: device('wire0'),
};
const ingress: Readonly<Record<ProgramName, number>> = {
	from_slave: devices.guest0,
	from_wire: devices.wire,
	from_host: devices.host,
};
const edges = { guest0: EDGE_SLAVES, guest1: EDGE_SLAVES + 1, host: EDGE_HOST } as const;
const { programs } = portOf();
const [reference] = kernelCases;
/** What a frame that is run over once costs beyond its share of many: the clock, and a cold start. */
const beginning = single(reference!) - repeated(reference!);

const result: KernelMicro = {
	cases: kernelCases.map(one => ({
		name: one.name,
		ns: one.once ? single(one) - beginning : repeated(one),
	})),
	programs: modes.flatMap(mode => {
		const object = new KernelObject({ mode });
		const infos = programNames.map(name => ({ name, mode, ...programInfo(object.programs[name]) }));
		object.close();
		return infos;
	}),
};
writeSync(1, `${JSON.stringify(result)}\n`);

function repeated(one: KernelCase): number {
	return timed(one, REPEAT, CALLS);
}

function single(one: KernelCase): number {
	return timed(one, 1, SINGLE_CALLS);
}

/** @returns ns a frame. @throws IpvtapError when the program doesn't decide what it has to, at the last frame of a call. */
function timed({ name, program, frame, result: wanted }: KernelCase, repeat: number, calls: number): number {
	const times: number[] = [];
	for (let call = 0; call < calls; call++) {
		const { result: got, nanoseconds } = testRun(programs[program], frame, ingress[program], repeat);
		if (got !== wanted) throw new IpvtapError('failed', `measure ${name}: the program returned ${got}`);
		times.push(nanoseconds);
	}
	return median(times);
}

/** A port with two guests and the host. */
function portOf(): KernelObject {
	const object = new KernelObject({ mode: 'l2' });
	object.maps.port.set(
		indexBytes(0),
		portBytes({
			master: devices.wire,
			host: devices.host,
			punt: 0,
			mtu: 1500,
			flag: 'bridge',
			slaves: 2,
			mac: MAC,
			nominated: false,
			seats: 0,
		}),
	);
	for (const who of ['guest0', 'guest1', 'host'] as const) {
		const party = { edge: edges[who], ifindex: devices[who], mac: MAC };
		object.maps.senders.set(indexBytes(party.ifindex), senderBytes({ ...party, learns: false }));
		object.maps.dropped.set(indexBytes(party.edge), new Uint8Array(object.maps.dropped.valueBytes));
		for (const address of addresses[who]) {
			const { map, key } = addressBytes(address);
			object.maps[map].set(key, ownerBytes(party));
		}
	}
	return object;
}

function device(name: string): number {
	createTap(name, { owner: undefined, queues: 1, vnetHeader: true });
	return requireLink(name).ifindex;
}
