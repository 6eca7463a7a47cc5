import type { Namespace } from './namespace.js';

/** What a switch port has seen of one source MAC. */
export interface SeenMac {
	mac: string;
	/** Frames that came in with it. */
	packets: number;
	/** Those of them that the port refused. */
	dropped: number;
}

/**
 * Port security: of the frames that come in by the port only those whose source MAC is allowed pass, and
 * of the unicast frames that go out by it only those for an allowed MAC, as Wi-Fi access points, cloud
 * fabrics and secured switch ports have it. Each source MAC is counted.
 */
export class SecuredPort {
	readonly #namespace: Namespace;

	private constructor(namespace: Namespace) {
		this.#namespace = namespace;
	}

	static async on(namespace: Namespace, device: string, mac: string): Promise<SecuredPort> {
		const input = `
			table netdev ${table} {
				set allowed { type ether_addr; elements = { ${mac} }; }
				set seen { type ether_addr; size ${macsMax}; flags dynamic; counter; }
				set refused { type ether_addr; size ${macsMax}; flags dynamic; counter; }
				counter withheld { }
				chain in {
					type filter hook ingress device ${device} priority 0; policy accept;
					update @seen { ether saddr }
					ether saddr != @allowed update @refused { ether saddr } drop
				}
				chain out {
					type filter hook egress device ${device} priority 0; policy accept;
					ether daddr & 01:00:00:00:00:00 == 00:00:00:00:00:00 ether daddr != @allowed counter name withheld drop
				}
			}`;
		await namespace.exec('nft', ['-f', '-'], { input });
		return new SecuredPort(namespace);
	}

	/** Lets the port know one more MAC, as when a card is given another. */
	async allow(mac: string): Promise<void> {
		await this.#namespace.exec('nft', ['add', 'element', 'netdev', table, 'allowed', `{ ${mac} }`]);
	}

	/** The source MACs seen so far, the most frequent first. */
	async macsSeen(): Promise<SeenMac[]> {
		const rules = await this.#list();
		const refused = counts(rules, 'refused');
		return [...counts(rules, 'seen')]
			.map(([mac, packets]) => ({ mac, packets, dropped: refused.get(mac) ?? 0 }))
			.sort((a, b) => b.packets - a.packets);
	}

	/** Unicast frames for other MACs that would have gone out by the port. */
	async withheld(): Promise<number> {
		for (const { counter } of await this.#list()) {
			if (counter?.name === 'withheld') return counter.packets;
		}
		return 0;
	}

	async #list(): Promise<RuleObject[]> {
		const json = await this.#namespace.exec('nft', ['-j', 'list', 'table', 'netdev', table]);
		return (JSON.parse(json) as { nftables: RuleObject[] }).nftables;
	}
}

const table = 'port_security';
/** More source MACs than any test sends; a set without a limit could fill the memory. */
const macsMax = 4096;

/** The parts used here of libnftables-json(5). */
interface RuleObject {
	counter?: { name: string; packets: number };
	set?: { name: string; elem?: { elem: { val: string; counter?: { packets: number } } }[] };
}

function counts(rules: readonly RuleObject[], name: string): Map<string, number> {
	const elements = rules.find(rule => rule.set?.name === name)?.set?.elem ?? [];
	return new Map(elements.map(({ elem }) => [elem.val, elem.counter?.packets ?? 0]));
}
