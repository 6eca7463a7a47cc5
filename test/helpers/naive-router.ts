/**
 * The slow, obvious twin of routing in l3: a list of routes that is looked through whole, packets as bytes that are
 * copied, ICMP errors put together from RFC 792 and RFC 4443. It shares no code with what it judges.
 */
import { hex } from './describe.js';
import { bytesOf, internetChecksum, mac, octets, patched, u16 } from './frames.js';
import type { Topology } from './pure-port.js';

export type Routed =
	| { to: 'wire'; frame: Uint8Array }
	| { to: 'host' }
	| { refuse: string }
	| { drop: string }
	| { fragments: Uint8Array[] | 'wait' }
	| 'resolve';

export class NaiveRouter {
	readonly #topology: Topology;
	readonly #complaints = new Map<number, number>();

	constructor(topology: Topology) {
		this.#topology = topology;
	}

	/** @param known whether the destination is a slave's, with `vepa`. */
	route(frame: Uint8Array, known: boolean): Routed {
		const six = frame[12] === 0x86;
		const packet = frame.slice(14);
		const destination = hex(six ? packet.slice(24, 40) : packet.slice(16, 20));
		const source = hex(packet.slice(8, 24));
		if (six && [source, destination].some(address => /^fe[89ab]/.test(address)))
			return { refuse: 'beyond-scope' };
		if (!six && internetChecksum(packet.slice(0, ((packet[0] as number) & 15) * 4)) !== 0)
			return { drop: 'bad-checksum' };
		const route = this.#lookUp(destination);
		if (!route) return { refuse: 'no-route' };
		const { to, gateway, mtu = 1500 } = route;
		if (to === 'host') return this.#topology.host ? { to } : { refuse: 'no-route' };
		if (to === 'blackhole' || to === 'not-routed') return { drop: to };
		if (to !== 'wire') return { refuse: to };
		if ((packet[six ? 7 : 8] as number) <= 1) return { refuse: 'ttl-exceeded' };
		const length = six ? 40 + number(packet, 4) : number(packet, 2);
		if (length > mtu) {
			if (six || ((packet[6] as number) & 0x40) !== 0) return { refuse: 'too-big' };
			const pieces = cut(packet.slice(0, length), mtu).map(piece =>
				this.route(bytesOf(frame.slice(0, 14), piece), known),
			);
			const whole = pieces.flatMap(piece =>
				typeof piece === 'object' && 'frame' in piece ? [piece.frame] : [],
			);
			return whole.length < pieces.length ? { fragments: 'wait' } : { fragments: whole };
		}
		const hop = gateway === undefined ? destination : hex(octets(gateway));
		const neighbour =
			known && gateway === undefined
				? this.#topology.master
				: this.#topology.neighbours?.find(({ address }) => hex(octets(address)) === hop)?.mac;
		if (neighbour === undefined) return 'resolve';
		const onward = bytesOf(mac(neighbour), mac(this.#topology.master), frame.slice(12));
		return { to: 'wire', frame: six ? patched(onward, 21, [(packet[7] as number) - 1]) : aged(onward) };
	}

	/** The error about a frame, if there may be one. */
	complaint(frame: Uint8Array, reason: string, edge: number, guest: string): Uint8Array | undefined {
		const six = frame[12] === 0x86;
		const packet = frame.slice(14);
		if (!(six ? mayComplain6(packet) : mayComplain4(packet))) return undefined;
		const { ipv4 = '192.0.0.8', ipv6 } = this.#topology.sources ?? {};
		if (six && ipv6 === undefined) return undefined;
		if (reason !== 'too-big') {
			const before = this.#complaints.get(edge) ?? 0;
			this.#complaints.set(edge, before + 1);
			// Time stands still: six at once, and no more.
			if (before >= 6) return undefined;
		}
		const [type, code] = (six ? codes6 : codes4)[reason] as [number, number];
		const destination = hex(six ? packet.slice(24, 40) : packet.slice(16, 20));
		const mtu = reason === 'too-big' ? (this.#lookUp(destination)?.mtu ?? 1500) : 0;
		const length = six ? 40 + number(packet, 4) : number(packet, 2);
		const quoted = packet.slice(0, Math.min(length, six ? 1232 : 548));
		const message = bytesOf([type, code, 0, 0, 0, 0], u16(mtu), quoted);
		const link = bytesOf(mac(guest), mac(this.#topology.master), frame.slice(12, 14));
		if (six) {
			const addresses = bytesOf(octets(ipv6 as string), packet.slice(8, 24));
			message.set(
				u16(internetChecksum(bytesOf(addresses, [0, 0], u16(message.length), [0, 0, 0, 58], message))),
				2,
			);
			return bytesOf(link, [0x60, 0, 0, 0], u16(message.length), [58, 64], addresses, message);
		}
		message.set(u16(internetChecksum(message)), 2);
		const tos = 0xc0 | ((packet[1] as number) & 0x1e);
		const header = bytesOf(
			[0x45, tos],
			u16(20 + message.length),
			[0, 0, 0x40, 0, 64, 1, 0, 0],
			octets(ipv4),
			packet.slice(12, 16),
		);
		header.set(u16(internetChecksum(header)), 10);
		return bytesOf(link, header, message);
	}

	#lookUp(destination: string) {
		const matches = (this.#topology.routes ?? []).filter(({ prefix }) => {
			const [address = '', length] = prefix.split('/');
			const wanted = bits(hex(octets(address)));
			return (
				wanted.length === bits(destination).length &&
				bits(destination).startsWith(wanted.slice(0, Number(length)))
			);
		});
		return matches.sort((a, b) => lengthOf(b.prefix) - lengthOf(a.prefix))[0]?.hop;
	}
}

const codes4: Record<string, readonly [number, number]> = {
	'no-route': [3, 0],
	unreachable: [3, 1],
	prohibited: [3, 13],
	'ttl-exceeded': [11, 0],
	'too-big': [3, 4],
};
const codes6: Record<string, readonly [number, number]> = {
	'no-route': [1, 0],
	unreachable: [1, 3],
	prohibited: [1, 1],
	'beyond-scope': [1, 2],
	'ttl-exceeded': [3, 0],
	'too-big': [2, 0],
};

/** One hop older: the sum changes by what the TTL changes by. */
function aged(frame: Uint8Array): Uint8Array {
	const sum = number(frame, 24) + 0x0100;
	return patched(
		patched(frame, 22, [(frame[22] as number) - 1]),
		24,
		u16((sum + (sum >= 0xffff ? 1 : 0)) & 0xffff),
	);
}

function cut(packet: Uint8Array, mtu: number): Uint8Array[] {
	const header = ((packet[0] as number) & 15) * 4;
	const payload = packet.slice(header);
	const most = Math.max(8, Math.floor((mtu - header) / 8) * 8);
	const before = number(packet, 6);
	const pieces: Uint8Array[] = [];
	for (let offset = 0; offset < payload.length; offset += most) {
		const data = payload.slice(offset, offset + most);
		const last = offset + most >= payload.length;
		const more = last ? before & 0x2000 : 0x2000;
		const head = packet.slice(0, header);
		head.set(u16(header + data.length), 2);
		head.set(u16(more | ((before & 0x1fff) + offset / 8)), 6);
		head.set([0, 0], 10);
		head.set(u16(internetChecksum(head)), 10);
		pieces.push(bytesOf(head, data));
	}
	return pieces;
}

function mayComplain4(packet: Uint8Array): boolean {
	const first = packet[12] as number;
	if (first === 0 || first === 127 || first >= 224 || (number(packet, 6) & 0x1fff) !== 0) return false;
	if (packet[9] !== 1) return true;
	const header = ((packet[0] as number) & 15) * 4;
	const type = header < number(packet, 2) ? (packet[header] as number) : 255;
	return type <= 18 && ![3, 4, 5, 11, 12].includes(type);
}

function mayComplain6(packet: Uint8Array): boolean {
	if (packet[8] === 0xff || packet.slice(8, 24).every(byte => byte === 0)) return false;
	let next = packet[6] as number;
	let rest = packet.slice(40, 40 + number(packet, 4));
	for (let depth = 0; [0, 43, 44, 60].includes(next); depth++) {
		if (depth === 8 || rest.length < 8) return false;
		if (next === 44 && number(rest, 2) >> 3 !== 0) return false;
		const length = next === 44 ? 8 : ((rest[1] as number) + 1) * 8;
		next = rest[0] as number;
		rest = rest.slice(length);
	}
	return next !== 58 || ((rest[0] ?? 0) >= 128 && rest[0] !== 137);
}

function number(bytes: Uint8Array, at: number): number {
	return ((bytes[at] as number) << 8) | (bytes[at + 1] as number);
}

function bits(address: string): string {
	return [...address].map(digit => Number.parseInt(digit, 16).toString(2).padStart(4, '0')).join('');
}

function lengthOf(prefix: string): number {
	return Number(prefix.split('/')[1]);
}
