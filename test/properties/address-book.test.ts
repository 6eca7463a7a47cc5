import test from 'ava';
import fc from 'fast-check';
import { AddressBook, GRANTED, TENTATIVE } from '../../src/datapath/address-book.js';
import { keyOf } from '../../src/datapath/address-key.js';
import { dropReasons } from '../../src/datapath/verdict.js';
import { hex } from '../helpers/describe.js';
import { octets } from '../helpers/frames.js';
import { NaiveBook } from '../helpers/naive-book.js';
import { check } from '../helpers/seed.js';

const pool = [
	'192.0.2.1',
	'192.0.2.2',
	'192.0.2.3',
	'192.0.2.4',
	'192.0.2.5',
	'fe80::1',
	'fe80::2',
	'fe80::3',
	'2001:db8::1',
	'2001:db8::2',
];
const addresses = fc.constantFrom(...pool);
const seconds = fc.integer({ min: 1, max: 9 });
const edges = fc.integer({ min: 2, max: 4 });

const commands = fc.array(
	fc.oneof(
		fc.record({
			kind: fc.constant('claim' as const),
			edge: edges,
			address: addresses,
			tentative: fc.boolean(),
		}),
		fc.record({
			kind: fc.constant('claim' as const),
			edge: edges,
			address: addresses,
			tentative: fc.boolean(),
		}),
		fc.record({ kind: fc.constant('confirm' as const), address: addresses }),
		fc.record({ kind: fc.constant('assign' as const), edge: edges, address: addresses }),
		fc.record({ kind: fc.constant('lease' as const), edge: edges, address: addresses, seconds }),
		fc.record({ kind: fc.constant('gateways' as const), addresses: fc.subarray(pool, { maxLength: 2 }) }),
		fc.record({ kind: fc.constant('foreign' as const), address: addresses, seconds }),
		fc.record({ kind: fc.constant('expire' as const), seconds }),
		fc.record({ kind: fc.constant('release' as const), address: addresses }),
		fc.record({ kind: fc.constant('releaseAll' as const), edge: edges }),
		fc.record({ kind: fc.constant('host' as const), addresses: fc.subarray(pool) }),
	),
	{ maxLength: 60 },
);

test('the address book decides as the slow model does, and what it says adds up to what it holds', t => {
	check(
		t,
		fc.property(
			commands,
			fc.integer({ min: 1, max: 3 }),
			fc.integer({ min: 1, max: 3 }),
			(list, four, six) => {
				const quota = { 4: four, 6: six };
				const model = new NaiveBook(quota);
				const said = new Map<string, number>();
				const book = new AddressBook(({ address, edge, tentative }, change) => {
					if (tentative && change === 'removed' && !said.has(address)) return;
					if (change !== 'added' && said.get(address) !== edge)
						throw new Error(`${address} was not ${edge}'s`);
					if (change === 'added' && said.has(address)) throw new Error(`${address} was not free`);
					if (change === 'added') said.set(address, edge);
					if (change === 'removed') said.delete(address);
				}, quota);
				for (const command of list) {
					const [mine, theirs] = obey(book, model, command);
					if (mine !== theirs) throw new Error(`${command.kind}: ${mine}, should be ${theirs}`);
					for (const address of pool) {
						const digits = hex(octets(address));
						const owner = model.ownerOf(digits);
						if ((said.get(address) ?? 0) !== owner) throw new Error(`${address} should be ${owner}'s`);
						const [is, should] = [book.holderOf(address), model.holderOf(digits)];
						if (is?.edge !== should?.edge || (is?.tentative === true) !== (should?.tentative === true))
							throw new Error(`${address} should be held by ${should?.edge}`);
					}
				}
			},
		),
		400,
	);
});

function reason(verdict: number): string {
	if (verdict === TENTATIVE) return 'tentative';
	return verdict === GRANTED ? '' : (dropReasons[-verdict] as string);
}

type Command = (typeof commands extends fc.Arbitrary<infer List> ? List : never) extends (infer One)[]
	? One
	: never;

/** @returns what both say about it. */
function obey(book: AddressBook, model: NaiveBook, command: Command): [unknown, unknown] {
	const family = (address: string) => keyOf(address).family;
	const digits = (address: string) => hex(octets(address));
	switch (command.kind) {
		case 'claim':
			return [
				reason(book.claim(command.edge, command.address, family(command.address), command.tentative)),
				model.claim(command.edge, digits(command.address), command.tentative),
			];
		case 'confirm':
			return [book.confirm(command.address), model.confirm(digits(command.address))];
		case 'lease':
			return [
				book.lease(command.edge, command.address, family(command.address), command.seconds),
				model.lease(command.edge, digits(command.address), command.seconds),
			];
		case 'gateways':
			model.gateways = command.addresses.map(digits);
			return [book.setGateways(command.addresses), undefined];
		case 'foreign':
			return [
				book.setForeign(command.address, command.seconds),
				model.setForeign(digits(command.address), command.seconds),
			];
		case 'expire':
			return [book.expire(command.seconds), model.expire(command.seconds)];
		case 'assign':
			return [
				book.assign(command.edge, command.address, family(command.address)) === undefined,
				model.assign(command.edge, digits(command.address)),
			];
		case 'release':
			return [book.release(command.address), model.release(digits(command.address))];
		case 'releaseAll':
			return [book.releaseAll(command.edge), model.releaseAll(command.edge)];
		case 'host':
			return [
				book.setHost(command.addresses.map(address => ({ address, family: family(address) }))),
				model.setHost(command.addresses.map(digits)),
			];
	}
}
