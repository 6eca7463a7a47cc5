/** Who may call itself what, against a plain list of names. */
import test from 'ava';
import fc from 'fast-check';
import { Identities } from '../../src/datapath/slowpath/identities.js';
import { check } from '../helpers/seed.js';

const QUIET = 120_000;
const NAMES_MAX = 8;

const edges = fc.constantFrom(2, 4095);
const events = fc.array(
	fc.oneof(
		{
			weight: 12,
			arbitrary: fc.record({
				kind: fc.constant('claim' as const),
				edge: edges,
				name: fc.nat(40).map(number => `01${number}`),
				/** Seconds of a lease that follows, if one does. */
				lease: fc.option(fc.integer({ min: 1, max: 600 }), { nil: 0 }),
			}),
		},
		fc.record({ kind: fc.constant('forget' as const), edge: edges }),
		{ weight: 1, arbitrary: fc.record({ kind: fc.constant('wait' as const), seconds: fc.nat(200) }) },
	),
	{ maxLength: 100, size: 'max' },
);

test('a name is its first user’s, for as long as it is in use, and nobody has too many', t => {
	check(
		t,
		fc.property(events, list => {
			const identities = new Identities();
			let names: { name: string; edge: number; until: number }[] = [];
			let now = 1000;
			for (const event of list) {
				if (event.kind === 'wait') now += event.seconds * 1000;
				else if (event.kind === 'forget') {
					identities.forget(event.edge);
					names = names.filter(({ edge }) => edge !== event.edge);
				} else {
					const { edge, name, lease } = event;
					names = names.filter(({ until }) => until > now);
					const known = names.find(one => one.name === name);
					const full = names.filter(one => one.edge === edge).length >= NAMES_MAX;
					const may = known ? known.edge === edge : !full;
					const found = identities.claim(edge, name, now);
					if ((found !== undefined) !== may) throw new Error(`${edge} as ${name}: ${found}`);
					if (!found) continue;
					const one = known ?? { name, edge, until: 0 };
					if (!known) names.push(one);
					found.until = Math.max(found.until, now + lease * 1000);
					one.until = Math.max(one.until, now + QUIET, now + lease * 1000);
					if (found.edge !== edge || found.until !== one.until) throw new Error(`${found.until}`);
				}
			}
		}),
		300,
	);
});
