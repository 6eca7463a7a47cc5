/**
 * Token buckets in the kernel beside a slow twin. The kernel's clock can't be set, but a bucket is a moment of it: moved
 * back, as much time has passed for the bucket. What passes in truth while the test runs, the twin passes too.
 */
import { Worker } from 'node:worker_threads';
import test from 'ava';
import fc from 'fast-check';
import { KernelBuckets, LIMITS_BYTES, limitsBytes } from '../../../src/datapath/kernel-buckets.js';
import { DHCP_PRICE, type EdgeLimits } from '../../../src/datapath/limits.js';
import type { Bucket } from '../../../src/datapath/token-buckets.js';
import { dropReasons, EDGE_WIRE } from '../../../src/datapath/verdict.js';
import { indexBytes, sumCounters } from '../../../src/offload/tc-bpf/layout.js';
import { monotonicMs } from '../../../src/sys/clock.js';
import { roomsOf, topologyOf } from '../../cases/index.js';
import { dhcpDiscover, multicast6 } from '../../cases/traffic.js';
import { arp, ethernet, ipv4, ipv6, solicitation, sourceLinkLayer, udp } from '../../helpers/frames.js';
import { enterFreshNamespace } from '../../helpers/in-namespace.js';
import { isOlderThan } from '../../helpers/kernel-age.js';
import { KernelPort } from '../../helpers/kernel-port.js';
import { PurePort } from '../../helpers/pure-port.js';
import { check } from '../../helpers/seed.js';
import { BROADCAST, gateway, host, MASTER, vm1, vm2 } from '../../helpers/world.js';

enterFreshNamespace();
const kernel = new KernelPort(isOlderThan(6, 2));
const topology = topologyOf(roomsOf('l2').ipv4![0]!);
const pure = new PurePort(topology);
test.after.always(() => {
	kernel.close();
	pure.close();
});

const toEverybody = { source: vm1.mac, destination: BROADCAST };
const datagram = (length: number) => udp(1, 2, new Uint8Array(length));
/** What is sent, and what it costs besides `tx` where it is a slave's. */
const kinds = {
	'to a neighbour': {
		from: vm1.edge,
		costs: ['rx of the neighbour'],
		frame: (length: number) =>
			ethernet(
				{ source: vm1.mac, destination: MASTER },
				ipv4({ source: vm1.ipv4, destination: vm2.ipv4 }, datagram(length)),
			),
	},
	'to the wire': {
		from: vm1.edge,
		costs: [],
		frame: (length: number) =>
			ethernet(
				{ source: vm1.mac, destination: gateway.mac },
				ipv4({ source: vm1.ipv4, destination: gateway.ipv4 }, datagram(length)),
			),
	},
	'with a forged source': {
		from: vm1.edge,
		costs: [],
		frame: (length: number) =>
			ethernet(
				{ source: vm1.mac, destination: MASTER },
				ipv4({ source: vm2.ipv4, destination: host.ipv4 }, datagram(length)),
			),
	},
	'to everybody': {
		from: vm1.edge,
		costs: ['slow', 'a copy for the neighbour'],
		frame: (length: number) =>
			ethernet(toEverybody, ipv4({ source: vm1.ipv4, destination: '255.255.255.255' }, datagram(length))),
	},
	'a DHCP discover': {
		from: vm1.edge,
		costs: ['slow, as DHCP'],
		frame: () => dhcpDiscover(vm1),
	},
	'a DHCPv6 solicit': {
		from: vm1.edge,
		costs: ['slow, as DHCP'],
		frame: () => multicast6(vm1, 'ff02::1:2', {}, udp(546, 547, Uint8Array.of(1, 0, 0, 1))),
	},
	'a question to the wire': {
		from: vm1.edge,
		costs: ['slow'],
		frame: () =>
			ethernet(
				toEverybody,
				arp({ operation: 1, senderMac: vm1.mac, sender: vm1.ipv4, target: gateway.ipv4 }),
			),
	},
	'a solicitation to the wire': {
		from: vm1.edge,
		costs: ['slow'],
		frame: () =>
			ethernet(
				{ source: vm1.mac, destination: '33:33:ff:00:00:01' },
				ipv6(
					{ source: vm1.ipv6, destination: 'ff02::1:ff00:1', hopLimit: 255 },
					solicitation(gateway.ipv6, [sourceLinkLayer(vm1.mac)]),
				),
			),
	},
	'a question that is answered': {
		from: vm1.edge,
		costs: ['slow', 'rx of its own'],
		frame: () =>
			ethernet(toEverybody, arp({ operation: 1, senderMac: vm1.mac, sender: vm1.ipv4, target: host.ipv4 })),
	},
	'a question to a neighbour alone': {
		from: vm1.edge,
		costs: ['rx of the neighbour'],
		frame: () =>
			ethernet(
				{ source: vm1.mac, destination: MASTER },
				arp({ operation: 1, senderMac: vm1.mac, sender: vm1.ipv4, target: vm2.ipv4 }),
			),
	},
	'from the wire': {
		from: EDGE_WIRE,
		costs: ['rx of the neighbour'],
		frame: (length: number) =>
			ethernet(
				{ source: gateway.mac, destination: MASTER },
				ipv4({ source: gateway.ipv4, destination: vm2.ipv4 }, datagram(length)),
			),
	},
} as const;
type Kind = keyof typeof kinds;

test('each frame pays what it costs, and what can not be paid for is dropped for its reason', t => {
	const rate = fc.constantFrom(50, 400);
	const bandwidth = fc.option(fc.record({ rate, burst: fc.constantFrom(1511, 9533) }), { nil: undefined });
	const slow = fc.option(fc.record({ rate: fc.constantFrom(1, 2), burst: fc.constantFrom(1.5, 4.5, 24.5) }), {
		nil: undefined,
	});
	const limits = fc.record({ tx: bandwidth, rx: bandwidth, slow });
	const events = fc.array(
		fc.oneof(
			{
				weight: 8,
				arbitrary: fc.record({
					kind: fc.constantFrom(...(Object.keys(kinds) as Kind[])),
					length: fc.constantFrom(10, 700, 3000),
				}),
			},
			{ weight: 2, arbitrary: fc.record({ wait: fc.nat(5000) }) },
			{ weight: 1, arbitrary: fc.record({ limits, edge: fc.constantFrom(vm1.edge, vm2.edge) }) },
		),
		{ minLength: 10, maxLength: 60 },
	);
	let [frames, refused, unsure] = [0, 0, 0];
	check(
		t,
		fc.property(limits, limits, events, (first, second, list) => {
			const twin = new Twin();
			const all = new Map<number, EdgeLimits>();
			const set = (edge: number, change: Partial<EdgeLimits>) => {
				const before = all.has(edge) ? kernel.object.maps.limits.get(indexBytes(edge)) : undefined;
				all.set(edge, change as EdgeLimits);
				kernel.configure(topology, pure.state, all);
				kernel.object.maps.limits.set(indexBytes(edge), limitsBytes(change as EdgeLimits, before));
				twin.set(edge, change as EdgeLimits);
			};
			set(vm1.edge, first as EdgeLimits);
			set(vm2.edge, second as EdgeLimits);
			for (const event of list) {
				if ('wait' in event) {
					wait(event.wait);
					twin.later += event.wait;
				} else if ('limits' in event) {
					// The buckets of the other stay as they are.
					const kept = kernel.object.maps.limits.get(indexBytes(vm1.edge + vm2.edge - event.edge))!;
					set(event.edge, event.limits as EdgeLimits);
					kernel.object.maps.limits.set(indexBytes(vm1.edge + vm2.edge - event.edge), kept);
				} else {
					const { from, costs, frame } = kinds[event.kind];
					const bytes = frame(event.length);
					const { verdict } = kernel.receive(from, bytes);
					const said = verdict < 0 ? dropReasons[-verdict]! : 'passes';
					const wanted = twin.judge(from, costs, bytes.length, event.kind === 'with a forged source');
					frames++;
					if (said !== 'passes') refused++;
					if (twin.unsure) {
						unsure++;
						return;
					}
					if (said !== wanted) throw new Error(`${event.kind}: ${said}, not ${wanted}; ${twin.state()}`);
				}
			}
		}),
		300,
	);
	t.log(`${frames} frames, ${refused} refused; ${unsure} ports left where the truth is too near the limit`);
	t.true(refused > frames / 20);
});

test('the frame threads take from the same bucket of rx', t => {
	const limits = { rx: { rate: 1000, burst: 10_000 } };
	kernel.configure(topology, pure.state, new Map([[vm2.edge, limits]]));
	const shared = new KernelBuckets(kernel.object.maps.limits.fd);
	const { from, frame } = kinds['from the wire'];
	const bytes = frame(958);
	t.is(bytes.length, 1000);
	let delivered = 0;
	for (let count = 0; count < 10; count++) {
		if (shared.takeRx(vm2.edge, 1000)) delivered++;
		if (kernel.receive(from, bytes).verdict === vm2.edge) delivered++;
	}
	shared.close();
	// A thousandth of it comes with each second that this takes.
	t.true(delivered === 10 || delivered === 11, `${delivered}`);
	t.is(kernel.receive(from, bytes).verdict, -dropReasons.indexOf('limit-rx'));
});

test('two processors that pay at once get no more than the rate, and a frame each', async t => {
	const limits = { tx: { rate: 1_000_000, burst: 100_000 } };
	kernel.configure(topology, pure.state, new Map([[vm1.edge, limits]]));
	const { dropped, entered } = kernel.object.maps;
	entered.set(indexBytes(vm1.edge), new Uint8Array(entered.valueBytes));
	const bytes = kinds['to the wire'].frame(58);
	const data = { program: kernel.object.programs.from_slave, frame: bytes, ifindex: kernel.device(vm1.edge) };
	const started = monotonicMs();
	await Promise.all([0, 1].map(() => pays({ ...data, repeat: 300_000 })));
	const seconds = (monotonicMs() - started) / 1000;
	const [packets = 0] = sumCounters(entered.get(indexBytes(vm1.edge))!, 16);
	const drops = sumCounters(dropped.get(indexBytes(vm1.edge))!, 512)[dropReasons.indexOf('limit-tx')]!;
	t.log(`${packets - drops} of ${packets} in ${seconds.toFixed(2)} s`);
	t.is(packets, 600_000);
	t.true(packets - drops >= 1000);
	t.true(packets - drops <= 1000 + (seconds * 1e6) / bytes.length + 4);
});

/** Runs a program over a frame again and again, in a thread of its own. */
function pays(workerData: object): Promise<void> {
	const worker = new Worker(new URL('./payer.js', import.meta.url), { workerData });
	return new Promise((resolve, reject) => {
		worker.once('error', reject);
		worker.once('exit', () => resolve());
	});
}

/** For all buckets, so much time has passed. */
function wait(milliseconds: number): void {
	for (const edge of [vm1.edge, vm2.edge]) {
		const { limits } = kernel.object.maps;
		const words = new BigInt64Array(limits.get(indexBytes(edge))!.buffer, 0, LIMITS_BYTES / 8);
		for (const at of [2, 5, 8]) words[at]! -= BigInt(milliseconds) * 1_000_000n;
		limits.set(indexBytes(edge), new Uint8Array(words.buffer));
	}
}

/** Buckets told in words. Whoever has less than it could have gained while nobody looked is unsure. */
class Twin {
	/** Milliseconds that were passed by decree. */
	later = 0;
	unsure = false;
	readonly #buckets = new Map<string, Bucket & { tokens: number; seen: number }>();
	readonly #started = monotonicMs();

	set(edge: number, limits: EdgeLimits): void {
		for (const kind of ['tx', 'rx', 'slow'] as const) {
			const name = `${kind} ${edge}`;
			const limit = limits[kind];
			const before = this.#filled(name);
			if (!limit) this.#buckets.delete(name);
			else {
				const tokens = Math.min(limit.burst, before?.tokens ?? limit.burst);
				this.#buckets.set(name, { ...limit, tokens, seen: this.#now() });
			}
		}
	}

	judge(from: number, costs: readonly string[], length: number, forged: boolean): string {
		const rx = costs.find(cost => cost.startsWith('rx'));
		if (from !== EDGE_WIRE && !this.#take(`tx ${from}`, length)) return 'limit-tx';
		if (forged) return 'ip-spoof';
		const price = costs.includes('slow') ? 1 : costs.includes('slow, as DHCP') ? DHCP_PRICE : 0;
		const { burst = 0 } = this.#buckets.get(`slow ${from}`) ?? {};
		if (price > 0 && !this.#take(`slow ${from}`, Math.min(price, burst))) return 'slow-budget';
		// Who has too little for a copy gets none, and it is nobody's drop.
		if (costs.includes('a copy for the neighbour')) this.#take(`rx ${vm2.edge}`, length);
		const receiver = rx === 'rx of its own' ? vm1.edge : vm2.edge;
		return rx && !this.#take(`rx ${receiver}`, length) ? 'limit-rx' : 'passes';
	}

	state(): string {
		return [...this.#buckets].map(([name, { tokens }]) => `${name}: ${tokens.toFixed(3)}`).join(', ');
	}

	#take(name: string, cost: number): boolean {
		const bucket = this.#filled(name);
		if (!bucket) return true;
		// Nobody knows when exactly the kernel has looked at its clock.
		const doubt = (bucket.rate * (monotonicMs() - this.#started)) / 1000;
		if (Math.abs(bucket.tokens) <= doubt + 1e-3) this.unsure = true;
		if (bucket.tokens <= 0) return false;
		bucket.tokens -= cost;
		return true;
	}

	#filled(name: string): (Bucket & { tokens: number; seen: number }) | undefined {
		const bucket = this.#buckets.get(name);
		if (!bucket) return undefined;
		const now = this.#now();
		bucket.tokens = Math.min(bucket.burst, bucket.tokens + ((now - bucket.seen) * bucket.rate) / 1000);
		bucket.seen = now;
		return bucket;
	}

	#now(): number {
		return monotonicMs() + this.later;
	}
}
