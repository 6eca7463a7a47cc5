import test from 'ava';
import { parseHexFrame } from '../../../src/cli/hex-frame.js';

const hex = 'ffffffffffff5254000000110806000108000604000152540000001141424344000000000000c0000202';
const pairs = hex.match(/../g) as string[];
const lines = (length: number, line: (bytes: string[], at: number) => string): string =>
	pairs.flatMap((_, at) => (at % length === 0 ? [line(pairs.slice(at, at + length), at)] : [])).join('\n');
const ascii = (bytes: string[]): string =>
	bytes.map(byte => (/^4/.test(byte) ? String.fromCharCode(Number.parseInt(byte, 16)) : '.')).join('');
const words = (bytes: string[]): string => bytes.join('').replace(/.{4}(?!$)/g, '$& ');
const at4 = (at: number): string => at.toString(16).padStart(4, '0');

const forms: Record<string, string> = {
	'bare hex': hex,
	'capitals, with a line end': `${hex.toUpperCase()}\n`,
	'with 0x': `0x${hex}`,
	colons: pairs.join(':'),
	blanks: pairs.join(' '),
	'bytes as in source code': pairs.map(pair => `0x${pair}`).join(', '),
	'tcpdump -xx': `12:00:00.000000 ARP, Request who-has 192.0.2.2 tell 65.66.67.68, length 28\n${lines(16, (bytes, at) => `\t0x${at4(at)}:  ${words(bytes)}`)}`,
	'tcpdump -XX': lines(16, (bytes, at) => `\t0x${at4(at)}:  ${words(bytes).padEnd(39)}  ${ascii(bytes)}`),
	xxd: lines(16, (bytes, at) => `0000${at4(at)}: ${words(bytes).padEnd(39)}  ${ascii(bytes)}`),
	Wireshark: lines(
		16,
		(bytes, at) =>
			`${at4(at)}  ${bytes.slice(0, 8).join(' ')}  ${bytes.slice(8).join(' ')}   ${ascii(bytes)}`,
	),
};

for (const [name, text] of Object.entries(forms)) {
	test(`${name} is understood`, t => t.is(parseHexFrame(text), hex));
}

for (const [text, why] of [
	['', /no byte/],
	[' \n', /no byte/],
	['525', /half a byte/],
	['5254zz', /'z'/],
	['12:00:00.1 IP 10.0.0.1 > 10.0.0.2', /in it/],
] as const) {
	test(`${JSON.stringify(text)} is refused`, t => {
		t.throws(() => parseHexFrame(text), { code: 'usage', message: why });
	});
}
