/**
 * When a guest that migrates here has arrived. libvirt calls `started` at a migration's destination long before the
 * guest moves there, and nothing when it has moved: until then its addresses are the other host's. QEMU's announcement,
 * or whatever the guest sends first, tells. The TAP refuses frames while it is down, but counts them, with no event for
 * that.
 */
import { getLink } from '../sys/netlink/link.js';
import type { Registry, SlaveRecord } from './registry.js';

export class FirstFrame {
	readonly #registry: Registry;
	readonly #arrived: (domain: string) => void;
	readonly #waiting = new Map<string, NodeJS.Timeout>();

	constructor(registry: Registry, arrived: (domain: string) => void) {
		this.#registry = registry;
		this.#arrived = arrived;
	}

	close(): void {
		for (const timer of this.#waiting.values()) clearTimeout(timer);
	}

	/** From now on, for as long as the domain is `incoming`. */
	expect(domain: string): void {
		const before = new Map(this.#slaves(domain).map(slave => [slave.ifname, framesOf(slave)]));
		const look = (): void => {
			this.#waiting.delete(domain);
			if (this.#registry.domain(domain)?.state !== 'incoming') return;
			const sent = this.#slaves(domain).some(slave => framesOf(slave) !== (before.get(slave.ifname) ?? 0));
			if (sent) this.#arrived(domain);
			else this.#lookLater(domain, look);
		};
		this.#lookLater(domain, look);
	}

	#lookLater(domain: string, look: () => void): void {
		clearTimeout(this.#waiting.get(domain));
		this.#waiting.set(domain, setTimeout(look, lookMs));
	}

	#slaves(domain: string): SlaveRecord[] {
		return this.#registry.slaves().filter(slave => slave.domain?.name === domain);
	}
}

/** What the guest has sent or tried to send. */
function framesOf({ ifname }: SlaveRecord): number {
	const received = getLink(ifname)?.stats.rx;
	return received ? received.packets + received.dropped : 0;
}

/** Part of how long a migrated guest is off the network; the copying itself takes far longer. */
const lookMs = 20;
