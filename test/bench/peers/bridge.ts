import { type Ground, GUESTS, guestMac, MASTER, WIRE_MAC } from '../ground.js';
import type { Peer } from './peer.js';

/**
 * The kernel's bridge, at its best: br_netfilter off (on by default it costs 25 % more instructions), no
 * snooping, and the MACs that it would have learned in place from the beginning.
 */
export class BridgePeer implements Peer {
	readonly name = 'bridge';
	readonly about = 'Linux bridge, br_netfilter off, no snooping';
	#taps: string[] = [];

	async prepare(ground: Ground): Promise<void> {
		const { host } = ground;
		this.#taps = await ground.addTaps();
		await host.ip(
			'link add br0 type bridge forward_delay 0 mcast_snooping 0',
			'link set br0 up',
			...[...this.#taps, MASTER].map(port => `link set ${port} master br0`),
		);
		// The files are there only where the kernel has br_netfilter.
		await host.exec('sh', [
			'-ec',
			'for file in /proc/sys/net/bridge/bridge-nf-call-*; do [ ! -e "$file" ] || echo 0 > "$file"; done',
		]);
		const places = this.#taps.map((tap, guest) => `fdb replace ${guestMac(guest)} dev ${tap} master static`);
		places.push(`fdb replace ${WIRE_MAC} dev ${MASTER} master static`);
		for (const words of places) await host.exec('bridge', words.split(' '));
	}

	guestTap(guest: number): string {
		return `tap:${this.#taps[guest % GUESTS]}`;
	}

	macOnWire(guest: number): string {
		return guestMac(guest);
	}

	pids(): readonly number[] {
		return [];
	}

	async close(): Promise<void> {}
}
