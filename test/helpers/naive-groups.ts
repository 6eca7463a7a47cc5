/** The slow twin of what the slow path hears and remembers of groups, over hexadecimal text. Nothing ages here. */
import { hex } from './describe.js';
import { internetChecksum } from './frames.js';

export interface NaiveReport {
	family: 4 | 6;
	/** Undefined for what is a report by its type, and breaks a rule. */
	records: { group: string; joined: boolean }[] | undefined;
}

/** What a guest says of its groups, if the frame is about that. */
export function reportOf(frame: Uint8Array): NaiveReport | undefined {
	const type = hex(frame.slice(12, 14));
	if (type === '0800') return igmp(frame.slice(14));
	return type === '86dd' ? mld(frame.slice(14)) : undefined;
}

export class NaiveGroups {
	readonly #slaves = new Map<string, Set<string>>();

	/** Takes a report of a slave's. */
	hear(edge: number, { family, records }: NaiveReport): void {
		if (!records) return;
		const key = `${edge} ${family}`;
		const groups = this.#slaves.get(key) ?? new Set();
		this.#slaves.set(key, groups);
		for (const { group, joined } of records) {
			const isGroup = family === 4 ? /^e/.test(group) : group.startsWith('ff');
			if (joined && isGroup) groups.add(group);
			if (!joined) groups.delete(group);
		}
	}

	/** Whether a slave wants a frame that goes to a group MAC. */
	wants(edge: number, family: 4 | 6, frame: Uint8Array): boolean {
		const to = hex(frame.slice(0, 6));
		const groups = this.#slaves.get(`${edge} ${family}`);
		if (!groups || to.startsWith('ffff') || hex(frame.slice(12, 14)) === '0806') return true;
		if (family === 4 ? hex(frame.slice(30, 33)) === 'e00000' : to === '333300000001') return true;
		// A NIC knows MACs and no families: 33:33:… could bring IPv4, and 01:00:5e:… IPv6.
		const both = [4, 6].flatMap(other => [...(this.#slaves.get(`${edge} ${other}`) ?? [])]);
		return both.some(group => macOf(group) === to);
	}
}

function macOf(group: string): string {
	if (group.length > 8) return `3333${group.slice(-8)}`;
	const low = Number.parseInt(group.slice(2), 16) % 0x800000;
	return `01005e${low.toString(16).padStart(6, '0')}`;
}

function igmp(packet: Uint8Array): NaiveReport | undefined {
	if (packet[9] !== 2) return undefined;
	const header = ((packet[0] as number) % 16) * 4;
	const message = packet.slice(header, two(packet, 2));
	const broken: NaiveReport = { family: 4, records: undefined };
	if (message.length < 8 || two(packet, 6) % 0x4000 !== 0) return broken;
	const type = message[0] as number;
	if (![0x12, 0x16, 0x17, 0x22].includes(type)) return undefined;
	const alert = alert4([...packet.slice(20, header)]);
	if (packet[8] !== 1 || (type !== 0x12 && !alert) || internetChecksum(message) !== 0) return broken;
	if (type === 0x22) return { family: 4, records: records([...message.slice(8)], two(message, 6), 4) };
	const group = hex(message.slice(4, 8));
	const to = hex(packet.slice(16, 20));
	if (to !== group && !(type === 0x17 && to === 'e0000002')) return broken;
	return { family: 4, records: [{ group, joined: type !== 0x17 }] };
}

function mld(packet: Uint8Array): NaiveReport | undefined {
	const payload = packet.slice(40, 40 + two(packet, 4));
	if (packet[6] !== 0 || payload.length < 8 || payload[0] !== 58) return undefined;
	const length = ((payload[1] as number) + 1) * 8;
	const message = payload.slice(length);
	const type = message[0] as number;
	if (message.length < 8 || ![131, 132, 143].includes(type)) return undefined;
	const source = hex(packet.slice(8, 24));
	const fromLink = /^fe[89ab]/.test(source) || /^0*$/.test(source);
	const pseudo = [...packet.slice(8, 40), 0, 0, message.length >> 8, message.length & 255, 0, 0, 0, 58];
	const right = internetChecksum(Uint8Array.from([...pseudo, ...message])) === 0;
	const alert = alert6([...payload.slice(2, length)]);
	if (packet[7] !== 1 || !fromLink || !right || !alert) return { family: 6, records: undefined };
	if (type === 143) return { family: 6, records: records([...message.slice(8)], two(message, 6), 16) };
	if (message.length < 24) return { family: 6, records: undefined };
	return { family: 6, records: [{ group: hex(message.slice(8, 24)), joined: type === 131 }] };
}

function records(bytes: number[], count: number, width: number): NaiveReport['records'] {
	const found: { group: string; joined: boolean }[] = [];
	if (count > 1200) return undefined;
	for (let left = count; left > 0; left--) {
		const [type = 0, words = 0, high = 0, low = 0] = bytes;
		const sources = high * 256 + low;
		const size = 4 + width + sources * width + words * 4;
		if (type === 0 || size > bytes.length) return undefined;
		const group = hex(Uint8Array.from(bytes.slice(4, 4 + width)));
		const joined = {
			1: sources > 0 || undefined,
			2: true,
			3: sources > 0,
			4: true,
			5: sources > 0 || undefined,
		}[type];
		if (joined !== undefined) found.push({ group, joined });
		bytes.splice(0, size);
	}
	return found;
}

function alert4(options: number[]): boolean {
	while (options.length > 0) {
		const [type, length = 0] = options;
		if (type === 0) return false;
		if (type === 1) options.shift();
		else if (length < 2 || length > options.length) return false;
		else if (type === 148) return options.slice(1, 4).join() === '4,0,0';
		else options.splice(0, length);
	}
	return false;
}

function alert6(options: number[]): boolean {
	while (options.length > 0) {
		const [type, length = 255] = options;
		if (type === 0) options.shift();
		else if (2 + length > options.length) return false;
		else if (type === 5) return options.slice(1, 4).join() === '2,0,0';
		else options.splice(0, 2 + length);
	}
	return false;
}

function two(bytes: Uint8Array, at: number): number {
	return (bytes[at] as number) * 256 + (bytes[at + 1] as number);
}
