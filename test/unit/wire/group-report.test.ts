/** Reports of IGMP and MLD as hosts send them, and as nobody should; and the queries that ask for them. */
import test from 'ava';
import fc from 'fast-check';
import { GroupRecords, MALFORMED_REPORT, NOT_A_REPORT } from '../../../src/wire/group-report.js';
import { readIgmpReport, writeIgmpQuery } from '../../../src/wire/igmp.js';
import { readMldReport, writeMldQuery } from '../../../src/wire/mld.js';
import { hex } from '../../helpers/describe.js';
import {
	bytesOf,
	destinationOptions,
	type Extension,
	type GroupRecord,
	hopByHop,
	icmpv6,
	igmp,
	igmpReport,
	internetChecksum,
	ipv4,
	ipv6,
	mldMessage,
	mldReportOf,
	octets,
	patched,
	raw,
	routerAlert,
	type Upper,
	udp,
} from '../../helpers/frames.js';
import { reportOf } from '../../helpers/naive-groups.js';
import { check } from '../../helpers/seed.js';

const group = '239.1.2.3';
const group6 = 'ff05::1:3';

function packet4(
	upper: Upper,
	header: { destination?: string; ttl?: number; options?: Uint8Array; fragment?: number } = {},
): Uint8Array {
	const usual = { source: '192.0.2.1', destination: '224.0.0.22', ttl: 1, options: routerAlert };
	return ipv4({ ...usual, ...header }, upper).bytes;
}

function packet6(
	upper: Upper,
	header: { source?: string; hopLimit?: number; extensions?: readonly Extension[] } = {},
): Uint8Array {
	const usual = { source: 'fe80::1', destination: 'ff02::16', hopLimit: 1, extensions: [hopByHop] };
	return ipv6({ ...usual, ...header }, upper).bytes;
}

/** In words: what was read. */
function read4(packet: Uint8Array): string {
	return read(packet, readIgmpReport, 4);
}

function read6(packet: Uint8Array): string {
	return read(packet, readMldReport, 16);
}

function read(packet: Uint8Array, reader: typeof readIgmpReport, width: number): string {
	const records = new GroupRecords();
	const count = reader(new DataView(packet.buffer, packet.byteOffset, packet.length), 0, records);
	if (count === NOT_A_REPORT) return 'no report';
	if (count === MALFORMED_REPORT) return 'malformed';
	return Array.from({ length: count }, (_, index) => {
		const at = records.at[index] as number;
		return `${records.joined[index] ? '+' : '-'}${hex(packet.slice(at, at + width))}`;
	}).join(' ');
}

const hex4 = hex(octets(group));
const hex6 = hex(octets(group6));

test('IGMP of versions 1 to 3, as hosts send it', t => {
	t.is(read4(packet4(igmp(group, 0x12), { destination: group, options: new Uint8Array(0) })), `+${hex4}`);
	t.is(read4(packet4(igmp(group, 0x16), { destination: group })), `+${hex4}`);
	t.is(read4(packet4(igmp(group, 0x17), { destination: '224.0.0.2' })), `-${hex4}`);
	const records: [GroupRecord, string][] = [
		[{ type: 1, group }, ''],
		[{ type: 1, group, sources: ['192.0.2.9'] }, `+${hex4}`],
		[{ type: 2, group }, `+${hex4}`],
		[{ type: 3, group }, `-${hex4}`],
		[{ type: 3, group, sources: ['192.0.2.9'] }, `+${hex4}`],
		[{ type: 4, group, sources: ['192.0.2.9', '192.0.2.8'] }, `+${hex4}`],
		[{ type: 5, group, sources: ['192.0.2.9'] }, `+${hex4}`],
		[{ type: 6, group, sources: ['192.0.2.9'] }, ''],
		[{ type: 99, group }, ''],
		[{ type: 4, group, auxiliary: 8 }, `+${hex4}`],
	];
	for (const [record, expected] of records)
		t.is(read4(packet4(igmpReport([record]))), expected, JSON.stringify(record));
	const all = records.map(([record]) => record);
	const expected = records.flatMap(([, words]) => (words === '' ? [] : [words])).join(' ');
	t.is(read4(packet4(igmpReport(all))), expected);
});

test('MLD of versions 1 and 2, as hosts send it', t => {
	t.is(read6(packet6(mldMessage(group6, 131))), `+${hex6}`);
	t.is(read6(packet6(mldMessage(group6, 132))), `-${hex6}`);
	t.is(read6(packet6(mldReportOf([{ type: 4, group: group6 }]), { source: '::' })), `+${hex6}`);
	const mixed = [
		{ type: 3, group: group6 },
		{ type: 2, group: 'ff02::fb', sources: ['fe80::9'], auxiliary: 4 },
	];
	t.is(read6(packet6(mldReportOf(mixed))), `-${hex6} +${hex(octets('ff02::fb'))}`);
});

test('what is no report', t => {
	t.is(read4(packet4(udp())), 'no report');
	t.is(read4(packet4(igmp('0.0.0.0', 0x11))), 'no report', 'a query');
	t.is(read4(packet4(igmp(group, 0x13))), 'no report', 'DVMRP');
	t.is(read6(packet6(udp())), 'no report');
	t.is(read6(packet6(mldMessage(group6, 130))), 'no report', 'a query');
	t.is(
		read6(packet6(mldMessage(group6), { extensions: [] })),
		'no report',
		'nobody who listens in would look',
	);
	t.is(read6(packet6(mldMessage(group6), { extensions: [hopByHop, destinationOptions] })), 'no report');
});

test('reports that break a rule are none to go by', t => {
	const whole = igmp(group, 0x16);
	const to = { destination: group };
	t.is(read4(packet4(whole, { ...to, ttl: 2 })), 'malformed', 'TTL');
	t.is(read4(packet4(whole, { ...to, options: new Uint8Array(0) })), 'malformed', 'no router alert');
	t.is(read4(packet4(whole, { ...to, options: Uint8Array.of(148, 4, 0, 1) })), 'malformed', 'another alert');
	t.is(read4(packet4(whole, { ...to, options: Uint8Array.of(0, 148, 4, 0) })), 'malformed', 'behind the end');
	t.is(
		read4(packet4(whole, { ...to, options: Uint8Array.of(1, 7, 9, 0) })),
		'malformed',
		'an option too long',
	);
	t.is(read4(packet4(whole, { destination: '239.9.9.9' })), 'malformed', 'sent astray');
	t.is(read4(packet4(whole, { ...to, fragment: 0x2000 })), 'malformed', 'a fragment');
	t.is(read4(patched(packet4(whole, to), 27, [1])), 'malformed', 'checksum');
	t.is(read4(packet4(raw(2, Uint8Array.of(0x16, 0, 0, 0)), to)), 'malformed', 'too short');
	t.is(read4(packet4(igmpReport([{ type: 4, group }], 2))), 'malformed', 'fewer records than it says');
	t.is(read4(packet4(igmpReport([{ type: 0, group }]))), 'malformed', 'type 0');
	t.is(read4(packet4(igmpReport(new Array(1201).fill({ type: 4, group })))), 'malformed', 'too many');
	t.is(read4(packet4(igmpReport(new Array(1200).fill({ type: 4, group })))).split(' ').length, 1200);
	// A record whose sources run past the end.
	const short = packet4(igmpReport([{ type: 4, group, sources: ['192.0.2.9'] }]));
	const lying = summed4(patched(short, 24 + 8 + 2, [0, 2]));
	t.is(read4(lying), 'malformed', 'sources past the end');

	const six = mldMessage(group6);
	t.is(read6(packet6(six, { hopLimit: 255 })), 'malformed');
	t.is(read6(packet6(six, { source: '2001:db8::1' })), 'malformed', 'a global source');
	const noAlert: Extension = { header: 0, build: next => Uint8Array.of(next, 0, 1, 4, 0, 0, 0, 0) };
	const otherAlert: Extension = { header: 0, build: next => Uint8Array.of(next, 0, 5, 2, 0, 1, 1, 0) };
	t.is(read6(packet6(six, { extensions: [noAlert] })), 'malformed');
	t.is(read6(packet6(six, { extensions: [otherAlert] })), 'malformed');
	t.is(read6(patched(packet6(six), 60, [7])), 'malformed', 'checksum');
	t.is(read6(packet6(icmpv6(131, new Uint8Array(12)))), 'malformed', 'too short');
	t.is(read6(packet6(mldReportOf([{ type: 4, group: group6 }], 9))), 'malformed');
});

test('arbitrary bytes are read as the slow twin reads them, and never past their end', t => {
	const alike = (frame: Uint8Array, reader: typeof readIgmpReport, width: number) => {
		const twin = reportOf(frame);
		const words = twin
			? (twin.records?.map(({ group: one, joined }) => `${joined ? '+' : '-'}${one}`).join(' ') ??
				'malformed')
			: 'no report';
		const packet = frame.slice(14);
		if (read(packet, reader, width) !== words) throw new Error(`${hex(packet)}: ${words}`);
	};
	const spoilt = fc.array(fc.tuple(fc.nat(80), fc.nat(255)), { maxLength: 3 });
	const wholes4 = fc.constantFrom(
		packet4(igmp(group), { destination: group }),
		packet4(
			igmpReport([
				{ type: 4, group },
				{ type: 3, group, sources: ['192.0.2.9'], auxiliary: 4 },
			]),
		),
	);
	const wholes6 = fc.constantFrom(
		packet6(mldMessage(group6)),
		packet6(
			mldReportOf([
				{ type: 4, group: group6 },
				{ type: 3, group: 'ff02::fb', auxiliary: 4 },
			]),
		),
	);
	check(
		t,
		fc.property(wholes4, wholes6, spoilt, fc.boolean(), (four, six, bytes, mend) => {
			for (const whole of [four, six]) {
				let packet = whole;
				for (const [at, byte] of bytes) if (at < packet.length) packet = patched(packet, at, [byte]);
				// What comes here has the lengths of its IP header checked.
				const isFour = whole === four;
				if (isFour && (packet[0] !== 0x46 || packet[2] !== whole[2] || packet[3] !== whole[3])) continue;
				if (!isFour && (packet[4] !== whole[4] || packet[5] !== whole[5])) continue;
				if (mend && isFour) packet = summed4(packet);
				const type = isFour ? [8, 0] : [0x86, 0xdd];
				alike(
					bytesOf(new Uint8Array(12), type, packet),
					isFour ? readIgmpReport : readMldReport,
					isFour ? 4 : 16,
				);
			}
		}),
		5000,
	);
});

test('queries: every byte of them', t => {
	const frame = new DataView(new ArrayBuffer(200));
	const source = { high: 0x021a, low: 2 };
	const four = writeIgmpQuery(frame, 20, source);
	t.is(
		hex(new Uint8Array(frame.buffer, 20, four)),
		'01005e000001021a000000020800' +
			'46c000240000400001020413' +
			'00000000e000000194040000110aec7800000000027d0000',
	);
	const address = new DataView(octets('fe80::1a').slice().buffer);
	const six = writeMldQuery(frame, 20, { ...source, address });
	const bytes = new Uint8Array(frame.buffer, 20, six);
	t.is(hex(bytes.slice(0, 18)), '333300000001021a0000000286dd60000000');
	t.is(hex(bytes.slice(18, 22)), '00240001');
	t.is(hex(bytes.slice(22, 54)), `${hex(octets('fe80::1a'))}${hex(octets('ff02::1'))}`);
	t.is(hex(bytes.slice(54, 62)), '3a00050200000100');
	t.is(hex(bytes.slice(62, 64)), '8200');
	t.is(hex(bytes.slice(66)), `03e80000${'00'.repeat(16)}027d0000`);
	const pseudo = bytesOf(bytes.slice(22, 54), [0, 0, 0, 28, 0, 0, 0, 58], bytes.slice(62));
	t.is(internetChecksum(pseudo), 0);
});

/** With its IGMP checksum put right again. */
function summed4(packet: Uint8Array): Uint8Array {
	const message = patched(packet.slice(24), 2, [0, 0]);
	const sum = internetChecksum(message);
	return patched(packet, 26, [sum >> 8, sum & 255]);
}
