/**
 * Who has which address and which MAC, as a frame at each ear must say it: on the wire host and guests have the
 * master's MAC, before it each its own. Knows a lie in ARP, ND, DHCP and in a packet's source when it hears one.
 */
import ipaddr from 'ipaddr.js';
import { lanMembers } from '../../../src/lab/lan.js';
import type { Namespace } from '../../../src/lab/namespace.js';
import { macText } from '../datapath/frames.js';
import type { Attacker, EarName } from './place.js';

/** Bytes of every packet that an attacker sends in another's name. */
export const FORGED = Buffer.from('forged!!');

interface Machine {
	inside: string;
	wire: string;
}

export class Truth {
	readonly #machines: Map<string, Machine>;
	readonly #evil: string;
	readonly #master: string;

	private constructor(machines: Map<string, Machine>, evil: string, master: string) {
		this.#machines = machines;
		this.#evil = evil;
		this.#master = master;
	}

	/** Takes everybody at their own word, before anybody has lied. */
	static async of(
		members: Readonly<Record<string, Namespace>>,
		{ master, evil }: { master: string; evil: Attacker },
	): Promise<Truth> {
		const machines = new Map<string, Machine>();
		for (const [name, namespace] of Object.entries(members)) {
			for (const { address, local } of await eth0(namespace)) {
				const behind = name === 'victim' || name === 'host';
				machines.set(local, { inside: address, wire: behind ? master : address });
			}
		}
		for (const address of [evil.ipv4, evil.ipv6]) machines.set(address, { inside: evil.mac, wire: master });
		return new Truth(machines, evil.mac, master);
	}

	/** One more guest of the port, with addresses of its own. */
	know(mac: string, addresses: readonly string[]): void {
		for (const one of addresses) this.#machines.set(one, { inside: mac, wire: this.#master });
	}

	/** MAC of whoever has the address, for those before the wire or beyond it. */
	macOf(address: string, from: 'inside' | 'wire'): string | undefined {
		return this.#machines.get(address)?.[from];
	}

	/** What is wrong about a frame that was heard there; undefined if nothing is. */
	lie(frame: Buffer, where: EarName): string | undefined {
		const source = macText(frame.subarray(6, 12));
		if (where === 'wire' && source !== this.#master) return `source MAC ${source}`;
		if (frame.includes(FORGED)) return `a packet that was forged, from ${source}`;
		const says = (address: string, mac: string): string | undefined => {
			const known = this.#machines.get(address)?.[where === 'wire' ? 'wire' : 'inside'];
			if (known !== undefined) return known === mac ? undefined : `${address} is at ${mac}`;
			// Whom nobody knows may be beyond the router, but not with us.
			const ours = mac === this.#evil || (where === 'wire' && mac === this.#master);
			return ours && !isNobody(address) ? `${address}, which nobody has, is at ${mac}` : undefined;
		};
		switch (frame.readUInt16BE(12)) {
			case 0x0806:
				return says(text(frame, 28, 4), macText(frame.subarray(22, 28)));
			case 0x0800: {
				const serves = frame[23] === 17 && frame.readUInt32BE(14 + ihl(frame)) === ((67 << 16) | 68);
				if (serves && source !== lanMembers.router.mac) return `DHCP server ${source}`;
				return says(text(frame, 26, 4), source);
			}
			case 0x86dd:
				return this.#lie6(frame, source, says);
			default:
				return `ethertype ${frame.readUInt16BE(12).toString(16)}`;
		}
	}

	#lie6(
		frame: Buffer,
		source: string,
		says: (address: string, mac: string) => string | undefined,
	): string | undefined {
		const type = frame[20] === 58 ? frame[54]! : 0;
		if ((type === 134 || type === 137) && source !== lanMembers.router.mac) return `router ${source}`;
		const option =
			frame.length >= 86 && (type === 135 || type === 136) ? macText(frame.subarray(80, 86)) : source;
		if (type === 136) return says(text(frame, 62, 16), option);
		return says(text(frame, 22, 16), option);
	}
}

interface OwnAddress {
	address: string;
	local: string;
}

/** MAC and addresses of `eth0`. */
async function eth0(namespace: Namespace): Promise<OwnAddress[]> {
	const [link] = JSON.parse(await namespace.exec('ip', ['-j', 'address', 'show', 'dev', 'eth0'])) as {
		address: string;
		addr_info: { local: string }[];
	}[];
	return link!.addr_info.map(({ local }) => ({ address: link!.address, local }));
}

function text(frame: Buffer, at: number, length: number): string {
	return ipaddr.fromByteArray([...frame.subarray(at, at + length)]).toString();
}

function ihl(frame: Buffer): number {
	return (frame[14]! & 15) << 2;
}

/** What one speaks from before one has an address. */
function isNobody(address: string): boolean {
	return address === '0.0.0.0' || address === '::';
}
