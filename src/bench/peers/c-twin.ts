import { type Ground, guestIp, guestMac, MASTER, MASTER_MAC } from '../ground.js';
import type { Ability } from './peer.js';
import { ProcessPeer } from './process-peer.js';

/**
 * The userspace forwarder's loop in C (test/bench/c/forwarder.c). `ring` sends through a transmit ring, `messages` with
 * sendmmsg; everything else is the same.
 */
export class TwinPeer extends ProcessPeer {
	readonly name: string;
	readonly about: string;
	readonly lacks: readonly Ability[] = ['broadcast', 'many', 'daemon', 'ipv6'];
	readonly #send: 'ring' | 'messages';
	#taps: string[] = [];

	constructor(name: string, send: 'ring' | 'messages') {
		super();
		this.name = name;
		this.#send = send;
		this.about = `the forwarder's loop in C, sending ${send === 'ring' ? 'through a transmit ring' : 'with sendmmsg'}`;
	}

	async prepare(ground: Ground): Promise<void> {
		const { host, programs } = ground;
		this.#taps = await ground.addTaps();
		await shield(ground, [...this.#taps, MASTER]);
		// Without a queue of its own a TAP says that it is full, instead of losing the frame in silence.
		for (const tap of this.#taps) {
			await host.exec('tc', ['qdisc', 'replace', 'dev', tap, 'root', 'noqueue']);
		}
		const slaves = this.#taps.flatMap((tap, guest) => [
			'--slave',
			`${tap},${guestMac(guest)}/${guestIp(guest)}`,
		]);
		const args = [...slaves, '--master', `${MASTER},${MASTER_MAC}`, '--send', this.#send];
		await this.processes.start(host, programs.forwarder, args);
	}

	guestEdge(guest: number): string {
		return `tap:${this.#taps[guest]}`;
	}

	override macOnWire(): string {
		return MASTER_MAC;
	}
}

/** Keeps the host's stack off the frames, as the product does: the same drop-all program at TC ingress. */
async function shield({ host }: Ground, devices: readonly string[]): Promise<void> {
	for (const device of devices) {
		const drop = `filter add dev ${device} ingress prio 1 protocol all bpf da bytecode`.split(' ');
		await host.exec('tc', ['qdisc', 'add', 'dev', device, 'clsact']);
		await host.exec('tc', [...drop, '1,6 0 0 2,']);
	}
}
