import { join } from 'node:path';
import { makeFolder } from '../../lab/cleanup.js';
import { until } from '../../lab/wait.js';
import { type Ground, guestMac, MASTER } from '../ground.js';
import type { Ability, Peer } from './peer.js';
import { Processes } from './processes.js';

/** VDE's switch, guests on its sockets as with QEMU's `-netdev vde`, and the wire by a TAP of its own on a bridge. */
export class VdePeer implements Peer {
	readonly name = 'vde';
	readonly about = "vde_switch, guests on its sockets (QEMU's -netdev vde), to the wire by a TAP on a bridge";
	readonly lacks: readonly Ability[] = ['many', 'gso', 'taps', 'process'];
	readonly needs = { program: 'vde_switch', package: 'vde-switch' };
	readonly version = ['vde_switch', '--version'] as const;
	readonly #processes = new Processes();
	#folder = '';
	#removeFolder: (() => void) | undefined;

	async prepare({ host, guests }: Ground): Promise<void> {
		const [folder, remove] = makeFolder('bench-vde');
		this.#removeFolder = remove;
		this.#folder = join(folder, 'switch');
		// systemd's value; the kernel's own, 10 frames, would lose most of any burst.
		await host.sysctl({ 'net.unix.max_dgram_qlen': 512 });
		await host.ip(
			'link add br0 type bridge forward_delay 0 mcast_snooping 0',
			'link set br0 up',
			`link set ${MASTER} master br0`,
		);
		const hasTap = async (): Promise<boolean> => (await host.run('ip', ['link', 'show', 'vde0'])).rc === 0;
		await this.#processes.start(
			host,
			'vde_switch',
			['--sock', this.#folder, '--tap', 'vde0', '--numports', String(guests + 8)],
			{ ready: () => until('vde_switch to make its TAP', 5000, hasTap) },
		);
		await host.ip('link set vde0 master br0 up');
	}

	guestEdge(): string {
		return `vde:${this.#folder}`;
	}

	macOnWire(guest: number): string {
		return guestMac(guest);
	}

	pids(): readonly number[] {
		return this.#processes.pids;
	}

	async close(): Promise<void> {
		await this.#processes.end();
		this.#removeFolder?.();
	}
}
