/** The four filters, run by a machine of our own, against what they are for in plain words. */
import test from 'ava';
import fc from 'fast-check';
import { type AddressKey, keyOf } from '../../src/datapath/address-key.js';
import { assemble, loadWord, ret } from '../../src/datapath/filter/classic-bpf.js';
import {
	FRAME_MARK,
	guestGroupsFilter,
	hostGroupsFilter,
	masterDropFilter,
	masterQuestionsFilter,
	masterRingFilter,
	slaveDropFilter,
	slaveRingFilter,
} from '../../src/datapath/filter/programs.js';
import { rangesOf, searchRanges } from '../../src/datapath/filter/search.js';
import { parseMac } from '../../src/wire/ethernet.js';
import { arpRequest, multicast4, packet4, packet6, solicit } from '../cases/traffic.js';
import { load } from '../helpers/classic-bpf-machine.js';
import { hex, readable } from '../helpers/describe.js';
import { PurePort } from '../helpers/pure-port.js';
import { check, numbers, seed } from '../helpers/seed.js';
import { gateway, host, MASTER, vm1 } from '../helpers/world.js';
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

test('in l3s the master gives us questions about guests, and their packets to the host', t => {
	const machine = load(masterQuestionsFilter([vm1.ipv4, vm1.ipv6].map(keyOf)));
	const takes = (frame: Uint8Array): boolean => machine({ bytes: frame }) > 65535;
	const toMaster = { destination: MASTER };
	t.true(takes(arpRequest(gateway, vm1.ipv4, toMaster)));
	t.false(takes(arpRequest(gateway, host.ipv4, toMaster)));
	t.true(takes(solicit(gateway, vm1.ipv6, toMaster, { destination: vm1.ipv6 })));
	t.false(takes(solicit(gateway, host.ipv6, toMaster, { destination: host.ipv6 })));
	t.false(takes(packet4(gateway, vm1, toMaster)));
	t.false(takes(packet6(gateway, vm1, toMaster)));
	t.true(takes(multicast4(gateway, '224.0.0.251')));
	t.true(takes(multicast4(gateway, '224.0.0.251', toMaster)), 'as access points turn it into unicast');
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
		fc.property(scenes(6), tags, ({ topology, events }, tag) => {
			const guests = topology.addresses.filter(({ edge }) => edge > 1).map(({ address }) => keyOf(address));
			const machine = load(masterDropFilter(guests));
			for (const { frame } of events) {
				const verdict = machine({ bytes: frame, ...tag });
				const expected = !isOfVlan(tag) && isForOneOf(guests, frame);
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
		fc.property(scenes(6), tags, fc.integer({ min: 1, max: 4 }), ({ topology, events }, tag, most) => {
			const port = new PurePort(topology);
			const guests = topology.addresses
				.filter(({ edge, address }) => edge > 1 && port.state.ownerOf(address) === edge)
				.map(({ address }) => keyOf(address));
			const filter = topology.mode === 'l3s' ? masterQuestionsFilter : masterRingFilter;
			const machine = load(filter(guests, most));
			try {
				for (const { frame, partial } of events) {
					if (frame.length < 14 || isCrossedSolicitation(frame)) continue;
					const wanted = port.receive(0, frame, partial).verdict !== 'ignore';
					const taken = machine({ bytes: frame, ...tag }) !== 0;
					if (wanted && !taken && !isOfVlan(tag)) throw new Error(readable(frame));
					if (taken && isOfVlan(tag)) throw new Error('a tagged frame');
				}
			} finally {
				port.close();
			}
		}),
		500,
	);
});

test('with exact groups the ring takes these, those that nobody asks for, and no others', t => {
	const low = fc.oneof(fc.integer({ min: 0, max: 0x7fffff }), fc.nat(300));
	const mac4 = low.map(value => `01:00:5e:${pairs(value, 3)}`);
	const mac6 = fc.nat(0x7fffffff).map(value => `33:33:${pairs(value, 4)}`);
	const address = fc
		.nat(0xffffff)
		.map(value => `2001:db8::${(value >> 16).toString(16)}:${(value & 0xffff).toString(16)}`);
	check(
		t,
		fc.property(
			fc.array(fc.oneof(mac4, mac6), { maxLength: 64 }),
			fc.array(address, { maxLength: 20 }),
			fc.array(
				fc.oneof(mac4, mac6, fc.constantFrom('ff:ff:ff:ff:ff:ff', '01:80:c2:00:00:0e', '33:33:00:00:00:01')),
			),
			(groups, addresses, others) => {
				const machine = load(masterRingFilter(addresses.map(keyOf), 250, groups));
				const solicited = addresses.map(one => {
					const { bytes } = keyOf(one);
					return `33:33:ff:${pairs(bytes.getUint32(12) & 0xffffff, 3)}`;
				});
				for (const mac of [...groups, ...solicited, ...others]) {
					const wanted =
						[...groups, ...solicited, 'ff:ff:ff:ff:ff:ff', '33:33:00:00:00:01'].includes(mac) ||
						mac.startsWith('01:00:5e:00:00:');
					const bytes = new Uint8Array(60);
					bytes.set(mac.split(':').map(pair => Number.parseInt(pair, 16)));
					if (machine({ bytes }) > 0 !== wanted) throw new Error(`${mac}: ${wanted ? 'missed' : 'taken'}`);
					if (machine({ bytes, mark: FRAME_MARK }) > 0) throw new Error(`${mac}: our own`);
				}
			},
		),
		300,
	);
});

test('what the host says to groups, and its DHCP server to guests, is mirrored; what is its own affair is not', t => {
	const { high, low } = parseMac('02:00:00:00:00:aa');
	const machine = load(hostGroupsFilter({ high, low }));
	const guests = load(guestGroupsFilter(true));
	check(
		t,
		fc.property(scenes(12), ({ events }) => {
			for (const { frame } of events) {
				const mirrored = isForGuests(frame);
				if (machine({ bytes: frame }) > 0 !== mirrored) throw new Error(`${readable(frame)}${mirrored}`);
				if (machine({ bytes: frame, mark: FRAME_MARK }) > 0) throw new Error('our own');
				if (machine({ bytes: frame, vlanTagged: true }) > 0) throw new Error('a tagged frame');
				const type = frame.length > 13 ? hex(frame.slice(12, 14)) : '';
				const group = type !== '' && ((frame[0] as number) & 1) === 1 && (type === '0800' || type === '86dd');
				if (group && guests({ bytes: frame }) === 0) throw new Error(`${readable(frame)}stays behind`);
			}
		}),
		500,
	);
});

/** The same in words. */
function isForGuests(frame: Uint8Array): boolean {
	if (frame.length < 14) return false;
	const type = hex(frame.slice(12, 14));
	const group = ((frame[0] as number) & 1) === 1;
	const byte = (at: number): number => frame[at] ?? -1;
	if (type === '0800') {
		const udp = 14 + (byte(14) & 15) * 4;
		if (frame.length >= 82 && byte(23) === 17 && byte(udp + 2) === 0 && byte(udp + 3) === 68) {
			return group || hex(frame.slice(0, 6)) === '0200000000aa';
		}
		return frame.length >= 30 && group && byte(23) !== 2 && hex(frame.slice(26, 30)) !== '00000000';
	}
	if (type !== '86dd' || frame.length < 21 || byte(20) === 0) return false;
	if (byte(20) === 58 && (frame.length < 55 || byte(54) === 133 || byte(54) === 135)) return false;
	return group;
}

function pairs(value: number, bytes: number): string {
	return Array.from({ length: bytes }, (_, index) =>
		((value >>> (8 * (bytes - 1 - index))) & 255).toString(16).padStart(2, '0'),
	).join(':');
}

function text(bytes: DataView): string {
	return hex(new Uint8Array(bytes.buffer));
}

function packetFor(key: AddressKey): Uint8Array {
	const frame = new Uint8Array(60);
	frame.set(key.family === 4 ? [0x08, 0x00, 0x45] : [0x86, 0xdd, 0x60], 12);
	frame.set(new Uint8Array(key.bytes.buffer), key.family === 4 ? 30 : 38);
	return frame;
}

/** A priority, a VLAN, a VLAN with a priority; or what is left of one. */
const tags = fc.record({ tci: fc.constantFrom(0, 0xa000, 5, 0xa005), vlanTagged: fc.boolean() });

function isOfVlan({ tci, vlanTagged }: { tci: number; vlanTagged: boolean }): boolean {
	return vlanTagged && (tci & 0x0fff) !== 0;
}

/** Unicast IP for one of the addresses, or ARP about one. */
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
