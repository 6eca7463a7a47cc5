/** Who is on a port, as far as somebody who makes up a frame wants to know: read from what its threads were told. Pure. */
import { familyOf } from '../../datapath/address-key.js';
import type { DryCommand } from '../../datapath/trace/dry-port.js';
import { EDGE_HOST, EDGE_SLAVES } from '../../datapath/verdict.js';

/** What a running port says about itself for a dry run. */
export interface PortPlan {
	commands: readonly DryCommand[];
	/** Slaves that are open to traffic. */
	edges: ReadonlyMap<string, number>;
}

export function planOf(
	members: Iterable<{ name: string; edge: number; open: boolean }>,
	commands: readonly DryCommand[],
): PortPlan {
	const open = [...members].filter(member => member.open);
	return { commands, edges: new Map(open.map(({ name, edge }) => [name, edge])) };
}

export class Surroundings {
	readonly masterMac: string;
	readonly hasHost: boolean;
	/** In l3 and l3s ipvtap answers for every next hop, with the master's MAC. */
	readonly routes: boolean;
	readonly gateways: readonly string[];
	readonly #edges: ReadonlyMap<string, number>;
	readonly #macs = new Map<number, string>();
	/** Static ones first: they are the ones that people mean. */
	readonly #addresses: { address: string; edge: number }[] = [];

	constructor({ commands, edges }: PortPlan) {
		this.#edges = edges;
		let masterMac = '';
		let hasHost = false;
		let routes = false;
		let gateways: readonly string[] = [];
		for (const command of commands) {
			if (command.kind === 'change') {
				const { change } = command;
				if (change.kind === 'master') masterMac = change.mac;
				if (change.kind === 'host') hasHost = change.enabled;
				if (change.kind === 'mode') routes = change.mode !== 'l2';
				if (change.kind === 'slave-added') this.#macs.set(change.edge, change.mac);
			}
			if (command.kind === 'gateways') gateways = command.addresses;
			if (command.kind === 'assign') this.#addresses.unshift(command);
			if (command.kind === 'restore') this.#addresses.push(command);
			if (command.kind === 'host-addresses')
				this.#addresses.push(...command.addresses.map(address => ({ address, edge: EDGE_HOST })));
		}
		this.masterMac = masterMac;
		this.hasHost = hasHost;
		this.routes = routes;
		this.gateways = gateways;
		this.#macs.set(EDGE_HOST, masterMac);
	}

	edgeOf(slave: string): number | undefined {
		return this.#edges.get(slave);
	}

	ownerOf(address: string): number | undefined {
		return this.#addresses.find(entry => entry.address === address)?.edge;
	}

	macOf(edge: number): string | undefined {
		return this.#macs.get(edge);
	}

	/** Its first address of the family; of a slave's IPv6 ones rather one that isn't link-local. */
	addressOf(edge: number, family: 4 | 6): string | undefined {
		const own = this.#addresses.filter(entry => entry.edge === edge && familyOf(entry.address) === family);
		return (own.find(({ address }) => !address.startsWith('fe80:')) ?? own[0])?.address;
	}

	linkLocalOf(edge: number): string | undefined {
		return this.#addresses.find(entry => entry.edge === edge && entry.address.startsWith('fe80:'))?.address;
	}

	slaves(): string[] {
		return [...this.#edges].filter(([, edge]) => edge >= EDGE_SLAVES).map(([name]) => name);
	}
}
