/** The committed eBPF object is what its source compiles to, and lies in memory as the TypeScript side thinks. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import test from 'ava';
import { DHCP_PRICE } from '../../../src/datapath/limits.js';
import { dropReasons } from '../../../src/datapath/verdict.js';
import {
	listenerBytes,
	mapShapes,
	ownerBytes,
	portBytes,
	seatBytes,
	senderBytes,
} from '../../../src/offload/tc-bpf/layout.js';

const folder = fileURLToPath(new URL('../../../../bpf/', import.meta.url));
const header = readFileSync(join(folder, 'port.h'), 'utf8');

test('the object beside the source is what the source compiles to', t => {
	const into = mkdtempSync(join(tmpdir(), 'ipvtap-bpf-'));
	t.teardown(() => rmSync(into, { recursive: true }));
	const object = join(into, 'ipvtap.bpf.o');
	execFileSync(join(folder, 'build.sh'), [object], { stdio: ['ignore', 'ignore', 'inherit'] });
	const same = readFileSync(object).equals(readFileSync(join(folder, 'ipvtap.bpf.o')));
	t.true(same, 'run bpf/build.sh, and commit what it makes');
});

test('C structures have the sizes that maps are made with', t => {
	const sizes = {
		port: 'port',
		senders: 'sender',
		owners4: 'owner',
		dropped: 'drops',
		entered: 'traffic',
		sent: 'traffic',
		seats: 'seat',
		held: 'held',
		routes4: 'hop',
		routes6: 'hop',
		neighbours: 'neighbour',
		decided: 'decision',
	};
	const source = `#include <linux/types.h>\n#include "${folder}port.h"\n${Object.entries(sizes)
		.map(
			([map, name]) =>
				`_Static_assert(sizeof(struct ${name}) == ${mapShapes[map as 'port'].value}, "${name}");`,
		)
		.join('\n')}`;
	t.notThrows(() =>
		execFileSync('clang-14', ['-xc', '-fsyntax-only', '-'], {
			input: source,
			stdio: ['pipe', 'ignore', 'inherit'],
		}),
	);
});

test('drop reasons have the numbers that the forwarder gives them', t => {
	const numbers = /\/\* Indices into `dropReasons`[^{]*enum \{([^}]*)\}/.exec(header)?.[1] ?? '';
	const named = [...numbers.matchAll(/(\w+) = (\d+)/g)];
	t.true(named.length > 10);
	for (const [, name, number] of named)
		t.is(dropReasons[Number(number)], name!.toLowerCase().replaceAll('_', '-') as never);
});

test('a DHCP message costs what the forwarder takes for it', t => {
	t.is(Number(/#define DHCP_PRICE (\d+)/.exec(header)?.[1]), DHCP_PRICE);
});

test('values lie as C reads them', t => {
	const mac = '52:54:00:00:00:11';
	const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
	t.is(hex(ownerBytes({ edge: 2, ifindex: 7, mac })), `07000000${'525400000011'}0200`);
	t.is(hex(senderBytes({ edge: 2, mac, learns: true })), `5254000000110200${'01000000'}`);
	const port = {
		master: 1,
		host: 2,
		punt: 3,
		mtu: 4,
		flag: 'vepa',
		slaves: 5,
		mac,
		nominated: true,
		seats: 6,
	} as const;
	t.is(
		hex(portBytes(port)),
		`010000000200000003000000040000000200000005000000${'525400000011'}0100${'06000000'}`,
	);
	const wishes = { ipv4: 2, allIpv4: false, allIpv6: true, exact: true };
	t.is(hex(seatBytes({ edge: 2, ifindex: 7, limited: true, ...wishes })), '0700000002400b00');
	t.is(hex(listenerBytes(0x3333, 0xfb, 2)), '3333000000fb0200');
});
