import { join } from 'node:path';
import { makeFolder } from '../../lab/cleanup.js';
import { exec } from '../../lab/command.js';
import { type Ground, guestMac, MASTER } from '../ground.js';
import type { Ability, Peer } from './peer.js';

/** macvtap in bridge mode: the kernel's nearest to ipvlan that this benchmark finds everywhere. */
export class MacvtapPeer implements Peer {
	readonly name = 'macvtap';
	readonly about = 'macvtap, mode bridge';
	readonly lacks: readonly Ability[] = ['daemon', 'taps'];
	readonly #nodes: string[] = [];
	#removeFolder: (() => void) | undefined;

	/**
	 * The devices' files are of nodes of our own: those in /dev are named after interface numbers, which are unique in a
	 * namespace only, while /dev is everybody's. So that the kernel finds its name free there, numbers are far from any
	 * that it gives by itself.
	 */
	async prepare({ host, guests }: Ground): Promise<void> {
		const [folder, remove] = makeFolder('bench-macvtap');
		this.#removeFolder = remove;
		const first = 0x1000_0000 + (process.pid % 0x10000) * 0x1000 + guests;
		const devices = Array.from({ length: guests }, (_, guest) => ({
			name: `mvt${guest}`,
			index: first + guest,
		}));
		await host.ip(
			...devices.flatMap(({ name, index }, guest) => [
				`link add link ${MASTER} name ${name} index ${index} address ${guestMac(guest)} type macvtap mode bridge`,
				// Which groups a guest wants only its QEMU knows: without, none would reach it.
				`link set ${name} allmulticast on up`,
			]),
		);
		const files = devices.map(({ name, index }) => `/sys/class/net/${name}/tap${index}/dev`);
		const numbers = (await host.exec('cat', files)).trim().split('\n');
		const commands = numbers.map((number, guest) => {
			this.#nodes.push(join(folder, `tap${guest}`));
			return `mknod -m 600 ${this.#nodes.at(-1)} c ${number.replace(':', ' ')}`;
		});
		await exec('sh', ['-e'], { input: commands.join('\n') });
	}

	guestEdge(guest: number): string {
		return `file:${this.#nodes[guest]}`;
	}

	macOnWire(guest: number): string {
		return guestMac(guest);
	}

	pids(): readonly number[] {
		return [];
	}

	async close(): Promise<void> {
		this.#removeFolder?.();
	}
}
