/** The four filters, run by a machine of our own, against what they are for in plain words. */
import test from 'ava';
import fc from 'fast-check';
import { type AddressKey, keyOf } from '../../src/datapath/address-key.js';
import { assemble, loadWord, ret } from '../../src/datapath/filter/classic-bpf.js';
import {
	masterDropFilter,
	masterRingFilter,
	slaveDropFilter,
	slaveRingFilter,
} from '../../src/datapath/filter/programs.js';
import { rangesOf, searchRanges } from '../../src/datapath/filter/search.js';
import { load } from '../helpers/classic-bpf-machine.js';
import { hex, readable } from '../helpers/describe.js';
import { PurePort } from '../helpers/pure-port.js';
import { check, numbers, seed } from '../helpers/seed.js';
import { scenes } from './random-port.js';

const DROP = 2;
const PASS = 0xffffffff;
const LONGEST = 4096;

const someNumbers = fc.array(
	fc.oneof(fc.nat(100), fc.nat(0xffffffff), fc.constantFrom(0, 1, 0xffffffff, 0xfffffffe, 0x80000000)),
	{ maxLength: 60 },
);

test('ranges hold every number, are sorted and apart, and are no more than asked for', t => {
	check(
		t,
		fc.property(someNumbers, fc.integer({ min: 1, max: 20 }), (list, most) => {
			const ranges = rangesOf(list, most);
			if (ranges.length > most) throw new Error(`${ranges.length} ranges`);
			for (const number of list)
				if (!ranges.some(({ first, last }) => first <= number && number <= last))
					throw new Error(`${number} is missing`);
			ranges.forEach(({ first, last }, index) => {
				if (first > last || first <= (ranges[index - 1]?.last ?? -2) + 1) throw new Error(`range ${index}`);
			});
		}),
		300,
	);
});

test('ranges without a limit hold nothing else', t => {
	check(
		t,
		fc.property(someNumbers, list => {
			const held = rangesOf(list).reduce((sum, { first, last }) => sum + last - first + 1, 0);
			return held === new Set(list).size;
		}),
		300,
	);
});

test('the search finds what lies in a range, and nothing beside it', t => {
	check(
		t,
		fc.property(someNumbers, someNumbers, (list, probes) => {
			const ranges = rangesOf(list);
			const machine = load(assemble([loadWord(0), ...searchRanges(ranges, [ret(1)], [ret(0)])]));
			const near = list.flatMap(number => [number, (number + 1) >>> 0, (number - 1) >>> 0]);
			for (const number of [...near, ...probes]) {
				const bytes = new Uint8Array(4);
				new DataView(bytes.buffer).setUint32(0, number);
				if ((machine({ bytes }) === 1) !== list.includes(number)) throw new Error(String(number));
			}
		}),
		200,
	);
});

test('a thousand scattered slaves fit, and each is heard', t => {
	const next = numbers(seed);
	t.log(`TEST_SEED=${seed}`);
	const ifindexes = Array.from({ length: 1000 }, () => next(1_000_000) + 1);
	const program = slaveRingFilter(ifindexes);
	t.true(program.length / 8 <= LONGEST, `${program.length / 8} instructions`);
	const machine = load(program);
	t.true(ifindexes.every(ifindex => machine({ bytes: new Uint8Array(14), ifindex }) > 65535));
	const few = load(slaveRingFilter(ifindexes.slice(0, 500)));
	const wrong = Array.from({ length: 3000 }, () => next(1_000_000) + 1).filter(
		ifindex =>
			few({ bytes: new Uint8Array(14), ifindex }) !== 0 && !ifindexes.slice(0, 500).includes(ifindex),
	);
	t.deepEqual(wrong, [], 'up to 600 ranges the filter is exact');
});

test('a filter for nobody takes nothing', t => {
	t.is(load(slaveRingFilter([]))({ bytes: new Uint8Array(60), ifindex: 7 }), 0);
	t.is(load(masterDropFilter([]))({ bytes: new Uint8Array(60) }), PASS);
});

test('nothing that a slave sends passes its TAP', t => {
	t.is(load(slaveDropFilter())({ bytes: new Uint8Array(0) }), DROP);
});

test('the programs for 256 addresses fit, whichever they are', t => {
	const next = numbers(seed);
	t.log(`TEST_SEED=${seed}`);
	const digits = () => next(0x10000).toString(16);
	const kinds: Record<string, () => string> = {
		'with the same last word': () => `2001:${digits()}:${digits()}:${digits()}:${digits()}:${digits()}::1`,
		'with few last words': () => `fe80::${digits()}:${digits()}:0:${next(4)}`,
		scattered: () => `2001:db8:${digits()}:${digits()}:${digits()}:${digits()}:${digits()}:${digits()}`,
		'of both families': () =>
			next(2) ? `10.${next(256)}.${next(256)}.${next(256)}` : `2001:db8::${digits()}:${digits()}`,
	};
	for (const [kind, make] of Object.entries(kinds)) {
		const keys = Array.from({ length: 256 }, make).map(keyOf);
		const drop = masterDropFilter(keys);
		const ring = masterRingFilter(keys);
		t.true(drop.length / 8 <= LONGEST, `${kind}: ${drop.length / 8} instructions`);
		t.true(ring.length / 8 <= LONGEST, `${kind}: ${ring.length / 8} instructions`);
		const [dropped, taken] = [load(drop), load(ring)];
		t.true(
			keys.every(key => dropped({ bytes: packetFor(key) }) === DROP),
			kind,
		);
		t.true(
			keys.every(key => taken({ bytes: packetFor(key) }) > 65535),
			kind,
		);
		const others = Array.from({ length: 256 }, make)
			.map(keyOf)
			.filter(key => !keys.some(({ bytes }) => text(bytes) === text(key.bytes)));
		t.true(
			others.every(key => dropped({ bytes: packetFor(key) }) === PASS),
			`${kind}: somebody else is dropped`,
		);
	}
});

test('the drop on the master is exact: guests’ frames, and not one of the host’s', t => {
	check(
		t,
		fc.property(scenes(6), fc.boolean(), ({ topology, events }, vlanTagged) => {
			const guests = topology.addresses.filter(({ edge }) => edge > 1).map(({ address }) => keyOf(address));
			const machine = load(masterDropFilter(guests));
			for (const { frame } of events) {
				const verdict = machine({ bytes: frame, vlanTagged });
				const expected = !vlanTagged && isForOneOf(guests, frame);
				// A program that reads past the end of a short packet gives 0, which is TC_ACT_OK.
				if ((verdict === DROP) !== expected || (verdict !== DROP && verdict !== PASS && verdict !== 0))
					throw new Error(`${verdict}: ${readable(frame)}`);
			}
		}),
		500,
	);
});

test('the ring of the master misses nothing that the forwarder would want', t => {
	check(
		t,
		fc.property(scenes(6), fc.integer({ min: 1, max: 4 }), ({ topology, events }, most) => {
			const port = new PurePort(topology);
			const guests = topology.addresses
				.filter(({ edge, address }) => edge > 1 && port.state.ownerOf(address) === edge)
				.map(({ address }) => keyOf(address));
			const machine = load(masterRingFilter(guests, most));
			try {
				for (const { frame, partial } of events) {
					if (frame.length < 14 || isCrossedSolicitation(frame)) continue;
					const wanted = port.receive(0, frame, partial).verdict !== 'ignore';
					if (wanted && machine({ bytes: frame }) === 0) throw new Error(readable(frame));
					if (machine({ bytes: frame, vlanTagged: true }) !== 0) throw new Error('a tagged frame');
				}
			} finally {
				port.close();
			}
		}),
		500,
	);
});

function text(bytes: DataView): string {
	return hex(new Uint8Array(bytes.buffer));
}

function packetFor(key: AddressKey): Uint8Array {
	const frame = new Uint8Array(60);
	frame.set(key.family === 4 ? [0x08, 0x00, 0x45] : [0x86, 0xdd, 0x60], 12);
	frame.set(new Uint8Array(key.bytes.buffer), key.family === 4 ? 30 : 38);
	return frame;
}

/** Untagged unicast IP for one of the addresses, or ARP about one. */
function isForOneOf(keys: readonly AddressKey[], frame: Uint8Array): boolean {
	const type = hex(frame.slice(12, 14));
	const places: Record<string, [number, number]> = { '0800': [30, 4], '86dd': [38, 16], '0806': [38, 4] };
	const place = places[type];
	if (!place) return false;
	const group = ((frame[0] ?? 0) & 1) === 1;
	if (group && type !== '0806') return false;
	const target = hex(frame.slice(place[0], place[0] + place[1]));
	return keys.some(key => text(key.bytes) === target);
}

/**
 * A solicitation sent to one unicast address that asks for another: no honest host makes one, the forwarder goes
 * by the target, and the ring's filter, which sees only the destination, may leave it to the host.
 */
function isCrossedSolicitation(frame: Uint8Array): boolean {
	const unicast = ((frame[0] as number) & 1) === 0 && frame[38] !== 0xff;
	return (
		unicast &&
		hex(frame.slice(12, 14)) === '86dd' &&
		frame[20] === 58 &&
		frame[54] === 135 &&
		hex(frame.slice(38, 54)) !== hex(frame.slice(62, 78))
	);
}
