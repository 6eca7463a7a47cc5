/** Frames that wait, against a plain list of them: who finds a place, what comes out in which order, and when it is late. */
import test from 'ava';
import fc from 'fast-check';
import { Pending, type Waiting } from '../../src/datapath/slowpath/pending.js';
import { VNET_HEADER } from '../../src/wire/vnet-header.js';
import { check } from '../helpers/seed.js';

const PATIENCE = 100;
const PER_ADDRESS = 16;

const edges = fc.constantFrom(2, 3, 4, 4095);
const addresses = fc.constantFrom('192.0.2.1', '192.0.2.2', 'fe80::1');
const events = fc.array(
	fc.oneof(
		{
			weight: 30,
			arbitrary: fc.record({ kind: fc.constant('park' as const), edge: edges, address: addresses }),
		},
		{ weight: 1, arbitrary: fc.record({ kind: fc.constant('take' as const), address: addresses }) },
		fc.record({ kind: fc.constant('leave' as const), edge: edges }),
		fc.record({ kind: fc.constant('wait' as const), ms: fc.integer({ min: 1, max: 60 }) }),
	),
	{ maxLength: 120, size: 'max' },
);

test('what waits is what the list says, byte for byte', t => {
	check(
		t,
		fc.property(events, fc.constantFrom(6, 200), (list, places) => {
			const pending = new Pending({ places, patience: PATIENCE });
			let waiting: { number: number; edge: number; address: string; until: number }[] = [];
			let now = 1000;
			const same = (what: string, found: unknown, wanted: unknown): void => {
				if (JSON.stringify(found) !== JSON.stringify(wanted))
					throw new Error(`${what}: ${found}, not ${wanted}`);
			};
			const leave = (taken: readonly Waiting[], gone: (one: (typeof waiting)[number]) => boolean): void => {
				const numbers = taken.map(({ at }) => pending.region.frame.getUint32(at)).sort((a, b) => a - b);
				same(
					'taken',
					numbers,
					waiting.filter(gone).map(({ number }) => number),
				);
				for (const one of taken) pending.giveBack(one);
				waiting = waiting.filter(one => !gone(one));
			};
			try {
				for (const [number, event] of list.entries()) {
					if (event.kind === 'wait') now += event.ms;
					else if (event.kind === 'take')
						leave(pending.take(event.address), ({ address }) => address === event.address);
					else if (event.kind === 'leave')
						leave(pending.takeFrom(event.edge), ({ edge }) => edge === event.edge);
					else {
						const { edge, address } = event;
						const frame = new DataView(new ArrayBuffer(VNET_HEADER + 60));
						frame.setUint32(VNET_HEADER, number);
						const others = waiting.filter(one => one.address === address);
						const held = waiting.filter(one => one.edge === edge).length;
						const fits = held < places - waiting.length && others.length < PER_ADDRESS;
						const parked = pending.park(frame, VNET_HEADER, 60, edge, address, now);
						same('parked', parked, fits && (others.length === 0 ? 'first' : 'more'));
						const until = others[0]?.until ?? now + PATIENCE;
						if (fits) waiting.push({ number, edge, address, until });
					}
					const late = waiting.filter(({ until }) => until <= now).map(({ address }) => address);
					same('late', pending.overdue(now).sort(), [...new Set(late)].sort());
					same(
						'due',
						pending.nextDue() ?? null,
						waiting.length === 0 ? null : Math.min(...waiting.map(one => one.until)),
					);
				}
			} finally {
				pending.close();
			}
		}),
		300,
	);
});
