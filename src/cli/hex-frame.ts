/** A frame as people have it: bare hex, or what tcpdump -xx, xxd and Wireshark print. Pure. */
import { IpvtapError } from '../errors.js';

/**
 * Lower-case hex without blanks. Understood are bytes with blanks, colons or nothing between them, and dumps, whose
 * lines begin with an offset and may end, behind two blanks, with the bytes as characters.
 * @throws IpvtapError `usage`.
 */
export function parseHexFrame(text: string): string {
	const lines = text.split('\n').filter(line => line.trim() !== '');
	const isDump = lines.some(line => offset.test(line));
	// tcpdump's own line about the frame, before its dump, has no offset.
	const shown = isDump ? lines.filter(line => offset.test(line)).map(dumpedBytes) : lines;
	const hex = shown
		.join('')
		.replace(/0x/gi, '')
		.replace(/[\s:,-]/g, '')
		.toLowerCase();
	if (hex === '') throw unfit('there is no byte in it');
	const wrong = /[^0-9a-f]/.exec(hex);
	if (wrong) throw unfit(`it has '${wrong[0]}' in it`);
	if (hex.length % 2 !== 0) throw unfit('it has half a byte in it');
	return hex;
}

/** tcpdump: `0x0000:  `; xxd: `00000000: `; Wireshark: `0000  `. */
const offset = /^\s*(?:(?:0x)?[0-9a-f]{4,8}:\s+|[0-9a-f]{4}\s{2,})/i;

/** The characters at the line's end stand behind two blanks. Wireshark has two in the middle of its 16 bytes too. */
function dumpedBytes(line: string): string {
	const [bytes = '', more = ''] = line.replace(offset, '').split(/ {2,}|\t/);
	const isHalf =
		/^([0-9a-f]{2} ){7}[0-9a-f]{2}$/i.test(bytes) && /^[0-9a-f]{2}( [0-9a-f]{2}){0,7}$/i.test(more);
	return isHalf ? bytes + more : bytes;
}

function unfit(why: string): IpvtapError {
	return new IpvtapError('usage', `ipvtap trace: --frame is not a frame in hex: ${why}`, {
		hint: 'bytes in hex from the destination MAC on; of a capture: tcpdump -xx',
	});
}
