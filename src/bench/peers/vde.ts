import { join } from 'node:path';
import { until } from '../../lab/wait.js';
import { type Ground, MASTER } from '../ground.js';
import type { Ability } from './peer.js';
import { ProcessPeer } from './process-peer.js';

/** VDE's switch, guests on its sockets as with QEMU's `-netdev vde`, and the wire by a TAP of its own on a bridge. */
export class VdePeer extends ProcessPeer {
	readonly name = 'vde';
	readonly about = "vde_switch, guests on its sockets (QEMU's -netdev vde), to the wire by a TAP on a bridge";
	readonly lacks: readonly Ability[] = ['many', 'gso', 'taps', 'daemon'];
	readonly needs = { program: 'vde_switch', package: 'vde-switch' };
	readonly version = ['vde_switch', '--version'] as const;
	#folder = '';

	async prepare({ host, guests }: Ground): Promise<void> {
		this.#folder = join(this.makeFolder(), 'switch');
		// systemd's value; the kernel's own, 10 frames, would lose most of any burst.
		await host.sysctl({ 'net.unix.max_dgram_qlen': 512 });
		await host.ip(
			'link add br0 type bridge forward_delay 0 mcast_snooping 0',
			'link set br0 up',
			`link set ${MASTER} master br0`,
		);
		const hasTap = async (): Promise<boolean> => (await host.run('ip', ['link', 'show', 'vde0'])).rc === 0;
		await this.processes.start(
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
}
