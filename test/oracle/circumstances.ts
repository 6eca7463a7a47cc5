/** What an explanation may depend on: facts about a case that can be read off it. */
import { mac } from '../helpers/frames.js';
import { MASTER } from '../helpers/world.js';
import type { Mode } from './configurations.js';
import type { Judgement } from './judgement.js';

export interface Circumstances {
	/** As the report has it. */
	class: string;
	from: 'wire' | 'host' | 'guest';
	mode: Mode;
	flag: string;
	noHost: boolean;
	/** What our fast path says, in the decision table's words. */
	verdict: string;
	/** Whether a frame goes to a group, or to all, by its MAC; by its IP address. */
	groupMac: boolean;
	groupAddress: boolean;
	toMaster: boolean;
	fromMaster: boolean;
	/** `nd`: neighbour discovery, with no other header in front. */
	protocol: 'arp' | 'nd' | 'ipv4' | 'ipv6' | 'other';
	/** Of IPv4: whether something follows the packet. */
	padded: boolean;
	/** Who gets anything. */
	kernel: ReadonlySet<string>;
	ours: ReadonlySet<string>;
}

export function circumstances({ question, kernel, ours = [], verdict }: Judgement): Circumstances {
	const { frame, from, flag = 'bridge', noHost = false } = question.one;
	const text = Buffer.from(frame).toString('hex');
	return {
		class: question.class,
		from: from === 'wire' || from === 'host' ? from : 'guest',
		mode: question.kind.mode,
		flag,
		noHost,
		verdict,
		groupMac: ((frame[0] ?? 0) & 1) === 1,
		groupAddress: isGroupAddress(frame),
		toMaster: text.startsWith(master),
		fromMaster: text.startsWith(master, 12),
		protocol: protocolOf(frame),
		padded: isPadded(frame),
		kernel: new Set(kernel.map(({ to }) => to)),
		ours: new Set(ours.map(({ to }) => to)),
	};
}

const master = Buffer.from(mac(MASTER)).toString('hex');

function protocolOf(frame: Uint8Array): Circumstances['protocol'] {
	const type = ethertype(frame);
	if (type === 0x0806) return 'arp';
	if (type === 0x0800) return 'ipv4';
	if (type !== 0x86dd) return 'other';
	const message = frame[54] ?? 0;
	return frame[20] === 58 && message >= 133 && message <= 137 ? 'nd' : 'ipv6';
}

function isGroupAddress(frame: Uint8Array): boolean {
	const type = ethertype(frame);
	return (type === 0x0800 && (frame[30] ?? 0) >= 224) || (type === 0x86dd && frame[38] === 0xff);
}

function isPadded(frame: Uint8Array): boolean {
	return ethertype(frame) === 0x0800 && frame.length > 14 + ((frame[16] ?? 0) << 8) + (frame[17] ?? 0);
}

function ethertype(frame: Uint8Array): number {
	return ((frame[12] ?? 0) << 8) | (frame[13] ?? 0);
}
