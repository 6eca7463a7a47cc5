/** A small benchmark's results, for tests of what is said about them. */
import type { Results } from '../../../../src/bench/report/summary.js';
import { floodRun } from '../runs.js';

/** ipvtap at 0.8 of the bridge, its offload at 1.2 with one run disturbed. */
export function results(): Results {
	return {
		machine: {
			date: '2026-01-02T03:04:05.678Z',
			kernel: '6.18.0',
			cpu: 'Some CPU',
			cpus: 2,
			memoryMb: 4096,
			node: 'v20.19.0',
			compiler: 'cc',
			iproute: 'ip',
			qemu: 'QEMU emulator version 7.2',
			hypervisor: 'kvm',
			commit: 'abc1234',
			pmu: false,
		},
		peers: ['bridge', 'ipvtap-tc-bpf', 'ipvtap'].map(name => ({ name, about: `about ${name}` })),
		absent: [{ name: 'vde', why: 'vde_switch is missing' }],
		rows: ['v2v-64-sleep'],
		runs: [
			floodRun('bridge', 0, 1000),
			floodRun('ipvtap-tc-bpf', 1, 1200),
			floodRun('ipvtap', 2, 800),
			floodRun('bridge', 3, 1000),
			floodRun('ipvtap', 4, 800),
			floodRun('ipvtap-tc-bpf', 5, 10, { foreign: 1 }),
			floodRun('ipvtap-tc-bpf', 6, 1200),
			floodRun('bridge', 7, 1000),
		],
		setups: [{ peer: 'ipvtap', guests: 1000, seconds: 9, attachMs: [5, 7, 150], residentMb: 120 }],
		micro: [{ name: 'any', frames: 1e6, nsPerFrame: 40, collections: 0, deoptimisations: 0 }],
		kernel: {
			cases: [{ name: 'guest to guest', ns: 91 }],
			programs: [
				{ name: 'from_slave', mode: 'l2', instructions: 4487, jitedBytes: 20_905, verified: 25_062 },
			],
		},
		instructions: {
			kernel: '6.1.0',
			counts: [
				{ peer: 'bridge', path: 'guest to guest', instructions: 5000 },
				{ peer: 'ipvtap-tc-bpf', path: 'guest to guest', instructions: 4950 },
			],
			failed: [],
		},
	};
}
