import test from 'ava';
import fc from 'fast-check';
import {
	formatCommand,
	LineReader,
	lineBytesMax,
	ProtocolError,
	parseMessage,
	type QmpMessage,
} from '../../../qemu/qmp/protocol.js';

/** As QEMU 7.2 says them. */
const messages: [line: string, expected: QmpMessage][] = [
	[
		'{"QMP": {"version": {"qemu": {"micro": 22, "minor": 2, "major": 7}, "package": "Debian"}, "capabilities": ["oob"]}}',
		{ kind: 'greeting', version: '7.2.22' },
	],
	['{"return": {}, "id": "ipvtap-1"}', { kind: 'return', id: 'ipvtap-1', value: {} }],
	['{"return": [1, null], "id": {"a": 1}}', { kind: 'return', id: { a: 1 }, value: [1, null] }],
	['{"return": null}', { kind: 'return', id: undefined, value: null }],
	[
		'{"id": "x", "error": {"class": "DeviceNotFound", "desc": "Device \'x\' not found"}}',
		{ kind: 'error', id: 'x', errorClass: 'DeviceNotFound', description: "Device 'x' not found" },
	],
	[
		'{"error": {"class": "GenericError", "desc": "JSON parse error"}}',
		{ kind: 'error', id: undefined, errorClass: 'GenericError', description: 'JSON parse error' },
	],
	[
		'{"timestamp": {"seconds": 1, "microseconds": 2}, "event": "DEVICE_DELETED", "data": {"device": "nic-a", "path": "/x"}}',
		{ kind: 'event', event: 'DEVICE_DELETED', data: { device: 'nic-a', path: '/x' } },
	],
	['{"event": "STOP"}\r', { kind: 'event', event: 'STOP', data: {} }],
	[
		'{"return": {"__proto__": {"polluted": 1}}, "id": "x"}',
		{ kind: 'return', id: 'x', value: JSON.parse('{"__proto__": {"polluted": 1}}') },
	],
];

for (const [line, expected] of messages) {
	test(`understood: ${line.slice(0, 60)}`, t => {
		t.deepEqual(parseMessage(line), expected);
		t.is(({} as { polluted?: number }).polluted, undefined);
	});
}

const nonsense = [
	'hello',
	'{',
	'null',
	'7',
	'"return"',
	'[]',
	'[{"return": {}}]',
	'{}',
	'{"id": 1}',
	'{"QMP": {}}',
	'{"QMP": {"version": {"qemu": {"major": "7", "minor": 2, "micro": 0}}, "capabilities": []}}',
	'{"error": "no"}',
	'{"error": {"class": 1, "desc": "x"}}',
	'{"event": 5}',
	'{"event": "X", "data": []}',
	"QEMU 7.2.22 monitor - type 'help' for more information",
	'SSH-2.0-OpenSSH_9.2',
	'\u0000\u0001\u0002',
	`${'['.repeat(200_000)}`,
];

for (const line of nonsense) {
	test(`not QMP: ${JSON.stringify(line.slice(0, 60))}`, t => {
		const error = t.throws(() => parseMessage(line), { instanceOf: ProtocolError });
		t.true(error.message.length < 120);
		t.notRegex(error.message, /[\n\r\0]/);
	});
}

test('blank lines are nothing', t => {
	for (const line of ['', '\r', '  \t']) t.is(parseMessage(line), undefined);
});

test('arbitrary text is a message or a ProtocolError, nothing else', t => {
	fc.assert(
		fc.property(fc.oneof(fc.string({ unit: 'binary' }), fc.json()), line => {
			try {
				parseMessage(line);
			} catch (error) {
				t.true(error instanceof ProtocolError);
			}
		}),
	);
	t.pass();
});

test('near misses of real messages are a message or a ProtocolError', t => {
	const real = fc.constantFrom(...messages.map(([line]) => line));
	fc.assert(
		fc.property(real, fc.nat(), fc.string({ unit: 'binary', maxLength: 3 }), (line, place, junk) => {
			const at = place % line.length;
			try {
				parseMessage(line.slice(0, at) + junk + line.slice(at + junk.length));
			} catch (error) {
				t.true(error instanceof ProtocolError);
			}
		}),
		{ numRuns: 1000 },
	);
	t.pass();
});

test('lines are the same however they are cut into chunks', t => {
	const text = fc.array(fc.string({ unit: 'grapheme' }).map(line => line.replaceAll('\n', ' ')));
	fc.assert(
		fc.property(text, fc.array(fc.integer({ min: 1, max: 9 })), (lines, sizes) => {
			const bytes = Buffer.from(lines.map(line => `${line}\n`).join(''));
			const reader = new LineReader();
			const got: string[] = [];
			for (let at = 0, turn = 0; at < bytes.length; turn++) {
				const size = sizes[turn % sizes.length] ?? bytes.length;
				got.push(...reader.push(bytes.subarray(at, at + size)));
				at += size;
			}
			t.deepEqual(got, lines);
		}),
	);
});

test('a line may have lineBytesMax bytes, and not one more', t => {
	const fits = new LineReader();
	t.deepEqual(fits.push(Buffer.alloc(lineBytesMax, 'a')), []);
	t.is(fits.push(Buffer.from('\nb'))[0]?.length, lineBytesMax);
	const bursts = new LineReader();
	bursts.push(Buffer.alloc(lineBytesMax, 'a'));
	t.throws(() => bursts.push(Buffer.from('a')), { instanceOf: ProtocolError });
});

test('a long line that arrives byte by byte is still read quickly', t => {
	const reader = new LineReader();
	const begin = performance.now();
	for (let count = 0; count < 200_000; count++) {
		reader.push(oneByte);
		if (reader.unfinished.length > 80) t.fail();
	}
	t.true(performance.now() - begin < 20_000);
});

const oneByte = Buffer.from('{');

test('a command is one line', t => {
	t.is(
		formatCommand('getfd', { fdname: 'a\nb' }, 'ipvtap-1').toString(),
		'{"execute":"getfd","arguments":{"fdname":"a\\nb"},"id":"ipvtap-1"}\n',
	);
	t.is(formatCommand('stop', undefined, 'x').toString(), '{"execute":"stop","id":"x"}\n');
});
