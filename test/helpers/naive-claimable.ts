/** The slow model of what no guest may claim although nobody here owns it: addresses are hexadecimal text. */
import { hex } from './describe.js';
import { mac } from './frames.js';
import type { AnyPacket } from './naive-parser.js';
import type { Topology } from './pure-port.js';

export class NaiveClaimable {
	readonly #topology: Topology;
	readonly #routers = new Set<string>();
	/** As binary digits. */
	readonly #prefixes = new Set<string>();

	constructor(topology: Topology) {
		this.#topology = topology;
	}

	/** A frame from the wire that everybody got. No time passes: what is advertised stays. */
	heard(frame: Uint8Array, parsed: AnyPacket): void {
		if (parsed.kind !== 'ipv6' || typeof parsed.nd !== 'object' || parsed.nd.type !== 134) return;
		if (parsed.hopLimit !== 255 || !/^fe[89ab]/.test(parsed.source)) return;
		const lifetime = number(frame, 60, 2);
		if (lifetime === 0) this.#routers.delete(parsed.source);
		else if (this.#routers.size < 16) this.#routers.add(parsed.source);
		for (let at = 70; at < 54 + number(frame, 18, 2); at += number(frame, at + 1, 1) * 8) {
			if (number(frame, at, 1) !== 3 || number(frame, at + 1, 1) !== 4) continue;
			const length = Math.min(128, number(frame, at + 2, 1));
			const prefix = binary(hex(frame.slice(at + 16, at + 32))).slice(0, length);
			if (number(frame, at + 4, 4) === 0) this.#prefixes.delete(prefix);
			else this.#prefixes.add(prefix);
		}
	}

	/** Why the slave may not claim it, or ''. */
	refusal(edge: number, address: string): string {
		if (address.length === 8) return '';
		const others = [{ edge: 1, mac: this.#topology.master }, ...this.#topology.slaves];
		if (others.some(one => one.edge !== edge && address.endsWith(identifier(one.mac)))) return 'ip-spoof';
		if (this.#routers.has(address)) return 'gateway-address';
		const onLink = [...this.#prefixes].some(prefix => binary(address).startsWith(prefix));
		return this.#prefixes.size === 0 || onLink || /^fe[89ab]/.test(address) ? '' : 'off-link';
	}
}

/** RFC 4291, appendix A. */
function identifier(text: string): string {
	const bytes = mac(text);
	return hex(Uint8Array.of(bytes[0]! ^ 2, bytes[1]!, bytes[2]!, 0xff, 0xfe, bytes[3]!, bytes[4]!, bytes[5]!));
}

function binary(address: string): string {
	return [...address].map(digit => Number.parseInt(digit, 16).toString(2).padStart(4, '0')).join('');
}

function number(bytes: Uint8Array, at: number, length: number): number {
	return Number.parseInt(hex(bytes.slice(at, at + length)), 16);
}
