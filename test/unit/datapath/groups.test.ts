/** Asking guests for their groups, and what control hears of them, on a whole port with a clock of its own. */
import test from 'ava';
import type { Report } from '../../../src/datapath/messages.js';
import { mldReport, multicast6 } from '../../cases/traffic.js';
import { hex } from '../../helpers/describe.js';
import { ethernet, hopByHop, igmpReport, ipv4, octets, routerAlert } from '../../helpers/frames.js';
import { type Output, PurePort } from '../../helpers/pure-port.js';
import { standardTopology, vm1, vm2 } from '../../helpers/world.js';

const edge = 2;
const start = 1_000_000;

function port(): PurePort {
	const it = new PurePort(standardTopology());
	it.now = start - 1000;
	it.tick();
	it.reports.length = 0;
	it.now = start;
	return it;
}

/** IGMP and MLD queries among frames, as `edge family`. */
function queries(out: Output[]): string[] {
	return out.flatMap(({ edge: to, frame }) => {
		const type = hex(frame.slice(12, 14));
		if (type === '0800' && frame[23] === 2 && frame[38] === 0x11) return [`${to} IGMP`];
		if (type === '86dd' && frame[54] === 58 && frame[62] === 130) return [`${to} MLD`];
		return [];
	});
}

/** What control last heard of a slave's groups. */
function reported(it: PurePort): Extract<Report, { kind: 'groups' }> | undefined {
	const groups = it.reports.filter(report => report.kind === 'groups' && report.edge === edge);
	return groups.at(-1) as Extract<Report, { kind: 'groups' }> | undefined;
}

function joins(group: string): Uint8Array {
	return ethernet(
		{ source: vm1.mac, destination: '01:00:5e:00:00:16' },
		ipv4(
			{ source: vm1.ipv4, destination: '224.0.0.22', ttl: 1, options: routerAlert },
			igmpReport([{ type: 4, group }]),
		),
	);
}

test('a guest is asked when it comes, soon again, and then every 125 seconds; the wire never', t => {
	const it = port();
	const asked: [number, string][] = [];
	it.command({ kind: 'guest', edge, present: true });
	for (let ms = 0; ms <= 300_000; ms += 250) {
		it.now = start + ms;
		for (const query of queries(it.tick())) asked.push([ms, query]);
	}
	const both = (ms: number): [number, string][] => [
		[ms, `${edge} IGMP`],
		[ms, `${edge} MLD`],
	];
	t.deepEqual(asked, [0, 31_250, 156_250, 281_250].flatMap(both));
	it.command({ kind: 'guest', edge, present: false });
	it.now += 1_000_000;
	t.deepEqual(queries(it.tick()), []);
	it.close();
});

test("the host's link-local address asks, or one made of the master's MAC", t => {
	for (const [addresses, source] of [
		[['192.0.2.1', 'fe80::77'], 'fe80::77'],
		[['192.0.2.1'], 'fe80::ff:fe00:aa'],
	] as const) {
		const it = port();
		it.command({ kind: 'host-addresses', addresses: [...addresses] });
		it.command({ kind: 'guest', edge, present: true });
		const mld = it.tick().find(({ frame }) => frame[62] === 130);
		t.is(hex(mld!.frame.slice(22, 38)), hex(octets(source)));
		it.close();
	}
});

test('what QEMU tells needs no asking, counts at once, and when it ends the guest is asked', t => {
	const it = port();
	it.command({ kind: 'guest', edge, present: true });
	it.command({
		kind: 'rx-filter',
		edge,
		filter: { all: false, macs: ['01:00:5e:01:02:03', '33:33:00:00:00:01'] },
	});
	t.deepEqual(queries(it.tick()), []);
	const { inet, inet6 } = reported(it)!;
	t.deepEqual(
		[inet, inet6],
		[
			{ names: ['01:00:5e:01:02:03'], lows: [0x5e010203] },
			{ names: ['33:33:00:00:00:01'], lows: [1] },
		],
	);
	it.now += 1000;
	it.command({ kind: 'rx-filter', edge });
	t.deepEqual(queries(it.tick()), [`${edge} IGMP`, `${edge} MLD`]);
	t.is(reported(it)!.inet, 'all');
	it.close();
});

test('control is told of what a guest joins, not more often than twenty times a second', t => {
	const it = port();
	it.receive(edge, joins('239.1.2.3'));
	it.tick();
	t.deepEqual(reported(it)!.inet, { names: ['239.1.2.3'], lows: [0x5e010203] });
	t.is(reported(it)!.inet6, 'all', 'of the other family nothing is known');
	it.reports.length = 0;
	for (let count = 0; count < 40; count++) {
		it.now += 10;
		it.receive(edge, joins(`239.1.3.${count}`));
		it.tick();
	}
	t.true(it.reports.length >= 7 && it.reports.length <= 9, String(it.reports.length));
	it.close();
});

test('until a guest has had the time to answer, what it has not reported may be wanted', t => {
	const it = port();
	it.command({ kind: 'guest', edge, present: true });
	const send = () =>
		it
			.receive(0, multicast6({ ...vm2, mac: '02:00:00:00:00:99' }, 'ff05::1234'))
			.out.some(out => out.edge === edge);
	it.receive(
		edge,
		multicast6(vm1, 'ff02::16', {}, mldReport('ff02::fb'), { hopLimit: 1, extensions: [hopByHop] }),
	);
	t.true(send());
	it.now += 2000;
	it.tick();
	t.false(send());
	it.close();
});
