/** What is known of slaves' groups, as time goes by, against a model that keeps every event and looks back. */
import test from 'ava';
import fc from 'fast-check';
import {
	GROUPS_MAX,
	Groups,
	HIGH_4,
	HIGH_6,
	MEMBERSHIP_MS,
	type RxFilter,
	SETTLE_MS,
} from '../../src/datapath/groups.js';
import { octets } from '../helpers/frames.js';
import { check } from '../helpers/seed.js';

type Event = { at: number; edge: number } & (
	| { kind: 'open'; settles: boolean }
	| { kind: 'close' }
	| { kind: 'join' | 'leave'; group: string }
	| { kind: 'filter'; filter: RxFilter | undefined }
);

const groups = [
	'239.1.2.3',
	'224.129.2.3',
	'224.0.0.251',
	'192.0.2.1',
	'ff02::fb',
	'ff05::fb',
	'ff02::1:ff00:1',
	'fe80::1',
];
const edges = [2, 3, 700];

function events(): fc.Arbitrary<Event[]> {
	const mac = fc.constantFrom(
		'01:00:5e:01:02:03',
		'01:00:5e:00:00:fb',
		'33:33:00:00:00:fb',
		'01:80:c2:00:00:0e',
	);
	const filter = fc.record({ all: fc.boolean(), macs: fc.uniqueArray(mac) });
	const what = fc.oneof(
		{ weight: 1, arbitrary: fc.record({ kind: fc.constant('open' as const), settles: fc.boolean() }) },
		{ weight: 1, arbitrary: fc.record({ kind: fc.constant('close' as const) }) },
		{
			weight: 8,
			arbitrary: fc.record({ kind: fc.constant('join' as const), group: fc.constantFrom(...groups) }),
		},
		{
			weight: 4,
			arbitrary: fc.record({ kind: fc.constant('leave' as const), group: fc.constantFrom(...groups) }),
		},
		{
			weight: 1,
			arbitrary: fc.record({
				kind: fc.constant('filter' as const),
				filter: fc.option(filter, { nil: undefined }),
			}),
		},
	);
	const step = fc.tuple(fc.oneof(fc.nat(500), fc.nat(MEMBERSHIP_MS)), fc.constantFrom(...edges), what);
	return fc.array(step, { maxLength: 40 }).map(steps => {
		let at = 1;
		return steps.map(([wait, edge, event]) => {
			at += wait;
			return { at, edge, ...event };
		});
	});
}

test('at every moment the table says what the history says', t => {
	check(
		t,
		fc.property(events(), history => {
			const tested = new Groups();
			let due = Number.POSITIVE_INFINITY;
			const until = (now: number) => {
				// As the slow path does: at the moments that it was told, and no others.
				while (due <= now) {
					const moment = due;
					due = tested.expire(moment) ?? Number.POSITIVE_INFINITY;
					if (due <= moment) throw new Error(`due at ${due} again`);
				}
			};
			history.forEach((event, index) => {
				until(event.at);
				apply(tested, event);
				due = Math.min(due, tested.expire(event.at) ?? Number.POSITIVE_INFINITY);
				compare(tested, history.slice(0, index + 1), event.at);
			});
			const last = history.at(-1)?.at ?? 0;
			for (const later of [1, SETTLE_MS, MEMBERSHIP_MS - 1, MEMBERSHIP_MS, 2 * MEMBERSHIP_MS]) {
				until(last + later);
				compare(tested, history, last + later);
			}
		}),
		600,
	);
});

function apply(tested: Groups, event: Event): void {
	const { edge, at } = event;
	if (event.kind === 'open') tested.open(edge, event.settles ? at + SETTLE_MS : 0);
	else if (event.kind === 'close') tested.close(edge);
	else if (event.kind === 'filter') tested.setFilter(edge, event.filter);
	else {
		const bytes = octets(event.group).slice();
		const frame = new DataView(bytes.buffer);
		const family = bytes.length === 4 ? 4 : 6;
		if (event.kind === 'join') tested.join(edge, family, frame, 0, at);
		else tested.leave(edge, family, frame, 0);
		tested.heard(edge, family);
	}
}

function compare(tested: Groups, history: readonly Event[], now: number): void {
	for (const edge of edges) {
		for (const family of [4, 6] as const) {
			const expected = wanted(history, edge, family, now);
			const all = (family === 4 ? tested.all4 : tested.all6)[edge] === 1;
			if (all !== (expected === 'all')) throw new Error(`${now}: ${edge}, IPv${family}: all is ${all}`);
			const macs = ['01:00:5e:01:02:03', '01:00:5e:00:00:fb', '33:33:00:00:00:fb', '33:33:ff:00:00:01'];
			for (const mac of macs) {
				const isFour = mac.startsWith('01');
				if (isFour !== (family === 4)) continue;
				const low = Number.parseInt(mac.replaceAll(':', '').slice(4), 16) | 0;
				const member = tested.members(isFour ? HIGH_4 : HIGH_6, low)?.has(edge) ?? false;
				const should = expected !== 'all' && expected.has(mac);
				if (member !== should) throw new Error(`${now}: ${edge}: ${mac} is ${member}`);
			}
		}
	}
}

/** From the beginning, each time. */
function wanted(history: readonly Event[], edge: number, family: 4 | 6, now: number): 'all' | Set<string> {
	let open = false;
	let settled = 0;
	let filter: RxFilter | undefined;
	let known = false;
	let members = new Map<string, number>();
	const age = (moment: number) => {
		const left = new Map([...members].filter(([, joined]) => joined + MEMBERSHIP_MS > moment));
		if (left.size === 0 && members.size > 0) known = false;
		members = left;
	};
	// Membership by membership: when the last of several ends, so does what is known.
	const ends = () => [...members.values()].map(joined => joined + MEMBERSHIP_MS).sort((a, b) => a - b);
	const pass = (moment: number) => {
		for (const end of ends()) if (end <= moment) age(end);
	};
	for (const event of history.filter(one => one.edge === edge)) {
		pass(event.at);
		if (event.kind === 'open') {
			if (!open) filter = undefined;
			open = true;
			settled = event.settles ? event.at + SETTLE_MS : 0;
			known = false;
			members = new Map();
		} else if (event.kind === 'close') open = false;
		else if (!open) continue;
		else if (event.kind === 'filter') filter = event.filter;
		else if (event.group.includes(':') === (family === 6)) {
			known = true;
			const isGroup = /^(2[23]\d\.|ff)/.test(event.group);
			if (event.kind === 'leave') members.delete(event.group);
			else if (isGroup) members.set(event.group, event.at);
		}
	}
	pass(now);
	if (!open) return 'all';
	if (filter) return filter.all ? 'all' : new Set(filter.macs);
	if (!known || now < settled) return 'all';
	return new Set([...members.keys()].map(macOf));
}

function macOf(group: string): string {
	const bytes = octets(group);
	const pairs = (list: Uint8Array) => Array.from(list, byte => byte.toString(16).padStart(2, '0')).join(':');
	if (bytes.length === 16) return `33:33:${pairs(bytes.slice(12))}`;
	return `01:00:5e:${pairs(Uint8Array.of((bytes[1] as number) & 127, bytes[2] as number, bytes[3] as number))}`;
}

test('beyond the quota a slave gets all, for as long as a membership lasts', t => {
	const tested = new Groups();
	tested.open(2);
	const join = (number: number, now: number) => {
		tested.join(2, 4, new DataView(Uint8Array.of(239, 1, number >> 8, number & 255).buffer), 0, now);
		tested.heard(2, 4);
	};
	for (let number = 0; number < GROUPS_MAX; number++) join(number, 1);
	t.is(tested.all4[2], 0);
	t.is(tested.refused(2), 0);
	join(0, 2);
	t.is(tested.all4[2], 0, 'one that it has already');
	join(GROUPS_MAX, 1000);
	t.is(tested.all4[2], 1);
	t.is(tested.refused(2), 1);
	t.is(tested.all6[2], 1);
	tested.expire(1000 + MEMBERSHIP_MS - 1);
	t.is(tested.all4[2], 1);
	tested.expire(1000 + MEMBERSHIP_MS);
	t.is(tested.all4[2], 1, 'all have aged: nothing is known');
	t.is(tested.wanted(2, 4), 'all');
});

test('a report counts as a whole, when all of its records have been read: a thousand cost one look at the table', t => {
	const tested = new Groups();
	tested.open(2);
	tested.heard(2, 4);
	const mdns = new DataView(Uint8Array.of(224, 0, 0, 251).buffer);
	const low = 0x5e0000fb;
	tested.join(2, 4, mdns, 0, 1);
	t.is(tested.members(HIGH_4, low), undefined);
	tested.leave(2, 4, mdns, 0);
	tested.join(2, 4, mdns, 0, 1);
	tested.heard(2, 4);
	t.true(tested.members(HIGH_4, low)?.has(2));
	t.deepEqual(tested.wanted(2, 4), { names: ['224.0.0.251'], lows: [low] });
});
