/** The forwarder against its slow twin, and against what must never happen, on random ports with random frames. */
import test from 'ava';
import fc from 'fast-check';
import { forward } from '../../src/datapath/forward/forward.js';
import { EDGES_MAX } from '../../src/datapath/verdict.js';
import { parseMac } from '../../src/wire/ethernet.js';
import { vnetHeaderIsSane } from '../../src/wire/vnet-header.js';
import { byTopology, edgeOf } from '../cases/index.js';
import { oddities } from '../cases/oddities.js';
import { hex, readable } from '../helpers/describe.js';
import { internetChecksum } from '../helpers/frames.js';
import { NaiveForwarder } from '../helpers/naive-forwarder.js';
import { type Outcome, PurePort } from '../helpers/pure-port.js';
import { check } from '../helpers/seed.js';
import { MASTER, standardPort, vm1 } from '../helpers/world.js';
import { routedScenes, type Scene, scenes } from './random-port.js';

for (const [what, some] of [
	['on any port', scenes()],
	['with much to route', routedScenes()],
] as const)
	test(`the forwarder decides as its slow twin does, and every byte that leaves is the same: ${what}`, t => {
		check(
			t,
			fc.property(some, scene => {
				const twin = new NaiveForwarder(scene.topology);
				const settled = (out: Outcome['out']): void => {
					const expected = inWords({ verdict: '', final: '', out: twin.settle() });
					const is = inWords({ verdict: '', final: '', out });
					if (is !== expected) throw new Error(`settled: ${is}\ntwin: ${expected}`);
				};
				play(scene, settled, (event, outcome) => {
					const expected = twin.receive(event.ingress, event.frame, event.partial);
					// Whoever cuts a packet must complete its sum, and a random one says nothing of where it is.
					if (event.partial && expected.verdict === 'slow: fragment') return;
					if (inWords(outcome) === inWords(expected)) return;
					throw new Error(
						`${readable(event.frame)}forwarder: ${inWords(outcome)}\ntwin: ${inWords(expected)}`,
					);
				});
			}),
			1500,
		);
	});

test('what takes a second look, on every way, is decided as the twin does', t => {
	const wrong: string[] = [];
	// One after another on the same port: what one teaches, the next ones meet.
	for (const [topology, questions] of byTopology(oddities())) {
		const [port, twin] = [new PurePort(topology), new NaiveForwarder(topology)];
		for (const { name, from, frame } of questions) {
			const [is, expected] = [port, twin].map(each => {
				const outcome = each.receive(edgeOf(from), frame);
				const out = outcome.verdict === 'slow: claim' ? [...outcome.out, ...each.settle()] : outcome.out;
				return inWords({ ...outcome, out });
			});
			if (is !== expected) wrong.push(`${name}\n${readable(frame)}forwarder: ${is}\ntwin: ${expected}`);
		}
		port.close();
	}
	t.deepEqual(wrong, []);
});

test('nothing reaches the wire with a MAC that is not the master’s', t => {
	check(
		t,
		fc.property(scenes(), scene => {
			play(scene, nothing, ({ ingress }, { out }) => {
				for (const { edge, frame } of out) {
					if (edge === 0 && ingress > 1 && hex(frame.slice(6, 12)) !== MASTER.replaceAll(':', ''))
						throw new Error(readable(frame));
				}
			});
		}),
		300,
	);
});

test('nothing comes back to its sender but an answer in the host’s name, and `private` keeps slaves apart', t => {
	check(
		t,
		fc.property(scenes(), scene => {
			play(scene, nothing, ({ ingress, frame }, { final, out }) => {
				const toSlaves = out.filter(({ edge }) => edge > 1);
				const back =
					toSlaves.some(({ edge }) => edge === ingress) &&
					final !== 'slow: answer' &&
					!isComplaint(final, out);
				const across =
					scene.topology.flag === 'private' && ingress > 1 && toSlaves.some(({ edge }) => edge !== ingress);
				if (back || across) throw new Error(`${readable(frame)}${final}`);
			});
		}),
		300,
	);
});

test('a right ICMPv6 checksum stays right, whoever the frame goes to', t => {
	check(
		t,
		fc.property(scenes(), scene => {
			play(scene, nothing, ({ frame, partial }, { out }) => {
				if (partial || !hasRightChecksum(frame)) return;
				for (const copy of out) if (!hasRightChecksum(copy.frame)) throw new Error(readable(copy.frame));
			});
		}),
		300,
	);
});

test('arbitrary bytes neither throw nor are read past their end', t => {
	const state = standardPort();
	const types = fc.constantFrom([0x08, 0x00], [0x86, 0xdd], [0x08, 0x06], [0x81, 0x00]);
	const starts = fc.constantFrom([0x45], [0x4f], [0x60], [0, 1, 8, 0, 6, 4, 0, 1], []);
	const from = fc.constantFrom(MASTER, vm1.mac).map(mac => parseMac(mac));
	const bytes = fc.tuple(fc.uint8Array({ minLength: 0, maxLength: 160 }), from, types, starts, fc.nat(255));
	const poison = fc.uint8Array({ minLength: 64, maxLength: 64 });
	check(
		t,
		fc.property(
			bytes,
			poison,
			fc.constantFrom(0, 1, 2, 3, 4, 5),
			([random, mac, type, start, first], behind, ingress) => {
				const frame = random.slice();
				frame.set([first, 0, 0, 0, 0, 0xaa].slice(0, frame.length));
				const view = new DataView(frame.buffer);
				if (frame.length >= 14) {
					view.setUint16(6, mac.high);
					view.setInt32(8, mac.low);
					frame.set(type, 12);
					frame.set(start.slice(0, frame.length - 14), 14);
				}
				const alone = decided(state, frame, new Uint8Array(0), ingress);
				const inMemory = decided(state, frame, behind, ingress);
				if (alone !== inMemory) throw new Error(`${alone} without, ${inMemory} with other bytes behind`);
			},
		),
		3000,
	);
});

test('a virtio header of arbitrary bytes neither throws nor is judged by what lies behind the frame', t => {
	const bytes = fc.uint8Array({ minLength: 44, maxLength: 120 });
	/** Fields that get past the first checks: flags, type of segments, and where the checksum is. */
	const fields = fc.record({
		flags: fc.constantFrom(1, 1, 3, 0),
		gso: fc.constantFrom(0, 0, 1, 4, 5, 9),
		start: fc.nat(130),
		offset: fc.constantFrom(6, 16, 2),
	});
	const protocols = fc.constantFrom(6, 17, 0, 43, 60, 58);
	check(
		t,
		fc.property(
			bytes,
			fields,
			fc.boolean(),
			fc.constantFrom(0x0800, 0x86dd, 0x86dd, 0x0806),
			protocols,
			protocols,
			(memory, { flags, gso, start, offset }, wild, type, protocol, next) => {
				const near = memory.slice();
				if (!wild) near.set([flags, gso, 0, 0, 100, 0, start, 0, offset, 0]);
				if (near.length > 66) near.set([next, 0], 64);
				const longer = new Uint8Array(near.length + 600).fill(6);
				longer.set(near);
				const length = near.length - 10;
				const alone = vnetHeaderIsSane(new DataView(near.buffer), 10, length, type, protocol);
				if (alone !== vnetHeaderIsSane(new DataView(longer.buffer), 10, length, type, protocol))
					throw new Error('they differ');
			},
		),
		5000,
	);
});

/** @param settled what leaves when claims are decided: now and then, for as long as an address counts as new. */
function play(
	{ topology, events }: Scene,
	settled: (out: Outcome['out']) => void,
	see: (event: Scene['events'][number], outcome: Outcome) => void,
): void {
	const port = new PurePort(topology);
	const { now } = port;
	try {
		for (const [index, event] of events.entries()) {
			see(event, port.receive(event.ingress, event.frame, event.partial));
			if (index % 3 === 1 && port.now - now < NEW_MS) settled(port.settle());
		}
	} finally {
		port.close();
	}
}

/** Less than it takes until an address has been announced for good, and groups are known exactly (2 s). */
const NEW_MS = 1000;

function nothing(): void {}

/** One ICMP error about a frame that was dropped. */
function isComplaint(final: string, out: Outcome['out']): boolean {
	const [only] = out;
	const protocol = only && (only.frame[12] === 8 ? only.frame[23] : only.frame[20]);
	return final.startsWith('drop: ') && out.length === 1 && (protocol === 1 || protocol === 58);
}

function inWords({ verdict, final, out }: Outcome): string {
	return `${verdict}, ${final}\n${out.map(({ edge, frame }) => `${edge}: ${readable(frame)}`).join('')}`;
}

/** The verdict and what the frame became; throws if a byte behind it was changed. */
function decided(
	state: Parameters<typeof forward>[0],
	frame: Uint8Array,
	behind: Uint8Array,
	ingress: number,
): string {
	const memory = new Uint8Array(16 + frame.length + behind.length);
	memory.set(frame, 16);
	memory.set(behind, 16 + frame.length);
	const verdict = forward(state, new DataView(memory.buffer), 16, frame.length, ingress);
	if (hex(memory.slice(16 + frame.length)) !== hex(behind))
		throw new Error('bytes behind the frame were changed');
	const became = hex(memory.slice(16, 16 + frame.length));
	if ((verdict < 0 || verdict >= EDGES_MAX) && became !== hex(frame))
		throw new Error('changed though it goes nowhere');
	return `${verdict} ${became}`;
}

function hasRightChecksum(frame: Uint8Array): boolean {
	if (frame.length < 58 || hex(frame.slice(12, 15)) !== '86dd60' || frame[20] !== 58) return false;
	const message = frame.slice(54, 54 + (frame[18] as number) * 256 + (frame[19] as number));
	const length = [message.length >> 8, message.length & 0xff];
	return internetChecksum(Uint8Array.from([...frame.slice(22, 54), ...length, 0, 58, ...message])) === 0;
}
