/** Routes and neighbours against models that look through a list. */
import test from 'ava';
import fc from 'fast-check';
import { keyOf } from '../../src/datapath/address-key.js';
import { Fib } from '../../src/datapath/routing/fib.js';
import { NEIGHBOURS_MAX } from '../../src/datapath/routing/neighbours.js';
import { type Hop, hopVerdicts, Routing } from '../../src/datapath/routing/routing.js';
import { bytesOf, octets } from '../helpers/frames.js';
import { check } from '../helpers/seed.js';

/** Addresses that share long beginnings, so that prefixes of all lengths meet. */
const address4 = fc
	.tuple(fc.constantFrom(10, 192), fc.nat(1), fc.constantFrom(0, 127, 128, 255), fc.nat(3))
	.map(parts => parts.join('.'));
const address6 = fc
	.tuple(fc.constantFrom('2001:db8:', 'fd00:0:'), fc.constantFrom('0', '8000', 'ffff'), fc.nat(3), fc.nat(3))
	.map(([start, middle, a, b]) => `${start}${middle}:${a}::${b}`);

interface Entry {
	prefix: string;
	value: number;
}

function entries(address: fc.Arbitrary<string>, bits: number): fc.Arbitrary<(Entry & { put: boolean })[]> {
	const length = fc.oneof(fc.nat(bits), fc.constantFrom(0, bits / 4, bits / 2, bits - 1, bits));
	return fc.array(
		fc.record({
			prefix: fc.tuple(address, length).map(([text, count]) => `${text}/${count}`),
			value: fc.integer({ min: 1, max: 65_534 }),
			put: fc.nat(3).map(number => number > 0),
		}),
		{ maxLength: 40 },
	);
}

for (const [family, address, words] of [
	['IPv4', address4, 1],
	['IPv6', address6, 4],
] as const) {
	test(`the longest prefix wins: ${family}`, t => {
		check(
			t,
			fc.property(
				entries(address, words * 32),
				fc.array(address, { minLength: 1, maxLength: 30 }),
				(list, probes) => {
					const fib = new Fib(words, 0x1234567);
					const model = new Map<string, number>();
					for (const { prefix, value, put } of list) {
						const [text = '', length] = prefix.split('/');
						const name = bits(text).slice(0, Number(length));
						if (put) {
							fib.set(keyOf(text).words, Number(length), value);
							model.set(name, value);
						} else if (fib.delete(keyOf(text).words, Number(length)) !== model.delete(name))
							throw new Error(`delete ${prefix}`);
						if (fib.size !== model.size) throw new Error('size');
					}
					for (const probe of probes) {
						const key = keyOf(probe);
						const found = words === 1 ? fib.find(key.words[0] as number) : fib.find6(key.bytes, 0);
						if (found !== longest(model, probe)) throw new Error(`${probe}: ${found}`);
					}
				},
			),
			400,
		);
	});
}

test('routes lead where they say, however they come, change and go', t => {
	const hop: fc.Arbitrary<Hop> = fc
		.record({
			to: fc.constantFrom('wire' as const, 'host' as const, 'unreachable' as const, 'blackhole' as const),
			gateway: fc.constantFrom(undefined, '10.0.0.1', '10.0.0.2', 'fe80::1'),
			mtu: fc.constantFrom(undefined, 1280, 1400),
		})
		.map(({ to, gateway, mtu }) => ({
			to,
			...(gateway === undefined ? {} : { gateway }),
			...(mtu === undefined ? {} : { mtu }),
		}));
	const prefixes = ['0.0.0.0/0', '10.0.0.0/8', '10.0.0.0/16', '10.0.0.3/32', '192.0.0.0/4'];
	const change = fc.record({ prefix: fc.constantFrom(...prefixes), hop: fc.option(hop) });
	check(
		t,
		fc.property(fc.array(change, { maxLength: 60 }), changes => {
			const routing = new Routing(7, new Uint8Array(NEIGHBOURS_MAX));
			const model = new Map<string, Hop>();
			routing.neighbours.set('10.0.0.1', 1, '02:00:00:00:00:01');
			routing.neighbours.set('fe80::1', 2, '02:00:00:00:00:02');
			routing.neighbours.set('10.0.0.3', 3, '02:00:00:00:00:03');
			for (const { prefix, hop: wanted } of changes) {
				if (wanted === null) {
					routing.remove(prefix);
					model.delete(prefix);
				} else {
					routing.set(prefix, wanted);
					model.set(prefix, wanted);
				}
				const best = [...model]
					.filter(([name]) =>
						bits('10.0.0.3').startsWith(
							bits(name.split('/')[0] as string).slice(0, Number(name.split('/')[1])),
						),
					)
					.sort(([a], [b]) => Number(b.split('/')[1]) - Number(a.split('/')[1]))[0]?.[1];
				const address = keyOf('10.0.0.3').words[0] as number;
				const found = routing.find(packet4('192.0.2.9', '10.0.0.3'), 0);
				const expected = best === undefined ? hopVerdicts['no-route'] : hopVerdicts[best.to];
				if (routing.verdict(found) !== expected) throw new Error('verdict');
				if (routing.mtu(found) !== (best?.mtu ?? 0)) throw new Error('MTU');
				const slot = { '10.0.0.1': 1, '10.0.0.2': 0, 'fe80::1': 2 }[best?.gateway ?? ''] ?? 3;
				if (best !== undefined && routing.neighbour(found, address) !== slot) throw new Error('neighbour');
			}
		}),
		300,
	);
});

test('of several next hops a flow keeps to one, and many flows spread by weight; what is left behind is nothing', t => {
	const gateways = ['192.0.2.1', '192.0.2.3', 'fe80::1'];
	check(
		t,
		fc.property(
			fc.array(fc.integer({ min: 1, max: 8 }), { minLength: 2, maxLength: 3 }),
			fc.integer(),
			fc.nat(0xffff),
			(weights, seed, first) => {
				const routing = new Routing(seed, new Uint8Array(NEIGHBOURS_MAX));
				gateways.forEach((address, index) => {
					routing.neighbours.set(address, index + 1, `02:00:00:00:00:0${index + 1}`);
				});
				const of = weights.map((weight, index) => {
					const hop: Hop = { to: 'wire', gateway: gateways[index] as string, mtu: 1400 + index };
					return { hop, weight };
				});
				for (const prefix of ['0.0.0.0/0', '::/0', '10.0.0.0/8']) routing.set(prefix, { to: 'several', of });
				const total = weights.reduce((sum, weight) => sum + weight);
				for (const six of [false, true]) {
					const taken = weights.map(() => 0);
					for (let flow = first; flow < first + FLOWS; flow++) {
						// As in life: sources are neighbours, destinations differ in few bits.
						const [low, high] = [flow & 0xff, flow >> 8];
						const packet = six
							? packet6(`fd00::${low.toString(16)}`, `2001:db8::${high.toString(16)}`)
							: packet4(`192.0.2.${low}`, `198.51.${high >> 8}.${high & 0xff}`);
						const find = () => (six ? routing.find6(packet, 0) : routing.find(packet, 0));
						const hop = find();
						if (find() !== hop) throw new Error('a flow changed its hop');
						const index = routing.mtu(hop) - 1400;
						const slot = six ? routing.neighbour6(hop, packet, 24) : routing.neighbour(hop, 0);
						if (routing.verdict(hop) !== hopVerdicts.wire || slot !== index + 1) throw new Error('hop');
						(taken[index] as number)++;
					}
					// Five standard deviations of a fair choice.
					weights.forEach((weight, index) => {
						const share = weight / total;
						const error = 5 * Math.sqrt(FLOWS * share * (1 - share));
						if (Math.abs((taken[index] as number) - FLOWS * share) > error)
							throw new Error(`weights ${weights}: taken ${taken}, IPv${six ? 6 : 4}`);
					});
				}
				routing.set('10.0.0.0/8', { to: 'wire', gateway: '192.0.2.1', mtu: 1400 });
				for (const prefix of ['0.0.0.0/0', '::/0']) routing.remove(prefix);
				const alone = routing.find(packet4('192.0.2.9', '10.0.0.3'), 0);
				if (routing.mtu(alone) !== 1400 || routing.find(packet4('192.0.2.9', '8.8.8.8'), 0) !== 0)
					throw new Error('what is left');
			},
		),
		30,
	);
});

const FLOWS = 2000;

function packet4(source: string, destination: string): DataView {
	return view(bytesOf(new Uint8Array(12), octets(source), octets(destination)));
}

function packet6(source: string, destination: string): DataView {
	return view(bytesOf(new Uint8Array(8), octets(source), octets(destination)));
}

function view(bytes: Uint8Array): DataView {
	return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function bits(address: string): string {
	return Array.from(bytesOf(octets(address)), byte => byte.toString(2).padStart(8, '0')).join('');
}

function longest(model: ReadonlyMap<string, number>, address: string): number {
	const names = [...model.keys()].filter(name => bits(address).startsWith(name));
	const best = names.sort((a, b) => b.length - a.length)[0];
	return best === undefined ? 0 : (model.get(best) as number);
}
